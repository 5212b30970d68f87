"""Which maxima are projected to the pixels of their patches, and the projecting (driver).

A projection takes a forward and a backward pass for each patch. Therefore units get projections
only where somebody asked for the unit, or where the configuration asks for all that are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import or_
from typing import Final

from kdsspark.engine.fold import fold
from kdsspark.engine.stage import Context
from kdsspark.output.names import Pair
from kdsspark.report.parts import names
from kdsspark.stages.exemplars.stage import image_jobs
from kdsspark.stages.report.pictures.best_images import BestImages
from kdsspark.stages.report.pictures.cutting import of_unit, tasks
from kdsspark.stages.report.pictures.picture import PictureFile
from kdsspark.stages.report.pictures.project_task import Projected, ProjectImages
from kdsspark.stages.report.sizes import Sizes
from kdsspark.stages.report.subjects import Subject

_TILES_OF_A_TASK: Final = 64


def project(
    context: Context, shown: Sequence[tuple[Subject, BestImages]], size: Sizes
) -> dict[str, bytes]:
    """The pictures of projections of the patches of every reference corpus, by their paths."""
    config = context.config
    found: dict[Pair, dict[tuple[str, Projected], None]] = {}
    for subject, best in shown:
        for one in _wanted(subject, best, config.report.projections, size):
            found.setdefault(subject.of_patches, {})[one] = None
    if not found or not config.exemplars:
        return {}
    work = tasks(found, _TILES_OF_A_TASK)
    task = ProjectImages(image_jobs(context, config.exemplars.crops))
    made = fold(context.session, "projections", work, task, or_, at_least=1)
    return {path: content for files in made.values() for path, content in files.items()}


def projected(subject: Subject, best: BestImages, feature: int, size: Sizes) -> PictureFile:
    """The picture of the projections of a unit."""
    return of_unit(subject, best, feature, size, names.projections)


def _wanted(
    subject: Subject, best: BestImages, every: bool, size: Sizes
) -> Iterator[tuple[str, Projected]]:
    """(uri, maximum) of every patch that is projected for a pair."""
    features = set(subject.chosen.drawn if every else subject.asked)
    for patch in best.patches() if features else ():
        if patch.feature in features:
            layer = subject.layer_of(patch.feature)
            yield (
                patch.uri,
                Projected(
                    at=(projected(subject, best, patch.feature, size), patch.rank - 1),
                    layer=layer.name,
                    unit=patch.feature - layer.first,
                    place=patch.place,
                    view=patch.view,
                    box=patch.box,
                ),
            )
