"""The list of stages: each has its code, and every table is made by one of them."""

from __future__ import annotations

import importlib
import inspect

import pytest

from kdsspark.engine.stage import Stage
from kdsspark.stages import EVERY, EXPERIMENTS, RUN, STAGES, stages_of
from kdsspark.tables import TABLES

NAMES = [stage.name for stage in STAGES]


@pytest.mark.parametrize("stage", EVERY, ids=[stage.name for stage in EVERY])
def test_a_stage_has_a_module_that_plans_and_runs(stage: Stage) -> None:
    module = importlib.import_module(stage.module)
    inspect.signature(module.plan).bind("output", "config", "pair")
    inspect.signature(module.run).bind("context")


def test_every_table_is_made_by_one_stage() -> None:
    made = [table.name for stage in EVERY for table in stage.tables]
    assert sorted(made) == sorted(TABLES)


def test_names_are_those_of_the_commands_and_unique() -> None:
    assert NAMES == [
        "index", "embed", "measure", "summarize", "exemplars", "check", "report", "transform",
        "probe",
    ]  # fmt: skip
    assert RUN not in NAMES


def test_what_a_stage_needs_comes_before_it() -> None:
    needs = {stage.name: stage.needs.name for stage in STAGES if stage.needs}
    assert needs["measure"] == "embed"
    assert all(NAMES.index(before) < NAMES.index(after) for after, before in needs.items())


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_is_a_command(name: str) -> None:
    assert [stage.name for stage in stages_of(name)] == [name]


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda one: one.name)
def test_an_experiment_is_asked_for_by_name_and_is_no_part_of_a_run(experiment: Stage) -> None:
    assert stages_of(f"experiment {experiment.name}") == [experiment]
    assert stages_of(experiment.name) == []
    assert experiment not in stages_of(RUN)


def test_names_of_receipts_are_unique() -> None:
    assert len({stage.name for stage in EVERY}) == len(EVERY)


def test_a_run_goes_through_the_stages_that_are_part_of_it() -> None:
    run = [stage.name for stage in stages_of(RUN)]
    assert run == ["index", "embed", "measure", "summarize", "exemplars", "check", "report"]
