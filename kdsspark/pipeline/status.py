"""``kdsspark status``: what of a study is done, without Spark, the lock, or writing (driver).

Every stage is held against what a run would plan now: the shards that the images of the index
would be put into, and the digests that the receipts of the other stages would have to say. Whether
the folders still hold what the index says is not looked at, since listing them is what the index
stage does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from kdsspark.config import Config, Dataset
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.network.spec import NetworkSpec
from kdsspark.output import definitions, parquet, receipts
from kdsspark.output.store import Store
from kdsspark.pipeline import records as runs
from kdsspark.pipeline.records import Record
from kdsspark.stages import check, index
from kdsspark.stages.embed import sharding, shards
from kdsspark.stages.measure import stage as measure
from kdsspark.stages.probe import stage as probe
from kdsspark.stages.summarize import stage as summarize
from kdsspark.stages.transform import stage as transform
from kdsspark.tables import IMAGES
from kdsspark.terminal import aligned

NOTE: Final = "Compared with the index, not with the folders: kdsspark index lists them anew."


@dataclass(frozen=True)
class StageStatus:
    """One stage of one dataset by one network, in the stage's unit of counting.

    ``stale``: made of earlier inputs or settings, or in a shard that the next run writes again.
    ``missing``: not made. ``failed``: images that could not be embedded.
    """

    network: str  # "-" for the index, which no network has a part in
    dataset: str
    stage: str
    counted: str  # images, slices, datasets, parts
    done: int = 0
    stale: int = 0
    missing: int = 0
    failed: int = 0
    max_failures: float = 1.0  # share of the images that may fail

    @property
    def finished(self) -> bool:
        """Whether the next run has nothing to do here."""
        return bool(self.done or self.failed) and not (self.stale or self.missing)

    @property
    def state(self) -> str:
        """``done``; ``failed``: done, with more failures than allowed; ``stale``; ``unfinished``:
        some of it was never made; ``missing``: all of it.
        """
        if self.finished:
            limit = self.max_failures * (self.done + self.failed)
            return "failed" if self.failed > limit else "done"
        if self.stale:
            return "stale"
        return "unfinished" if self.done or self.failed else "missing"


@dataclass(frozen=True)
class Status:
    """All stages, why the next run would be refused if it would, and the last recorded run."""

    stages: tuple[StageStatus, ...]
    refusal: str | None
    last_run: Record | None

    def __str__(self) -> str:
        heads = "network dataset stage state done stale missing failed of"
        rows: list[tuple[str, ...]] = [tuple(heads.split())]
        for s in self.stages:
            counts = (f"{n:,}" for n in (s.done, s.stale, s.missing, s.failed))
            rows.append((s.network, s.dataset, s.stage, s.state, *counts, s.counted))
        lines = [aligned(rows, to_the_right=range(4, 8)), "", NOTE, _told(self.last_run)]
        if self.refusal:
            lines.append(f"The next run would be refused: {self.refusal}")
        return "\n".join(lines)


def status(config: Config) -> Status:
    """How far the study is. Raises :class:`ConfigError` where the output is on no file system."""
    store = Store.at(config.output)
    stages = [_indexed(store, dataset) for dataset in config.datasets]
    for network, dataset in config.pairs():
        stages += _of_pair(store, config, network, dataset)
    return Status(tuple(stages), _refusal(store, config), runs.latest(store))


def _told(run: Record | None) -> str:
    if run is None:
        return "No run is recorded."
    error = f": {run.error}" if run.error else ""
    return f"Last run: {run.command}, {run.started}, exit code {run.exit_code}{error}"


def _refusal(store: Store, config: Config) -> str | None:
    try:
        definitions.settle(_Unwritten(store.url), config, fresh=False)
    except ConfigError as error:
        return str(error)
    return None


class _Unwritten(Store):
    """A store that takes what it is given to write for written."""

    def write_json(self, relative: str, value: Any) -> None:
        """Do nothing."""


# -- stages --------------------------------------------------------------------------------------


def _indexed(store: Store, dataset: Dataset) -> StageStatus:
    rows = parquet.read(store, IMAGES, dataset.name, columns=["class_id"])
    return StageStatus("-", dataset.name, "index", "images", done=len(rows))


def _of_pair(store: Store, config: Config, network: str, dataset: Dataset) -> list[StageStatus]:
    """The stages of one dataset by one network; what follows from stale inputs is stale."""
    pair, settings = (network, dataset.name), config.measure
    embedded = _embedded(store, config, network, dataset)
    if embedded.finished and not embedded.done:
        return [embedded]  # no image works: a run leaves such a dataset out of all that follows
    slices = measure.plan(store, pair, settings).digests if embedded.finished else {}
    measured = _of_units(store, pair, receipts.MEASURE, "slices", slices)
    datasets: dict[str, str] = {}
    parts: dict[str, str] = {}
    if measured.finished:
        unit = summarize.plan(store, pair, settings)
        datasets = {unit.name: unit.digest}
        parts = {u.name: u.digest for u in check.plan(store, pair, settings)}
    return [
        embedded,
        measured,
        _of_units(store, pair, receipts.SUMMARIZE, "datasets", datasets),
        _of_units(store, pair, receipts.CHECK, "parts", parts),
        *_optional(store, config, pair),
    ]


def _optional(store: Store, config: Config, pair: tuple[str, str]) -> list[StageStatus]:
    """The stages that are no part of a run, where they were run on this dataset."""
    begun = [s for s in (transform.SHARDS, probe.STAGE) if receipts.read(store, s, "/".join(pair))]
    digests: dict[str, Mapping[str, str]] = {}
    if begun:
        with suppress(DatasetError):  # the stage above is not done with these inputs
            planned = transform.plan(store, pair, config.transform, config.measure)
            digests[transform.SHARDS] = planned.digests
            probes = probe.plan(store, pair, config.probe, config.transform, config.measure)
            digests[probe.STAGE] = {unit.name: unit.digest for unit in probes}
    counted = {transform.SHARDS: "shards", probe.STAGE: "probes"}
    return [_of_units(store, pair, s, counted[s], digests.get(s, {})) for s in begun]


def _of_units(
    store: Store, pair: tuple[str, str], stage: str, counted: str, digests: Mapping[str, str]
) -> StageStatus:
    """Units (name -> digest) held against their receipts.

    Without units, which cannot be planned before the stage above is done, what receipts tell of
    is of earlier inputs.
    """
    name, (network, dataset) = "/".join(pair), pair
    folders = {unit.rpartition("/")[0] for unit in digests} or {network}
    found = {
        unit: receipt.digest
        for folder in folders
        for unit, receipt in receipts.read(store, stage, folder).items()
        if f"{unit}/".startswith(f"{name}/")
    }
    if not digests:
        return StageStatus(network, dataset, stage, counted, stale=len(found))
    done = sum(found.get(unit) == digest for unit, digest in digests.items())
    missing = len(digests.keys() - found.keys())
    return StageStatus(
        network, dataset, stage, counted, done, len(digests) - done - missing, missing
    )


def _embedded(store: Store, config: Config, network: str, dataset: Dataset) -> StageStatus:
    """Images held against the shards, by the rules that the embed stage plans with."""
    ids = index.image_ids(store, dataset.name)
    n_images, limit = len(ids), config.embed.max_failures
    nothing = StageStatus(
        network, dataset.name, "embed", "images", missing=n_images, max_failures=limit
    )
    key = "" if dataset.ready_made else _fingerprint(store, network)
    if not n_images or key is None:
        return nothing
    prefix = shards.FILE_PREFIX if dataset.ready_made else shards.name_prefix(key)
    held, rows = shards.held(store, network, dataset.name, prefix)
    places = shards.places(ids, rows)
    del ids, rows  # before the other columns come
    wanted = index.images(store, dataset.name)
    if dataset.ready_made:
        assigned = sharding.assign_files(wanted)
    else:
        size = sharding.shard_size(n_images, config.embed.shard_images)
        assigned = sharding.assign(wanted, places, size, key)
    current = [
        held.finished[shard.name].counts
        for shard, _ in sharding.split(assigned)
        if held.is_current(shard)
    ]
    done, failed = (sum(counts[key] for counts in current) for key in ("embedded", "failed"))
    n_held = int((places.of_image >= 0).sum())
    return replace(
        nothing,
        done=done,
        failed=failed,
        stale=n_held - done - failed,
        missing=n_images - n_held,
    )


def _fingerprint(store: Store, network: str) -> str | None:
    """Of the network that the output was made with; None where none was prepared yet."""
    try:
        saved = store.read_json(f"_networks/{network}.json")
    except FileNotFoundError:
        return None
    return NetworkSpec.from_dict(saved["spec"]).fingerprint
