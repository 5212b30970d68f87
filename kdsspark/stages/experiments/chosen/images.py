"""Which images an experiment looks at, and how they go through the network (driver)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.config import Config
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import pairs
from kdsspark.stages.embed import networks
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.tables import FAILURES, IMAGES

BY_RULE: Final = 5
"""Images of a dataset where the configuration names none; the paper shows five."""


@dataclass(frozen=True)
class ChosenImage:
    """One image of a dataset."""

    id: str
    uri: str
    class_name: str
    version: str


def wanted(config: Config, pair: Pair) -> bool:
    """Whether invariance and occlusion look at images of a pair."""
    named = config.experiments.images
    chosen = named is None or pair.dataset in named
    return chosen and pairs.goes_through_a_network(config, pair)


def job(output: Output, config: Config, pair: Pair, pooling: Literal["mean", "whole"]) -> ImageJob:
    """How the centre crops of a pair's images go through its network.

    Raises :class:`DatasetError` where the pair is not embedded.
    """
    pairs.embedded(output, pair)
    prepared = networks.saved_network(output, pair.network)
    assert prepared, "the dataset is embedded"
    spec = replace(prepared.spec, pooling=pooling, crops="center")
    return ImageJob(output, pair, spec, prepared.weights, config.embed)


def of_pair(output: Output, config: Config, pair: Pair) -> list[ChosenImage]:
    """The images to look at.

    Where the configuration names none: the five that come first by (place among the images of their
    class by id, number of the class), so that of many classes each gives one. Raises
    :class:`DatasetError` for a name that is not that of one embedded image.
    """
    rows = embedded_images(output, pair)
    named = (config.experiments.images or {}).get(pair.dataset)
    if named is not None:
        known = KnownImages(rows)
        key = f"experiments.images.{pair.dataset}"
        try:
            return [known.image(name) for name in dict.fromkeys(named)]
        except LookupError as error:
            raise DatasetError(f"{key}: {error}") from None
    classes: dict[int, int] = {}
    order = []
    for row, class_id in enumerate(rows["class_id"].to_pylist()):
        place = classes[class_id] = classes.get(class_id, -1) + 1
        order.append((place, class_id, row))
    return _chosen(rows.take([row for *_, row in sorted(order)[:BY_RULE]]))


def embedded_images(output: Output, pair: Pair) -> pa.Table:
    """The rows of ``images`` that could be embedded, by id."""
    rows = parquet.read(output, IMAGES, pair.dataset).sort_by("image_id")
    failed = parquet.read(output, FAILURES, *pair, columns=["image_id"])["image_id"]
    return rows.filter(pc.invert(pc.is_in(rows["image_id"], failed.combine_chunks())))


class KnownImages:
    """The images of a dataset by what users call them; ``rows`` of ``images``."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        # A file within an archive comes before the archive: zip://a/b.jpg::/data/c.zip
        inner = pc.list_element(pc.split_pattern(rows["uri"], "::"), 0)
        self._ends: dict[str, list[int]] = {}
        for row, uri in enumerate(inner.to_pylist()):
            self._ends.setdefault(uri.rpartition("/")[2], []).append(row)
        self._uris = inner.to_pylist()
        self._ids = {image_id: row for row, image_id in enumerate(rows["image_id"].to_pylist())}

    def image(self, name: str) -> ChosenImage:
        """The image of this id, or with this end of its location: whole names of files and folders.

        Raises LookupError unless there is exactly one.
        """
        found = [self._ids[name]] if name in self._ids else self._ending(name)
        if len(found) != 1:
            many = f"{len(found)} images end so" if found else "no embedded image ends so"
            raise LookupError(
                f"must be the id of an image or the end of its location, got {name!r}: {many}"
            )
        (image,) = _chosen(self._rows.take(found))
        return image

    def _ending(self, name: str) -> Sequence[int]:
        rows = self._ends.get(name.rpartition("/")[2], [])
        return [row for row in rows if f"/{self._uris[row]}".endswith(f"/{name}")]


def _chosen(rows: pa.Table) -> list[ChosenImage]:
    columns = "image_id", "uri", "class_name", "version"
    lists = (rows[column].to_pylist() for column in columns)
    return [ChosenImage(*values) for values in zip(*lists, strict=True)]
