"""Run records: what every run did and how it ended, ``<output>/runs/<id>.json`` (driver).

One JSON object on one line, so that ``spark.read.json("<output>/runs")`` is a table of the runs;
lists of objects stand where maps would give every run other columns. Ids sort by time.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from kdsspark.config import Config
from kdsspark.config.redaction import redacted, without_secrets
from kdsspark.hashing import fingerprint
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED, MEASURE, index
from kdsspark.stages.embed import processors
from kdsspark.stages.embed.shards import state as shards
from kdsspark.versions import versions

FOLDER: Final = "runs"


@dataclass(frozen=True)
class Record:
    """One run. All that is of an output is empty where the run did not get to it."""

    id: str
    command: str  # run, index, embed, ...
    started: str  # UTC, ISO 8601
    finished: str
    seconds: float
    exit_code: int
    error: str | None  # the line that the user saw
    fingerprint: str | None  # of the redacted configuration
    configuration: str | None  # redacted, as JSON text
    versions: list[dict[str, str]]  # package, version
    stages: list[dict[str, Any]]  # stage, seconds; in the order they ran, the last one may fail
    counts: list[dict[str, Any]]  # network, dataset, images, embedded, failed, features
    failures: list[dict[str, Any]]  # network, dataset, stage, error, n
    # Files below a dataset's path that are no images: dataset, class_name (where the class is left
    # out whole), ending, reason, files. Records of earlier versions have none.
    left_out: list[dict[str, Any]] = field(default_factory=list)
    # What embeddings were computed on: network, dataset, computed_on, images. As with left_out.
    processors: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Run:
    """A run under way: give it its configuration, time its stages, and write its record."""

    command: str
    config: Config | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._started = datetime.now(UTC)
        self._start = time.monotonic()
        self._under_way: tuple[dict[str, Any], float] | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, also one that fails or that a signal ends."""
        stage = {"stage": name, "seconds": 0.0}
        self.stages.append(stage)
        self._under_way = stage, time.monotonic()
        try:
            yield
        finally:
            self._time_stage()
            self._under_way = None

    def _time_stage(self) -> None:
        """The stage under way has taken so long up to now."""
        if self._under_way:
            stage, start = self._under_way
            stage["seconds"] = _seconds_since(start)

    def ended(self, exit_code: int, error: str | None = None) -> Record:
        """The record of this run, with what the output holds by now; secrets are blotted out.

        A run that did not come to a stage counts nothing: the output may be another run's. Counts
        are empty, too, where the output is out of reach.
        """
        self._time_stage()
        shown = redacted(self.config) if self.config else None
        counts: list[dict[str, Any]] = []
        failures: list[dict[str, Any]] = []
        left_out: list[dict[str, Any]] = []
        kinds: list[dict[str, Any]] = []
        if self.config and self.stages:
            try:
                output = Output.at(self.config.output)
                pairs = [Pair(network, dataset.name) for network, dataset in self.config.pairs()]
                counts, failures = _counts(output, pairs), _failures(output, pairs)
                left_out, kinds = _left_out(output, self.config), _processors(output, pairs)
            except Exception:  # whatever it is, the run's own error is the one to tell
                counts, failures, left_out, kinds = [], [], [], []
        return Record(
            id=f"{self._started:%Y%m%dT%H%M%S.%fZ}-{uuid.uuid4().hex[:8]}",
            command=self.command,
            started=_iso(self._started),
            finished=_iso(datetime.now(UTC)),
            seconds=_seconds_since(self._start),
            exit_code=exit_code,
            error=None if error is None else without_secrets(error),
            fingerprint=fingerprint(shown) if shown else None,
            configuration=json.dumps(shown, ensure_ascii=False) if shown else None,
            versions=[{"package": name, "version": v} for name, v in versions().items()],
            stages=self.stages,
            counts=counts,
            failures=failures,
            left_out=left_out,
            processors=kinds,
        )


def write(output: Output, record: Record) -> None:
    """Write the record into the output, whole or not at all; the lock is not needed."""
    with output.create(f"{FOLDER}/{record.id}.json") as file:
        file.write(json.dumps(asdict(record), ensure_ascii=False).encode() + b"\n")


def latest(
    output: Output, command: str | None = None, exit_code: int | None = None
) -> Record | None:
    """The last run that began, of those with this command and exit code if they are given."""
    for path in reversed(output.files(FOLDER)):
        record = Record(**output.read_json(path))
        if command in (None, record.command) and exit_code in (None, record.exit_code):
            return record
    return None


def _counts(output: Output, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """What the receipts say; ``features`` is how many are measured."""
    rows = []
    for pair in pairs:
        embedded, measured = (_total(stage.receipts(output).of(pair)) for stage in (EMBED, MEASURE))
        counts = {key: embedded[key] for key in ("images", "embedded", "failed")}
        counts["features"] = measured["features"]
        rows.append({**pair._asdict(), **counts})
    return rows


def _total(found: Mapping[ItemName, Receipt]) -> Counter[str]:
    total: Counter[str] = Counter()
    for receipt in found.values():
        total.update(receipt.counts)
    return total


def _failures(output: Output, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """How many images failed for which kind of error."""
    rows = []
    for pair in pairs:
        failed = shards.failures(output, pair)
        counts = Counter(zip(failed["stage"].to_pylist(), failed["error"].to_pylist(), strict=True))
        rows += [
            {**pair._asdict(), "stage": stage, "error": error, "n": n}
            for (stage, error), n in sorted(counts.items())
        ]
    return rows


def _processors(output: Output, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """How many images were embedded on which kind of processor."""
    return [
        {**pair._asdict(), "computed_on": kind, "images": n}
        for pair, kinds in processors.of_pairs(output, pairs).items()
        for kind, n in kinds.items()
    ]


def _left_out(output: Output, config: Config) -> list[dict[str, Any]]:
    """What the index stage did not take, as the output's ``images`` keep it."""
    return [
        {"dataset": dataset.name, **group._asdict()}
        for dataset in config.datasets
        for group in index.left_out_of(output, dataset.name)
    ]


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds_since(start: float) -> float:
    return round(time.monotonic() - start, 3)
