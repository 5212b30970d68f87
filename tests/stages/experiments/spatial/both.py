"""The two experiments with maps: a study for them, their tables, and how far they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdsspark.pipeline.status import status
from kdsspark.pipeline.study import Study
from kdsspark.tables import ABLATIONS, GRIDS, Table
from tests.marks import all_but
from tests.stages.experiments import maps, studies
from tests.studies import run, write_images

BOTH = {"grids": GRIDS, "ablations": ABLATIONS}
EACH = all_but(["grids"], BOTH)
"""Both read images by the same code, and each has tests of its own."""
PARTS = {"grids": 12, "ablations": 8}


def rows(study: Study, table: Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = studies.table(study, table).to_dict("records")
    return found


def standing(study: Study, name: str) -> tuple[str, int]:
    (found,) = (one for one in status(study.config).stages if one.stage == name)
    return found.state, found.standing.done


def embedded_in(folder: Path) -> Study:
    """A study of two classes, done but for the experiments."""
    write_images(folder / "set", {"a": 6, "b": 5})
    return run(maps.config_of(folder / "set"), maps.ALL)
