"""Which maxima are projected, and where their pictures go."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image

from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.stages.report import looks
from kdsspark.stages.report.pictures import projections
from kdsspark.stages.report.pictures.cut_task import OfImage
from kdsspark.stages.report.pictures.project_task import Projected
from kdsspark.tables import EXEMPLARS
from tests.report.synthetic import run_on_files
from tests.stages.report.pictures.drawn import galleries_of

pytestmark = pytest.mark.usefixtures("without_spark")

UNIT = 3
PAGES = "pictures/tiny/{}/fire4-3-projected.webp"


@pytest.fixture(scope="module")
def frames(fruit: Study) -> dict[str, pd.DataFrame]:
    return run_on_files(fruit.output)


def test_nothing_is_projected_unless_it_is_asked_for(
    fruit: Study, frames: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "ProjectImages", None)  # a call would fail
    made = galleries_of(fruit.context, frames)
    units = [unit for gallery in made for unit in gallery.units.values()]
    assert units
    assert all(unit.projections is None for unit in units)


def test_a_unit_that_was_looked_at_has_projections_of_its_patches(
    fruit: Study, frames: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = looks.Looks(frozenset({("tiny", "fire4", UNIT)}))
    monkeypatch.setattr(looks, "read", lambda _: asked)
    made = galleries_of(fruit.context, frames)
    assert len(made) == 2
    for gallery in made:
        drawn = [unit for unit in gallery.units.values() if unit.projections]
        assert [(unit.layer.name, unit.unit) for unit in drawn] == [("fire4", UNIT)]
        (unit,) = drawn
        assert unit.patches is not None
        assert unit.projections is not None
        assert unit.projections.path == PAGES.format(gallery.dataset)
        assert unit.projections.n == unit.patches.n == len(unit.exemplars)
        sizes = [
            Image.open(io.BytesIO(gallery.files[picture.path])).size
            for picture in (unit.patches, unit.projections)
        ]
        assert sizes[0] == sizes[1]


def test_all_that_is_drawn_may_be_projected(
    fruit: Study, frames: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The maxima are rows of ``exemplars``, each once; no network is needed to see that."""
    found = []

    class Noted:
        def __init__(self, _: object) -> None:
            pass

        def __call__(
            self, _: Pair, jobs: Sequence[OfImage[Projected]]
        ) -> Iterator[dict[str, bytes]]:
            found.extend(one for job in jobs for one in job.wanted)
            yield {one.at[0].path: b"" for job in jobs for one in job.wanted}

    monkeypatch.setattr(projections, "ProjectImages", Noted)
    config = fruit.config.model_copy(
        update={"report": fruit.config.report.model_copy(update={"projections": True})}
    )
    context = replace(fruit.context, config=config)
    made = galleries_of(context, frames)
    units = [(g.dataset, u) for g in made for u in g.units.values()]
    assert units
    assert all(unit.projections for _, unit in units)
    rows = pd.concat(
        parquet.read(fruit.output, EXEMPLARS, "tiny", name).to_pandas()
        for name in ("fruit", "wood")
    )
    columns = ["layer", "unit", "x", "y", "view", "x0", "y0", "x1", "y1"]
    known = set(rows[columns].itertuples(index=False, name=None))
    seen = [(p.layer, p.unit, p.place[1], p.place[0], p.view, *p.box) for p in found if p.place]
    assert len(seen) == sum(len(unit.exemplars) for _, unit in units)
    assert set(seen) <= known
