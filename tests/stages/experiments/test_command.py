"""``kdsspark experiment NAME``: the command, its record, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kdsspark.cli import main
from kdsspark.pipeline.status import status
from kdsspark.stages import EXPERIMENTS
from tests.stages.experiments import studies
from tests.studies import write_config


@pytest.mark.usefixtures("without_spark")
def test_an_experiment_runs_by_its_name_and_is_recorded(tmp_path: Path) -> None:
    study = studies.make(tmp_path)
    file = write_config(study.config, tmp_path)
    assert main(["experiment", "sparsity", "--config", str(file)]) == 0
    (path,) = study.output.files("runs")
    record = json.loads(Path(study.output.path(path)).read_text())
    assert (record["command"], record["exit_code"]) == ("experiment sparsity", 0)
    assert [stage["stage"] for stage in record["stages"]] == ["sparsity"]
    (standing,) = (s for s in status(study.config).stages if s.stage == "sparsity")
    assert (standing.state, standing.standing.done) == ("done", 2)


@pytest.mark.parametrize("arguments", [["transform"], ["label_entropy"], []])
def test_other_names_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["experiment", *arguments, "--config", "a.yaml"])
    assert ended.value.code == 2
    assert "NAME" in capsys.readouterr().err


def test_the_help_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["experiment", "--help"])
    text = capsys.readouterr().out
    assert all(one.name in text and one.help in text for one in EXPERIMENTS)
