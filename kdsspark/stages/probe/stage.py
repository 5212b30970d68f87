"""Stage ``probe``: do relevant features suffice to tell the classes apart? (driver)

A linear support vector machine for every layer, and for all layers side by side, with all
features, with the relevant ones only and with the full-network embedding. Each is one unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow.compute as pc
from pyspark.sql import SparkSession

from kdsspark.config import Measure, Probe, Transform
from kdsspark.engine import work as units
from kdsspark.engine.work import Unit
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.stages.measure import stage as measure
from kdsspark.stages.probe.layer_task import ALL_CLASSES, ProbeJob, probe_layer
from kdsspark.stages.transform import stage as transform
from kdsspark.tables import EMBEDDINGS, FULL_NETWORK, PROBE, PRUNED, TRANSFORM_FEATURES, Table
from kdsspark.terminal import aligned

STAGE: Final = "probe"
"""As receipts are filed."""

ALL_LAYERS: Final = "*"

SOURCES: Final[dict[str, Table]] = {
    "all": EMBEDDINGS,
    "relevant": PRUNED,
    "full_network": FULL_NETWORK,
}
"""``features`` of ``probe`` -> the table that has them."""

_FORMAT: Final = 1  # of what is written; another number makes every output be probed again
_BYTES_OF_A_VALUE: Final = 24  # float64, and the solver's own copy with the feature's number


@dataclass(frozen=True)
class _Source:
    """One table of embeddings of one dataset."""

    pair: tuple[str, str]  # network, dataset
    features: str
    widths: Mapping[str, int]  # layer -> features
    shards: Mapping[str, int]  # name -> images
    digest: str  # of its contents

    @property
    def parts(self) -> tuple[str, ...]:
        folder = SOURCES[self.features].partition(*self.pair)
        return tuple(f"{folder}/{shard}.parquet" for shard in self.shards)

    def sets(self) -> Iterator[tuple[str, str, list[str]]]:
        """Of features to probe: name of the part, ``layer`` of ``probe``, layers."""
        for depth, layer in enumerate(self.widths):
            yield f"{self.features}-{depth:04d}", layer, [layer]
        yield f"{self.features}-whole", ALL_LAYERS, list(self.widths)


def probe(
    session: SparkSession,
    store: Store,
    pairs: Sequence[tuple[str, str]],
    settings: Probe,
    transformed: Transform,
    measured: Measure,
) -> list[Receipt]:
    """Probe every (network, dataset); :class:`DatasetError` where one is not transformed."""
    work = []
    for pair in pairs:
        found = plan(store, pair, settings, transformed, measured)
        wanted = {unit.name for unit in found}
        parts = {name.rpartition("/")[2] for name in wanted}
        units.prune(store, STAGE, "/".join(pair), wanted, {PROBE.partition(*pair): parts})
        work += found
    # The largest first, so that cores end together.
    work.sort(key=lambda unit: -unit.work.n_features)
    return units.run(session, store, STAGE, work, probe_layer, "probes")


def plan(
    store: Store,
    pair: tuple[str, str],
    settings: Probe,
    transformed: Transform,
    measured: Measure,
) -> list[Unit]:
    """The units of a dataset, done or not; :class:`DatasetError` where it is not transformed."""
    planned = transform.plan(store, pair, transformed, measured)
    if not planned.finished(store):
        raise DatasetError(
            f"dataset {pair[1]}: is not transformed for network {pair[0]} with these settings, "
            f"run the transform stage first"
        )
    shards = {name: receipt.counts["embedded"] for name, receipt in planned.embedded.items()}
    widths = measure.layer_widths(store, pair[0])
    of_images = fingerprint({name: receipt.digest for name, receipt in planned.embedded.items()})
    of_both = fingerprint(planned.digests)
    sources = [
        _Source(pair, "all", widths, shards, of_images),
        _Source(pair, "relevant", _relevant_widths(store, pair, widths), shards, of_both),
        _Source(pair, "full_network", widths, shards, of_both),
    ]
    return [unit for one in sources for unit in _units(store, one, settings, measured.memory_bytes)]


def _relevant_widths(
    store: Store, pair: tuple[str, str], widths: Mapping[str, int]
) -> dict[str, int]:
    table = parquet.read(store, TRANSFORM_FEATURES, *pair, columns=["layer", "position"])
    kept = Counter(table.filter(pc.is_valid(table["position"]))["layer"].to_pylist())
    return {layer: kept[layer] for layer in widths}


def _units(store: Store, source: _Source, settings: Probe, memory: int) -> list[Unit]:
    found = []
    n_images = sum(source.shards.values())
    for name, label, layers in source.sets():
        columns = tuple((layer, source.widths[layer]) for layer in layers)
        n_values = n_images * sum(width for _, width in columns)
        streams = n_values * _BYTES_OF_A_VALUE > memory
        job = ProbeJob(
            *(store, source.pair, name, label, source.features, columns, source.parts, settings),
            streams=streams,
        )
        digest = fingerprint([_FORMAT, source.digest, columns, settings.model_dump(), streams])
        found.append(Unit("/".join([*source.pair, name]), digest, job))
    return found


# -- for the terminal ----------------------------------------------------------------------------


def closing_table(store: Store, pairs: Sequence[tuple[str, str]]) -> str:
    """The share of test images that were given their class, by layer and features.

    In brackets the number of features; ``-`` where there was no image to test with.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in _of_all_classes(store):
        key = (row["network"], row["dataset"], row["layer"])
        found.setdefault(key, {})[row["features"]] = _cell(row)
    rows = [("network", "dataset", "layer", "all", "relevant", "full network")]
    for pair in pairs:
        layers = [*measure.layer_widths(store, pair[0]), ALL_LAYERS]
        cells = ((layer, found.get((*pair, layer), {})) for layer in layers)
        rows += [
            (*pair, layer, *(cell.get(name, "-") for name in SOURCES)) for layer, cell in cells
        ]
    return aligned(rows, to_the_right=range(3, 6))


def _of_all_classes(store: Store) -> list[dict[str, Any]]:
    columns = ["network", "dataset", "layer", "features", "class_id", "n_features", "accuracy"]
    table = parquet.read(store, PROBE, columns=columns)
    rows: list[dict[str, Any]] = table.filter(pc.equal(table["class_id"], ALL_CLASSES)).to_pylist()
    return rows


def _cell(row: Mapping[str, Any]) -> str:
    accuracy = "-" if row["accuracy"] is None else f"{row['accuracy']:.3f}"
    return f"{accuracy} ({row['n_features']:,})"
