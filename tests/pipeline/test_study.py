"""A study: its output is settled before anything runs, and its stages run in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kdsspark.config import Config, parse
from kdsspark.errors import ConfigError, DatasetError, TooManyFailuresError
from kdsspark.output.output import Output
from kdsspark.pipeline import study as study_module
from kdsspark.pipeline.study import Study
from tests.output.made import RAW, changed, fill, of_dataset, of_network


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """An output in which every network and dataset has every kind of file."""
    output = Output.at(str(tmp_path))
    Study(at(output, RAW)).settle()
    fill(output)
    return output


def at(output: Output, raw: dict[str, Any]) -> Config:
    return parse(raw | {"output": output.path()})


def test_the_same_definitions_are_accepted_and_change_nothing(output: Output) -> None:
    before = {path: output.fs.modified(output.path(path)) for path in output.files("")}
    for fresh in (False, True):
        Study(at(output, RAW), fresh=fresh).settle()
    assert {path: output.fs.modified(output.path(path)) for path in output.files("")} == before


@pytest.mark.parametrize(
    ("section", "name", "keys", "of"),
    [
        ("networks", "a", {"crops": "center"}, of_network),
        ("datasets", "birds", {"path": "/other"}, of_dataset),
    ],
)
def test_another_definition_is_refused_or_begins_afresh(
    output: Output, section: str, name: str, keys: dict[str, str], of: Any
) -> None:
    before = output.files("")
    config = at(output, changed(section, name, **keys))
    with pytest.raises(ConfigError, match=rf"^{section}\.{name}: .* or --fresh to remove them$"):
        Study(config).settle()
    assert output.files("") == before
    Study(config, fresh=True).settle()
    assert output.files("") == [path for path in before if not of(path, name)]
    Study(config).settle()
    fill(output)
    with pytest.raises(ConfigError):  # it is the former now that is another one
        Study(at(output, RAW)).settle()


# -- stages --------------------------------------------------------------------------------------


@dataclass
class FakeStage:
    """Notes that it ran, and fails if it has to."""

    name: str
    log: list[str]
    error: Exception | None = None
    contexts: list[Any] = field(default_factory=list)

    def run(self, context: Any) -> None:
        self.log.append(self.name)
        self.contexts.append(context)
        if self.error:
            raise self.error

    def closing(self, _: Any) -> str:
        return f"{self.name} is done"


def study(output: Output, monkeypatch: pytest.MonkeyPatch, stages: list[FakeStage]) -> Study:
    monkeypatch.setattr(study_module, "stages_of", lambda _: stages)
    return Study(at(output, RAW), drawn=[("birds", "fc", 0, "a")])


def test_stages_run_in_order_each_in_its_time(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    stages = [FakeStage(name, log) for name in ("one", "two")]
    made = study(output, monkeypatch, stages)

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        log.append(f"begin {name}")
        yield
        log.append(f"end {name}")

    made.do("run", timed)
    assert log == ["begin one", "one", "end one", "begin two", "two", "end two"]
    (context,) = {id(c): c for stage in stages for c in stage.contexts}.values()
    assert context.output == output
    assert context.drawn == [("birds", "fc", 0, "a")]
    assert made.closing("run") == "two is done"


def test_too_many_failures_are_told_when_all_is_done_and_other_errors_at_once(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    late, early = TooManyFailuresError("1 of 2 images"), DatasetError("no image")
    stages = [FakeStage("one", log, late), FakeStage("two", log), FakeStage("three", log)]
    with pytest.raises(TooManyFailuresError, match="1 of 2 images"):
        study(output, monkeypatch, stages).do("run")
    assert log == ["one", "two", "three"]
    stages[1].error = early
    with pytest.raises(DatasetError, match="no image"):
        study(output, monkeypatch, stages).do("run")
    assert log == ["one", "two", "three", "one", "two"]
