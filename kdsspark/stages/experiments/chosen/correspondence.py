"""``correspondence``: whether hiding a part changes images alike (Zeiler & Fergus 2013, table 1).

One part, such as the left eye, is hidden in several images. Each layer's values, at all places of
its maps, change by e_i in image i. The share of values at which the signs of e_i and e_j differ is
low where the layer treats the part alike. Boxes of the same size at random places say what is low.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np

from kdsspark.config import Config
from kdsspark.engine import gpus
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.stage import Context
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.images import decoding
from kdsspark.network.occlusion import covered, mean_colour
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS, pairs
from kdsspark.stages.embed import image_job
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.experiments.chosen import images, parts, seeing
from kdsspark.stages.experiments.chosen.images import ChosenImage, KnownImages
from kdsspark.stages.experiments.chosen.parts import PartBox
from kdsspark.stages.experiments.chosen.seeing import Crop
from kdsspark.stages.pairs import PairPlan
from kdsspark.stats import signs
from kdsspark.stats.signs import Signs
from kdsspark.tables import CORRESPONDENCE

STAGE: Final = next(one for one in EXPERIMENTS if CORRESPONDENCE in one.tables)

_FORMAT: Final = 1  # of the files written; if it changes, every output is computed again
_DRAWS: Final = 10  # random places of each box

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the crop."""


@dataclass(frozen=True, kw_only=True)
class CorrespondenceItem(WorkItem):
    """One part in all images that have it; ``without`` counts the images that lack it."""

    job: ImageJob
    part: str
    boxes: tuple[tuple[ChosenImage, PartBox], ...]
    without: int
    memory: int  # bytes


def wanted(config: Config, pair: Pair) -> bool:
    """Whether the configuration has parts of a pair's images."""
    return pair.dataset in config.experiments.parts and pairs.goes_through_a_network(config, pair)


def run(context: Context) -> None:
    """Compute what is missing.

    Raises :class:`ConfigError` if no dataset has parts, and :class:`DatasetError` if a pair is not
    embedded, for a file of parts that does not fit its dataset, and, when the others are done, for
    a part in fewer than two images and for a box outside its image.
    """
    if not context.config.experiments.parts:
        raise ConfigError(
            "experiments.parts: must have a CSV of parts for experiment correspondence, got none"
        )
    seeing.run(context, STAGE, plan, correspondence_of_part, wanted)


def plan(output: Output, config: Config, pair: Pair) -> PairPlan:
    """What is to do for a pair: one item a part; raises like :func:`run`."""
    if not wanted(config, pair):
        return PairPlan.of(STAGE, [])
    job = images.job(output, config, pair, "whole")
    by_part = _by_part(output, config, pair)
    n_images = len({image.id for boxes in by_part.values() for image, _ in boxes})
    items = []
    for part, boxes in by_part.items():
        used = [(repr(image), box.box) for image, box in boxes]
        without = n_images - len(boxes)
        said = [_FORMAT, job.spec.fingerprint, part, used, without]
        items.append(
            CorrespondenceItem(
                name=pair.item(f"part-{fingerprint([part])}"),
                digest=fingerprint(said),
                job=job,
                part=part,
                boxes=tuple(boxes),
                without=without,
                memory=config.measure.memory_bytes,
            )
        )
    return PairPlan.of(STAGE, items)


def _by_part(
    output: Output, config: Config, pair: Pair
) -> dict[str, list[tuple[ChosenImage, PartBox]]]:
    """Part -> its images, by id, with the box of each."""
    known = KnownImages(images.embedded_images(output, pair))
    found: dict[str, list[tuple[ChosenImage, PartBox]]] = {}
    for row in parts.read(config.experiments.parts[pair.dataset]):
        try:
            image = known.image(row.image)
        except LookupError as error:
            raise DatasetError(f"{row.where}: image of dataset {pair.dataset} {error}") from None
        found.setdefault(row.part, []).append((image, row))
    return {part: sorted(found[part], key=lambda one: one[0].id) for part in sorted(found)}


# -- one part (executor) -------------------------------------------------------------------------


class _Hidden(NamedTuple):
    """How hiding one box after the other changes a crop; layer -> signs, the part's own first."""

    signs: dict[str, list[Signs]]
    sizes: dict[str, int]  # layer -> values


