"""Which squares are cut out of which images for the report, and the cutting by executors (driver).

Only what is drawn is read, and an image is read once, whatever is cut out of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kdsspark.engine.fold import fold
from kdsspark.engine.stage import Context
from kdsspark.output.names import Pair
from kdsspark.stages.embed.networks import saved_networks
from kdsspark.stages.report.pictures.best_images import BestImages
from kdsspark.stages.report.pictures.cut_task import CutImages, OfImage, Square, Wanted
from kdsspark.stages.report.sizes import Sizes
from kdsspark.stages.report.subjects import Subject

_IMAGES_OF_A_TASK: Final = 48
_SHORT_SIDE: Final = 256  # where no network says otherwise

Tiles = dict[Any, npt.NDArray[np.uint8]]
"""Cut out of the images of a pair: ("sample", class_id, n), ("patch", feature, rank) or ("sheet",
feature) -> pixels [side, side, 3]; what cannot be read is absent."""


def cut(
    context: Context, shown: Sequence[tuple[Subject, BestImages]], size: Sizes
) -> dict[Pair, Tiles]:
    """The tiles that are cut out of the images of every pair.

    Patches are under the pair that is the reference corpus, so that several pairs with one corpus
    cut them once.
    """
    config = context.config
    specs = saved_networks(context.output, config)
    ready_made = {dataset.name for dataset in config.embeddings_datasets}
    wanted: dict[Pair, dict[tuple[str, Square], None]] = {}
    for subject, best in shown:
        for pair, uri, square in cuts(subject, best, size):
            if pair.dataset not in ready_made:
                wanted.setdefault(pair, {})[uri, square] = None
    short = {
        pair: specs[pair.network].preprocessing.resize if pair.network in specs else _SHORT_SIDE
        for pair in wanted
    }
    jobs = {pair: tasks(own) for pair, own in wanted.items()}
    task = CutImages(short, config.embed.image_seconds)
    return fold(context.session, "pictures", jobs, task, joined, at_least=1)


def joined(first: Tiles, second: Tiles) -> Tiles:
    """The tiles of both."""
    return first | second


def cuts(subject: Subject, best: BestImages, size: Sizes) -> Iterator[tuple[Pair, str, Square]]:
    """(pair whose image it is, uri, square) of everything that is cut for a pair."""
    if subject.sampled_by == subject.pair:
        for class_id, uris in subject.samples.items():
            for n, uri in enumerate(uris):
                yield subject.pair, uri, Square(("sample", class_id, n), None, size.sample)
    drawn = set(subject.chosen.drawn)
    for uri, box, feature, rank in ((p.uri, p.box, p.feature, p.rank) for p in best.patches()):
        if feature in drawn:
            yield subject.of_patches, uri, Square(("patch", feature, rank), box, size.patch)
        if rank == 1 and subject.with_sheets:
            yield subject.of_patches, uri, Square(("sheet", feature), box, size.tile)


def tasks(
    found: Iterable[tuple[str, Wanted]], images: int = _IMAGES_OF_A_TASK
) -> list[tuple[OfImage[Wanted], ...]]:
    """What is wanted of images, given with their uris, by image; so many ``images`` a task."""
    by_uri: dict[str, list[Wanted]] = {}
    for uri, one in found:
        by_uri.setdefault(uri, []).append(one)
    jobs = [OfImage(uri, tuple(own)) for uri, own in sorted(by_uri.items())]
    return [tuple(jobs[start : start + images]) for start in range(0, len(jobs), images)]
