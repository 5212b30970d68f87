"""When the report is drawn anew. ``test_stage_by_spark.py`` has its numbers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kdsspark import config
from kdsspark.errors import ConfigError
from kdsspark.output.names import ItemName
from kdsspark.output.receipts import Receipt
from kdsspark.pipeline.study import Study
from kdsspark.stages import PROBE
from kdsspark.stages.report import stage as reporting
from tests.studies import run_here, write_embeddings

pytestmark = pytest.mark.usefixtures("spark")

PROBE_ITEM = ItemName("given/mine/all-0000")


def imported(modules: str) -> set[str]:
    code = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_pages_are_written_without_what_draws_and_measures() -> None:
    """Matplotlib takes most of a second, which only processes that draw must spend."""
    found = imported("kdsspark.stages.report.gathering, kdsspark.report.site")
    assert {"kdsspark.report.figures.curves", "kdsspark.stages.report.subjects"} <= found
    assert not {"matplotlib", "numba"} & found


def test_what_makes_pages_is_imported_only_to_draw() -> None:
    """It takes a second, and most nights have nothing new."""
    found = imported("kdsspark.stages.report.stage")
    assert not {"matplotlib", "jinja2", "scipy.stats", "duckdb"} & found
    assert "kdsspark.report.queries" in found


# -- when it is drawn anew -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("reporting")
    values = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    write_embeddings(folder / "mine.parquet", {"x": values}, ["a", "b", "c"] * 4)
    dataset = {"name": "mine", "embeddings": str(folder / "mine.parquet")}
    return {"output": str(folder / "out"), "datasets": [dataset]}


@pytest.fixture
def drawn(raw: dict[str, object], short_report: None) -> Study:  # noqa: ARG001
    study = run_here(config.parse(raw))
    study.do("report")
    return study


def is_redrawn(study: Study, act: Callable[[], object] = lambda: None) -> bool:
    """Whether the first page is written when ``act`` has been done."""
    page = Path(study.output.path("report/index.html"))
    before = page.stat().st_mtime_ns if page.exists() else 0
    act()
    study.do("report")
    return page.stat().st_mtime_ns != before


def test_a_report_of_the_same_is_not_drawn_again(drawn: Study, raw: dict[str, object]) -> None:
    assert not is_redrawn(drawn)
    assert not is_redrawn(run_here(config.parse(raw)))


@pytest.mark.parametrize("lost", ["index.html", "data/given/*.csv"])
def test_a_lost_file_is_drawn_again(drawn: Study, lost: str) -> None:
    path = next(Path(drawn.output.path("report")).glob(lost))
    assert is_redrawn(drawn, path.unlink)
    assert path.exists()
    assert not is_redrawn(drawn)


def test_files_of_another_report_are_removed(drawn: Study) -> None:
    old = Path(drawn.output.path("report/figures/given/figure1-old.csv"))
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_text("of another report")
    assert is_redrawn(drawn)
    assert not old.exists()


def test_other_settings_are_shown(drawn: Study, raw: dict[str, object]) -> None:
    other = {**raw, "embed": {"max_failures": 0.125}}
    assert is_redrawn(Study(config.parse(other)))
    assert "0.125" in Path(drawn.output.path("report/index.html")).read_text()


@pytest.mark.usefixtures("drawn")
def test_other_tables_are_shown(raw: dict[str, object]) -> None:
    other = config.parse({**raw, "measure": {"shuffles": 3}})
    assert is_redrawn(Study(other))
    assert is_redrawn(run_here(other, "measure summarize"))


def test_a_probe_is_shown(drawn: Study) -> None:
    """The findings of section 5.2 read it."""

    receipt = Receipt(PROBE_ITEM, "0", {"images": 12})
    assert is_redrawn(drawn, lambda: PROBE.receipts(drawn.output).write(receipt))
    PROBE.receipts(drawn.output).remove(PROBE_ITEM)


def test_other_features_and_versions_are_shown(
    drawn: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_feature = Study(drawn.config, drawn=[("mine", "x", 0, "a")])
    assert is_redrawn(with_feature)
    assert not is_redrawn(with_feature)
    assert is_redrawn(drawn)
    monkeypatch.setattr(reporting, "versions", lambda: {"kdsspark": "another"})
    assert is_redrawn(drawn)


def test_a_report_that_ended_early_is_drawn_again(drawn: Study) -> None:
    """Though settings are again those of the last whole one."""
    impossible = Study(drawn.config, drawn=[("mine", "x", 7, "a")])
    with pytest.raises(ConfigError):
        impossible.do("report")
    assert is_redrawn(drawn)
