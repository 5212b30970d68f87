"""A run's numbers for Prometheus, in a file for a textfile collector or a Pushgateway (driver).

Every sample has the labels ``config`` and ``command``: a node exporter merges all files of a
folder, and two studies must not have samples of the same name and labels.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

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


def write(path: str, registry: CollectorRegistry) -> None:
    """Replace a local file in one step; raises :class:`ConfigError` where that cannot be done.

    Until then the text lies under a name that no collector reads, since it does not end in .prom.
    """
    umask = os.umask(0o022)  # a collector runs as another user
    try:
        write_to_textfile(path, registry)
    except OSError as error:
        raise ConfigError(f"--metrics must be a file that can be written: {error}") from error
    finally:
        os.umask(umask)


def gauges(record: Record, config: str, last_success: Record | None) -> CollectorRegistry:
    """The metrics of one run; ``config`` is the value of ``--config``.

    ``last_success`` is the last run of the same command that ended with exit code 0.
    """
    registry = CollectorRegistry()
    common = {"config": without_secrets(config), "command": record.command}
    made: dict[str, Gauge] = {}

    def add(name: str, value: float, **labels: str) -> None:
        if name not in made:
            known = [*common, *labels]
            made[name] = Gauge(f"kdsspark_run_{name}", _HELP[name], known, registry=registry)
        made[name].labels(**common, **labels).inc(value)  # a stage may run twice

    add("success", record.exit_code == 0)
    add("exit_code", record.exit_code)
    add("start_timestamp_seconds", _timestamp(record.started))
    if last_success:
        add("last_success_timestamp_seconds", _timestamp(last_success.finished))
    add("duration_seconds", record.seconds)
    for row in record.stages:
        add("stage_seconds", row["seconds"], stage=row["stage"])
    for row in record.counts:
        of = {key: row[key] for key in ("network", "dataset")}
        for state in ("embedded", "failed"):
            add("images", row[state], **of, state=state)
        add("features_measured", row["features"], **of)
    return registry


def _timestamp(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