def correspondence_of_part(item: CorrespondenceItem) -> Outcome:
    """Write the rows of one part.

    Raises :class:`DatasetError` for a box outside its image, for fewer than two images whose part
    the network sees, and for more than memory has room for.
    """
    start = time.perf_counter()
    try:
        found = [hidden for one in item.boxes if (hidden := _hidden(item, *one)) is not None]
    finally:
        gpus.release()
    if len(found) < 2:
        raise DatasetError(
            f"dataset {item.job.pair.dataset}: part {item.part!r} must lie in the crops of two or "
            f"more images, got {len(found)}"
        )
    rows = [
        row | {"part": item.part, "n_skipped": item.without + len(item.boxes) - len(found)}
        for row in _rows(found)
    ]
    path = CORRESPONDENCE.part(item.name.part, *item.job.pair)
    parquet.write_rows(item.job.output, path, rows, CORRESPONDENCE)
    return Outcome({"images": len(found)}, {"compute": time.perf_counter() - start})


def _hidden(item: CorrespondenceItem, image: ChosenImage, row: PartBox) -> _Hidden | None:
    """What hiding the part, and random boxes, does to one image; None if it is off the crop."""
    job, size = item.job, item.job.spec.preprocessing.crop
    decode = partial(_with_size, image_job.decode_of(job.spec))
    pixels, width, height = seeing.load(job, image, decode)
    if row.box[2] > width or row.box[3] > height:
        raise DatasetError(
            f"{row.where}: the box must lie in the image of {width} x {height} pixels, got x1 = "
            f"{row.box[2]:g}, y1 = {row.box[3]:g}"
        )
    box = in_crop(
        row.box, (width, height), pixels.shape[1::-1], seeing.corner(job.spec, pixels), size
    )
    if box is None:
        return None
    rng = np.random.default_rng(int(fingerprint([image.id, item.part]), 16))
    boxes = [box, *(moved(box, size, rng) for _ in range(_DRAWS))]
    crop, grey = seeing.crop(job.spec, pixels), mean_colour(job.spec.preprocessing)
    found = _Hidden({}, {})
    plain = None
    for maps in seeing.maps(job, [crop, *(covered(crop, one, grey) for one in boxes)]):
        plain = plain or {layer: values[0] for layer, values in maps.items()}
        for layer, values in maps.items():
            own = found.signs.setdefault(layer, [])
            own += [signs.signs((plain[layer] - view).ravel()) for view in values]
            found.sizes[layer] = plain[layer].size
    needed = len(item.boxes) * (1 + len(boxes)) * sum(found.sizes.values()) // 4
    if needed > item.memory:
        raise DatasetError(
            f"dataset {job.pair.dataset}: part {item.part!r} in {len(item.boxes)} images needs "
            f"measure.memory of {needed} bytes, got {item.memory}"
        )
    for own in found.signs.values():
        del own[0]  # of the crop as it is
    return found


def _with_size(decode: Any, data: bytes) -> tuple[Crop, int, int]:
    """The resized pixels, and width and height of the image as it is stored."""
    return decode(data), *decoding.upright_size(data)


def in_crop(
    box: tuple[float, float, float, float],
    stored: tuple[int, int],
    resized: tuple[int, int],
    corner: tuple[int, int],
    size: int,
) -> Box | None:
    """A box of the stored image in pixels of the crop, cut off at its edges; None if outside.

    ``stored`` and ``resized``: width and height. ``corner``: top and left of the crop in the
    resized image. Every pixel that the box touches belongs to it.
    """
    (top, left), steps = corner, [new / old for new, old in zip(resized, stored, strict=True)]
    edges = []
    for edge, step, offset, rounded in zip(
        box, steps * 2, (left, top) * 2, (np.floor,) * 2 + (np.ceil,) * 2, strict=True
    ):
        edges.append(int(np.clip(rounded(edge * step) - offset, 0, size)))
    x0, y0, x1, y1 = edges
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def moved(box: Box, size: int, rng: np.random.Generator) -> Box:
    """A box of the same sides at a random place of the crop, all places alike."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    x, y = (int(rng.integers(0, size - side + 1)) for side in (width, height))
    return x, y, x + width, y + height


def _rows(found: Sequence[_Hidden]) -> list[dict[str, Any]]:
    """Two rows of each layer: of the part, and of the random boxes."""
    rows = []
    for layer, n_values in found[0].sizes.items():
        vectors = [hidden.signs[layer] for hidden in found]
        shares = [signs.of_pairs(some) / n_values for some in zip(*vectors, strict=True)]
        for is_random, some in ((False, shares[:1]), (True, shares[1:])):
            values = np.concatenate(some)
            mean, n = float(values.mean()), len(found)
            rows.append(
                {
                    "layer": layer,
                    "random": is_random,
                    "n_images": n,
                    "n_values": n_values,
                    "draws": len(some),
                    "mean": mean,
                    "deviation": float(values.std()),
                    "delta": mean * n * (n - 1),
                }
            )
    return rows
