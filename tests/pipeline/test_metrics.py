"""The metrics of a run, read by Prometheus' own parser; the file they come in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from kdsspark.errors import ConfigError
from kdsspark.pipeline import metrics
from kdsspark.pipeline.records import Record, Run

DOCS = Path(__file__).parents[2] / "docs" / "schedules.md"
COMMON = {"config": "study.yaml", "command": "run"}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def record(exit_code: int = 0, command: str = "run") -> Record:
    """A run of two datasets whose embed stage ran twice."""
    counts = [
        {"network": "vgg", "dataset": "birds", "embedded": 11, "failed": 3, "features": 320},
        {"network": "vgg", "dataset": "fish", "embedded": 7, "failed": 0, "features": 0},
    ]
    return Record(
        id="20261121T115000.000000Z-0123abcd",
        command=command,
        started="2026-11-21T11:50:00.250Z",
        finished="2026-11-21T12:00:01.500Z",
        seconds=601.25,
        exit_code=exit_code,
        error=None,
        fingerprint=None,
        configuration=None,
        versions=[],
        stages=[
            {"stage": s, "seconds": n} for s, n in (("index", 0.5), ("embed", 1.5), ("embed", 2))
        ],
        counts=counts,
        failures=[],
    )


def parsed(registry: CollectorRegistry) -> Samples:
    """(name, labels) -> value."""
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        assert family.type == "gauge"
        assert family.documentation.endswith(".")
        assert family.samples
        for sample in family.samples:
            key = sample.name.removeprefix("kdsspark_run_"), frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset((COMMON | labels).items())


def test_metrics_are_those_of_the_record() -> None:
    assert parsed(metrics.gauges(record(), "study.yaml", record())) == {
        key("success"): 1,
        key("exit_code"): 0,
        key("start_timestamp_seconds"): 1795261800.25,
        key("last_success_timestamp_seconds"): 1795262401.5,
        key("duration_seconds"): 601.25,
        key("stage_seconds", stage="index"): 0.5,
        key("stage_seconds", stage="embed"): 3.5,
        key("images", network="vgg", dataset="birds", state="embedded"): 11,
        key("images", network="vgg", dataset="birds", state="failed"): 3,
        key("images", network="vgg", dataset="fish", state="embedded"): 7,
        key("images", network="vgg", dataset="fish", state="failed"): 0,
        key("features_measured", network="vgg", dataset="birds"): 320,
        key("features_measured", network="vgg", dataset="fish"): 0,
    }


def test_a_failed_run_keeps_when_the_last_one_succeeded() -> None:
    failed = record(exit_code=3)
    got = parsed(metrics.gauges(failed, "study.yaml", record()))
    assert (got[key("success")], got[key("exit_code")]) == (0, 3)
    assert got[key("last_success_timestamp_seconds")] == 1795262401.5
    without = parsed(metrics.gauges(failed, "study.yaml", None))
    assert set(got) - set(without) == {key("last_success_timestamp_seconds")}


def test_a_run_that_came_to_nothing_has_no_metrics_of_stages() -> None:
    got = parsed(metrics.gauges(Run("run").ended(2), "study.yaml", None))
    names = ("success", "exit_code", "start_timestamp_seconds", "duration_seconds")
    assert set(got) == {key(name) for name in names}


def test_two_runs_in_one_process_do_not_add_up() -> None:
    for _ in range(2):
        got = parsed(metrics.gauges(record(), "study.yaml", None))
    assert got[key("duration_seconds")] == 601.25


@pytest.mark.parametrize("name", ['it\'s "a" \\ b', "two\nlines", "é 😀 {x=1}", "back\\n"])
def test_labels_are_escaped(name: str) -> None:
    got = parsed(metrics.gauges(record(), name, None))
    assert got["success", frozenset((COMMON | {"config": name}).items())] == 1


def test_secrets_are_no_labels() -> None:
    text = generate_latest(metrics.gauges(record(), "s3://key:hush@bucket/a.yaml", None)).decode()
    assert "hush" not in text
    assert 'config="s3://***@bucket/a.yaml"' in text


def test_all_metrics_are_documented() -> None:
    documented = re.findall(r"^\| (`kdsspark_run_.*?) \|(.*)\|$", DOCS.read_text(), re.MULTILINE)
    want = {
        name: set(re.findall(r"`(\w+)`", labels)) - {"embedded", "failed"}
        for names, labels in documented
        for name in re.findall(r"`kdsspark_run_(\w+)`", names)
    }
    got = parsed(metrics.gauges(record(), "study.yaml", record()))
    assert {name: {k for k, _ in labels} - set(COMMON) for name, labels in got} == want


# -- the file ------------------------------------------------------------------------------------


@pytest.fixture(params=[0o022, 0o077])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    assert os.umask(before) == request.param


@pytest.mark.usefixtures("_umask")
def test_a_file_of_metrics_is_replaced_whole_and_may_be_read_by_all(tmp_path: Path) -> None:
    path = tmp_path / "kdsspark.prom"
    for exit_code in (0, 3):
        registry = metrics.gauges(record(exit_code), "study.yaml", None)
        metrics.write(str(path), registry)
        assert path.read_bytes() == generate_latest(registry)
        assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in tmp_path.iterdir()] == ["kdsspark.prom"]


def test_readers_see_the_former_file_until_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "kdsspark.prom"
    first, second = (metrics.gauges(record(code), "study.yaml", None) for code in (0, 3))
    metrics.write(str(path), first)
    with path.open("rb") as reader:
        metrics.write(str(path), second)
        assert reader.read() == generate_latest(first)
    assert path.read_bytes() == generate_latest(second)


@pytest.mark.usefixtures("_umask")
def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for wrong in (tmp_path / "folder", tmp_path / "absent" / "x.prom"):
        with pytest.raises(ConfigError, match="--metrics must be a file that can be written"):
            metrics.write(str(wrong), metrics.gauges(record(), "study.yaml", None))
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
