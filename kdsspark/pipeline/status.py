"""``kdsspark status``: how far a study is, without Spark, the lock, or writing (driver).

Each stage plans what a run would do now, and holds the plan against the receipts. Whether the
folders still hold what the index says is not looked at, since listing them is what the index
stage does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from kdsspark.config import Config
from kdsspark.engine.stage import NO_NETWORK, Stage, Standing
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.output import definitions
from kdsspark.output.held import Beyond, beyond
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.pipeline import records
from kdsspark.pipeline.records import Record
from kdsspark.stages import EVERY
from kdsspark.stages.embed import processors
from kdsspark.terminal import aligned

NOTE: Final = "Compared with the index, not with the folders: kdsspark index lists them anew."


@dataclass(frozen=True)
class StageStatus:
    """How far one stage is with one dataset by one network, in what the stage counts."""

    network: str  # "-" for the index, in which no network has a part
    dataset: str
    stage: str
    counted: str  # images, slices, datasets, parts
    standing: Standing
    max_failures: float = 1.0  # share of the images that may fail

    @property
    def state(self) -> str:
        """One word.

        ``done``; ``failed``: done, with more failures than allowed; ``stale``: some of it is of
        earlier inputs; ``unfinished``: some of it was never made; ``missing``: all of it.
        """
        s = self.standing
        if s.finished:
            limit = self.max_failures * (s.done + s.failed)
            return "failed" if s.failed > limit else "done"
        if s.stale:
            return "stale"
        return "unfinished" if s.done or s.failed else "missing"


@dataclass(frozen=True)
class Status:
    """All stages, why the next run would be refused if it would, and the last recorded run.

    ``beyond``: what the output holds and the configuration does not name. ``mixtures``: a line for
    each pair whose embeddings were computed on several kinds of processors.
    """

    stages: tuple[StageStatus, ...]
    refusal: str | None
    last_run: Record | None
    beyond: tuple[Beyond, ...] = ()
    mixtures: tuple[str, ...] = ()

    def __str__(self) -> str:
        heads = "network dataset stage state done stale missing failed of"
        rows: list[tuple[str, ...]] = [tuple(heads.split())]
        for s in self.stages:
            n = s.standing
            counts = (f"{count:,}" for count in (n.done, n.stale, n.missing, n.failed))
            rows.append((s.network, s.dataset, s.stage, s.state, *counts, s.counted))
        lines = [
            aligned(rows, to_the_right=range(4, 8)),
            "",
            *map(str, self.beyond),
            *self.mixtures,
        ]
        lines += [NOTE, _last_line(self.last_run)]
        if self.refusal:
            lines.append(f"The next run would be refused: {self.refusal}")
        return "\n".join(lines)


def status(config: Config) -> Status:
    """How far the study is. Raises :class:`ConfigError` where the output is on no file system."""
    output = Output.at(config.output)
    stages = [
        _status(output, config, stage, Pair(NO_NETWORK, dataset.name))
        for stage in EVERY
        if stage.scope == "dataset"
        for dataset in config.datasets
    ]
    for network, dataset in config.pairs():
        stages += _of_pair(output, config, Pair(network, dataset.name))
    pairs = [Pair(network, dataset.name) for network, dataset in config.pairs()]
    return Status(
        tuple(stages),
        _refusal(output, config),
        records.latest(output),
        tuple(beyond(output, config)),
        tuple(processors.mixtures(processors.of_pairs(output, pairs))),
    )


def _last_line(run: Record | None) -> str:
    if run is None:
        return "No run is recorded."
    error = f": {run.error}" if run.error else ""
    return f"Last run: {run.command}, {run.started}, exit code {run.exit_code}{error}"


def _refusal(output: Output, config: Config) -> str | None:
    try:
        definitions.refuse_changes(output, config)
    except ConfigError as error:
        return str(error)
    return None


def _of_pair(output: Output, config: Config, pair: Pair) -> Iterator[StageStatus]:
    """The stages of one pair; stages that are not part of a run, where they were run on it."""
    finished: set[str] = set()
    for stage in EVERY:
        if stage.scope != "pair":
            continue
        if not stage.part_of_run and not _receipts_below(output, stage, pair):
            continue
        if not stage.wanted(config, pair):
            continue
        ready = stage.needs is None or stage.needs.name in finished
        found = _status(output, config, stage, pair, ready)
        yield found
        if found.standing.finished:
            finished.add(stage.name)
            if not found.standing.done:
                return  # no image works: a run leaves such a dataset out of all that follows


def _status(
    output: Output, config: Config, stage: Stage, pair: Pair, ready: bool = True
) -> StageStatus:
    """Before its inputs are ready a stage cannot be planned: what it has is of earlier inputs."""
    limit = config.embed.max_failures
    standing = Standing(stale=_receipts_below(output, stage, pair))
    if ready:
        with suppress(DatasetError):
            standing = stage.plan(output, config, pair).standing(output)
    return StageStatus(*pair, stage.name, stage.counted, standing, limit)


def _receipts_below(output: Output, stage: Stage, pair: Pair) -> int:
    """How many receipts a stage has of a pair and of its parts."""
    receipts = stage.receipts(output)
    return len(receipts.of(pair)) + (receipts.find(pair.name) is not None)
