"""The numbers of a run in Prometheus' text form, for a textfile collector or a Pushgateway.

Every sample is labelled by ``config`` and ``command``: a node exporter takes all of a folder's
files together, and two studies must not have samples of the same name and labels.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from kdsspark.config.redaction import without_secrets
from kdsspark.errors import ConfigError
from kdsspark.pipeline.records import Record

_HELP: Final = {
    "success": "1 if the last run ended with exit code 0, else 0.",
    "exit_code": "Exit code of the last run: 0 done, 1 failed, 2 wrong use, 3 too many failures.",
    "start_timestamp_seconds": "When the last run began.",
    "last_success_timestamp_seconds": "When the last run that ended with exit code 0 did so.",
    "duration_seconds": "How long the last run took.",
    "stage_seconds": "How long each stage of the last run took.",
    "images": "Images of the index by what became of them.",
    "features_measured": "Features that are measured over all images.",
}
_STATES: Final = ("embedded", "failed")
_Sample = tuple[str, dict[str, str], float]


def write(path: str, text: str) -> None:
    """Replace a local file in one step; raises :class:`ConfigError` where that cannot be done.

    Until then the text lies under a name that no collector reads, since it does not end in .prom.
    """
    temporary = Path(f"{path}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.chmod(0o644)  # a collector runs as another user
            os.replace(temporary, path)  # noqa: PTH105 (a path as the user gave it)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"--metrics must be a file that can be written: {error}") from error


def render(record: Record, config: str, last_success: Record | None) -> str:
    """The metrics of one run; ``config`` is what ``--config`` said.

    ``last_success`` is the last run of the same command that ended with exit code 0.
    """
    common = {"config": without_secrets(config), "command": record.command}
    lines = []
    samples = list(_samples(record, last_success))
    for name, text in _HELP.items():
        found = [(labels, value) for other, labels, value in samples if other == name]
        if found:
            lines += [f"# HELP kdsspark_run_{name} {text}", f"# TYPE kdsspark_run_{name} gauge"]
        for labels, value in found:
            lines.append(f"kdsspark_run_{name}{{{_labels(common | labels)}}} {value!r}")
    return "\n".join(lines) + "\n"


def _samples(record: Record, last_success: Record | None) -> Iterator[_Sample]:
    yield "success", {}, int(record.exit_code == 0)
    yield "exit_code", {}, record.exit_code
    yield "start_timestamp_seconds", {}, _timestamp(record.started)
    if last_success:
        yield "last_success_timestamp_seconds", {}, _timestamp(last_success.finished)
    yield "duration_seconds", {}, record.seconds
    for stage, seconds in _by_stage(record).items():
        yield "stage_seconds", {"stage": stage}, seconds
    for row in record.counts:
        pair = {key: row[key] for key in ("network", "dataset")}
        for state in _STATES:
            yield "images", pair | {"state": state}, row[state]
        yield "features_measured", pair, row["features"]


def _by_stage(record: Record) -> dict[str, float]:
    """Seconds of each stage; added up where one ran twice, for a sample must be there once."""
    total: dict[str, float] = {}
    for row in record.stages:
        total[row["stage"]] = total.get(row["stage"], 0.0) + row["seconds"]
    return total


def _timestamp(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
