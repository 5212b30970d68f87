"""Stage ``probe``: do the relevant features suffice to tell the classes apart? (driver)

A linear support vector machine is fitted to every layer, and to all layers together: with all
features, with the relevant ones only, and with the full-network embedding. Each is one work item.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow.compute as pc

from kdsspark.config import Config, Probe
from kdsspark.engine.stage import Context
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import PROBE as PROBE_STAGE
from kdsspark.stages import pairs
from kdsspark.stages.embed import complete
from kdsspark.stages.embed.networks import layer_widths
from kdsspark.stages.pairs import PairPlan
from kdsspark.stages.probe.layer_task import ALL_CLASSES, ProbeItem, probe_layer
from kdsspark.stages.transform import stage as transform
from kdsspark.tables import EMBEDDINGS, FULL_NETWORK, PROBE, PRUNED, TRANSFORM_FEATURES, Table
from kdsspark.terminal import aligned

ALL_LAYERS: Final = "*"

SOURCES: Final[dict[str, Table]] = {
    "all": EMBEDDINGS,
    "relevant": PRUNED,
    "full_network": FULL_NETWORK,
}
"""Value of the column ``features`` of ``probe`` -> the table with these features."""

_FORMAT: Final = 2  # of the files written; if it changes, every output is probed again
BYTES_OF_A_VALUE: Final = 40  # float64, those to train with, the solver's with the feature's number


@dataclass(frozen=True)
class _Source:
    """One table of embeddings of one dataset."""

    pair: Pair
    features: str
    widths: Mapping[str, int]  # layer -> features
    shards: Mapping[str, int]  # name -> images
    digest: str  # of the contents

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(SOURCES[self.features].part(shard, *self.pair) for shard in self.shards)

    def sets(self) -> Iterator[tuple[str, str, list[str]]]:
        """The sets of features to probe: name of the part, ``layer`` of ``probe``, layers."""
        for depth, layer in enumerate(self.widths):
            yield f"{self.features}-{depth:04d}", layer, [layer]
        yield f"{self.features}-whole", ALL_LAYERS, list(self.widths)


def run(context: Context) -> None:
    """Probe every pair; raises :class:`DatasetError` if one is not transformed."""
    pairs.run(context, PROBE_STAGE, plan, probe_layer, lambda item: item.n_features)


def plan(output: Output, config: Config, pair: Pair) -> PairPlan:
    """What is probed of a pair, done or not; raises :class:`DatasetError` if not transformed."""
    planned = transform.plan(output, config, pair)
    if not planned.finished(output):
        raise DatasetError(
            f"dataset {pair.dataset}: is not transformed for network {pair.network} with these "
            f"settings, run the transform stage first"
        )
    shards = {name: receipt.counts["embedded"] for name, receipt in planned.embedded.items()}
    widths = layer_widths(output, pair.network)
    of_images = fingerprint({name: receipt.digest for name, receipt in planned.embedded.items()})
    of_both = fingerprint(planned.digests)
    sources = [
        _Source(pair, "all", widths, shards, of_images),
        _Source(pair, "relevant", _relevant_widths(output, pair, widths), shards, of_both),
        _Source(pair, "full_network", widths, shards, of_both),
    ]
    memory = config.measure.memory_bytes
    items = [item for one in sources for item in _items(output, one, config.probe, memory)]
    return PairPlan.of(PROBE_STAGE, items)


def _relevant_widths(output: Output, pair: Pair, widths: Mapping[str, int]) -> dict[str, int]:
    table = parquet.read(output, TRANSFORM_FEATURES, *pair, columns=["layer", "position"])
    kept = Counter(table.filter(pc.is_valid(table["position"]))["layer"].to_pylist())
    return {layer: kept[layer] for layer in widths}


def _items(output: Output, source: _Source, settings: Probe, memory: int) -> list[ProbeItem]:
    found = []
    n_images = sum(source.shards.values())
    for name, label, layers in source.sets():
        columns = tuple((layer, source.widths[layer]) for layer in layers)
        n_values = n_images * sum(width for _, width in columns)
        streams = n_values * BYTES_OF_A_VALUE > memory
        item = ProbeItem(
            name=source.pair.item(name),
            digest=fingerprint([_FORMAT, source.digest, columns, settings.model_dump(), streams]),
            output=output,
            pair=source.pair,
            layer=label,
            features=source.features,
            layers=columns,
            parts=source.parts,
            settings=settings,
            streams=streams,
        )
        found.append(item)
    return found


# -- for the terminal ----------------------------------------------------------------------------


def closing(context: Context) -> str:
    """The share of test images classified correctly, by layer and features.

    The number of features follows in brackets. ``-`` means that there was no image to test with.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in _of_all_classes(context.output):
        key = (row["network"], row["dataset"], row["layer"])
        found.setdefault(key, {})[row["features"]] = _cell(row)
    rows = [("network", "dataset", "layer", "all", "relevant", "full network")]
    for pair in complete.working_pairs(context):
        if not PROBE_STAGE.wanted(context.config, pair):
            continue
        layers = [*layer_widths(context.output, pair.network), ALL_LAYERS]
        cells = ((layer, found.get((*pair, layer), {})) for layer in layers)
        rows += [
            (*pair, layer, *(cell.get(name, "-") for name in SOURCES)) for layer, cell in cells
        ]
    return aligned(rows, to_the_right=range(3, 6))


def _of_all_classes(output: Output) -> list[dict[str, Any]]:
    columns = ["network", "dataset", "layer", "features", "class_id", "n_features", "accuracy"]
    table = parquet.read(output, PROBE, columns=columns)
    rows: list[dict[str, Any]] = table.filter(pc.equal(table["class_id"], ALL_CLASSES)).to_pylist()
    return rows


def _cell(row: Mapping[str, Any]) -> str:
    accuracy = "-" if row["accuracy"] is None else f"{row['accuracy']:.3f}"
    return f"{accuracy} ({row['n_features']:,})"
