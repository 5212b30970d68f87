"""Which squares are cut out of which images for the report, and the cutting by executors (driver).

Only what is drawn is read, and an image is read once, whatever is cut out of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from kdsspark.engine.fold import fold
from kdsspark.engine.stage import Context
from kdsspark.output.names import Pair
from kdsspark.stages.embed.networks import saved_networks
from kdsspark.stages.report.best_images import BestImages
from kdsspark.stages.report.cut_task import CutImage, CutImages, Square
from kdsspark.stages.report.sizes import Sizes
from kdsspark.stages.report.subjects import Subject

_IMAGES_OF_A_TASK: Final = 48
_SHORT_SIDE: Final = 256  # where no network says otherwise

Tiles = dict[Any, npt.NDArray[np.uint8]]
"""Of a pair: ("sample", class_id, n), ("patch", feature, rank) or ("sheet", feature) -> pixels
[side, side, 3]; what cannot be read is absent."""


def cut(
    context: Context, shown: Sequence[tuple[Subject, BestImages]], size: Sizes
) -> dict[Pair, Tiles]:
    """The tiles of every pair."""
    config = context.config
    specs = saved_networks(context.output, config)
    short = {
        subject.pair: specs[subject.pair.network].preprocessing.resize
        if subject.pair.network in specs
        else _SHORT_SIDE
        for subject, _ in shown
    }
    ready_made = {dataset.name for dataset in config.embeddings_datasets}
    jobs = {
        subject.pair: tasks(cuts(subject, best, size))
        for subject, best in shown
        if subject.pair.dataset not in ready_made
    }
    task = CutImages(short, config.embed.image_seconds)
    return fold(context.session, "pictures", jobs, task, joined, at_least=1)


def joined(first: Tiles, second: Tiles) -> Tiles:
    """The tiles of both."""
    return first | second


def cuts(subject: Subject, best: BestImages, size: Sizes) -> Iterator[tuple[str, Square]]:
    """(uri, cut) of everything that is cut for a pair."""
    if subject.sampled_by == subject.pair:
        for class_id, uris in subject.samples.items():
            for n, uri in enumerate(uris):
                yield uri, Square(("sample", class_id, n), None, size.sample)
    drawn = set(subject.chosen.drawn)
    columns = ["feature", "rank", "image_id", "x0", "y0", "x1", "y1"]
    for feature, rank, image_id, *edges in best.rows[columns].itertuples(index=False):
        if image_id not in best.images or pd.isna(edges[0]):
            continue
        uri = best.images[image_id][0]
        x0, y0, x1, y1 = map(int, edges)
        if feature in drawn:
            yield uri, Square(("patch", feature, rank), (x0, y0, x1, y1), size.patch)
        if rank == 1 and subject.with_sheets:
            yield uri, Square(("sheet", feature), (x0, y0, x1, y1), size.tile)


def tasks(found: Iterable[tuple[str, Square]]) -> list[tuple[CutImage, ...]]:
    """Cuts by image, so many images a task."""
    by_uri: dict[str, list[Square]] = {}
    for uri, one in found:
        by_uri.setdefault(uri, []).append(one)
    jobs = [CutImage(uri, tuple(own)) for uri, own in sorted(by_uri.items())]
    starts = range(0, len(jobs), _IMAGES_OF_A_TASK)
    return [tuple(jobs[start : start + _IMAGES_OF_A_TASK]) for start in starts]
