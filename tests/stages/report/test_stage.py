"""When a report is drawn anew: the tables or settings are others, or files of it are lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kdsspark import config
from kdsspark.errors import ConfigError
from kdsspark.pipeline.study import Study
from kdsspark.stages.report import stage as reporting
from tests.studies import run, write_embeddings

pytestmark = pytest.mark.usefixtures("spark")
STAGES = "index embed measure summarize report"


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("reporting")
    values = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    write_embeddings(folder / "mine.parquet", {"x": values}, ["a", "b", "c"] * 4)
    dataset = {"name": "mine", "embeddings": str(folder / "mine.parquet")}
    return {"output": str(folder / "out"), "datasets": [dataset]}


@pytest.fixture
def drawn(raw: dict[str, object]) -> Study:
    return run(config.parse(raw), STAGES)


def is_redrawn(study: Study, act: Callable[[], object] = lambda: None) -> bool:
    """Whether the first page is written when ``act`` has been done."""
    page = Path(study.output.path("report/index.html"))
    before = page.stat().st_mtime_ns if page.exists() else 0
    act()
    study.do("report")
    return page.stat().st_mtime_ns != before


def test_a_report_of_the_same_is_not_drawn_again(drawn: Study, raw: dict[str, object]) -> None:
    assert not is_redrawn(drawn)
    assert not is_redrawn(run(config.parse(raw), "index embed measure summarize"))


@pytest.mark.parametrize("lost", ["index.html", "data/given/*.csv"])
def test_a_lost_file_is_drawn_again(drawn: Study, lost: str) -> None:
    path = next(Path(drawn.output.path("report")).glob(lost))
    assert is_redrawn(drawn, path.unlink)
    assert path.exists()
    assert not is_redrawn(drawn)


def test_other_settings_are_shown(drawn: Study, raw: dict[str, object]) -> None:
    other = {**raw, "embed": {"max_failures": 0.125}}
    assert is_redrawn(Study(config.parse(other)))
    assert "0.125" in Path(drawn.output.path("report/index.html")).read_text()


@pytest.mark.usefixtures("drawn")
def test_other_tables_are_shown(raw: dict[str, object]) -> None:
    other = config.parse({**raw, "measure": {"shuffles": 3}})
    assert is_redrawn(Study(other))
    assert is_redrawn(run(other, "measure summarize"))


def test_other_pairs_and_versions_are_shown(drawn: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    with_pair = Study(drawn.config, drawn=[("mine", "x", 0, "a")])
    assert is_redrawn(with_pair)
    assert not is_redrawn(with_pair)
    assert is_redrawn(drawn)
    monkeypatch.setattr(reporting, "versions", lambda: {"kdsspark": "another"})
    assert is_redrawn(drawn)


def test_a_report_that_ended_early_is_drawn_again(drawn: Study) -> None:
    """Though settings are again those of the last whole one."""
    impossible = Study(drawn.config, drawn=[("mine", "x", 7, "a")])
    with pytest.raises(ConfigError):
        impossible.do("report")
    assert is_redrawn(drawn)
