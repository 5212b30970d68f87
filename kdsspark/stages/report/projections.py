"""Which maxima are projected to the pixels of their patches, and the projecting (driver).

A projection takes a forward and a backward pass for each patch. Therefore units get projections
only where somebody asked for the unit, or where the configuration asks for all that are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import pandas as pd

from kdsspark.engine.fold import fold
from kdsspark.engine.stage import Context
from kdsspark.output.names import Pair
from kdsspark.stages.exemplars.stage import image_jobs
from kdsspark.stages.report.best_images import PATCHES, BestImages
from kdsspark.stages.report.pictures import Tiles, joined
from kdsspark.stages.report.project_task import Projected, ProjectImages, Projections
from kdsspark.stages.report.sizes import Sizes
from kdsspark.stages.report.subjects import Subject

_IMAGES_OF_A_TASK: Final = 8


def project(
    context: Context, shown: Sequence[tuple[Subject, BestImages]], size: Sizes
) -> dict[Pair, Tiles]:
    """The projections of every pair: ("projection", feature, rank) -> pixels [side, side, 3]."""
    config = context.config
    work = {
        subject.pair: _tasks(_wanted(subject, best, config.report.projections, size))
        for subject, best in shown
    }
    work = {pair: tasks for pair, tasks in work.items() if tasks}
    if not work or not config.exemplars:
        return {}
    task = ProjectImages(image_jobs(context, config.exemplars.crops))
    return fold(context.session, "projections", work, task, joined, at_least=1)


def _wanted(
    subject: Subject, best: BestImages, every: bool, size: Sizes
) -> Iterator[tuple[str, Projected]]:
    """(uri, maximum) of every patch that is projected for a pair."""
    features = subject.chosen.drawn if every else subject.asked
    for feature in sorted(set(features)):
        layer = subject.layer_of(feature)
        for row in best.of(feature).to_dict("records"):
            if row["rank"] > PATCHES or row["image_id"] not in best.images or pd.isna(row["x0"]):
                continue
            x0, y0, x1, y1 = (int(row[edge]) for edge in ("x0", "y0", "x1", "y1"))
            yield (
                best.images[row["image_id"]][0],
                Projected(
                    key=("projection", feature, row["rank"]),
                    layer=layer.name,
                    unit=feature - layer.first,
                    place=None if pd.isna(row["y"]) else (int(row["y"]), int(row["x"])),
                    view=int(row["view"]),
                    box=(x0, y0, x1, y1),
                    side=size.patch,
                ),
            )


def _tasks(found: Iterator[tuple[str, Projected]]) -> list[tuple[Projections, ...]]:
    by_uri: dict[str, list[Projected]] = {}
    for uri, one in found:
        by_uri.setdefault(uri, []).append(one)
    jobs = [Projections(uri, tuple(own)) for uri, own in sorted(by_uri.items())]
    starts = range(0, len(jobs), _IMAGES_OF_A_TASK)
    return [tuple(jobs[start : start + _IMAGES_OF_A_TASK]) for start in starts]
