"""``sparsity``: the share of features above zero, by layer (Agrawal et al. 2014, table 6).

They count the responses of one view at every place of the maps. Ours are embeddings: a feature of
a convolution is above zero if its filter fires anywhere in any crop of the image, so that its
layer seems less sparse; ten crops, of which one suffices, make that more. Only the fully connected
layers of an embedding of one crop can be compared with theirs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from kdsspark.config import Config
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.stage import Context
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS, pairs
from kdsspark.stages.pairs import Embedded, PairPlan
from kdsspark.tables import SPARSITY

STAGE: Final = next(one for one in EXPERIMENTS if SPARSITY in one.tables)
_FORMAT: Final = 1  # of the files written; if it changes, every output is computed again


@dataclass(frozen=True, kw_only=True)
class SparsityItem(WorkItem):
    """One layer of a pair."""

    output: Output
    source: Embedded
    layer: str


def run(context: Context) -> None:
    """Compute what is missing; raises :class:`DatasetError` if a pair is not embedded."""
    pairs.run(context, STAGE, plan, sparsity_of_layer, lambda item: item.source.widths[item.layer])


def plan(output: Output, _: Config, pair: Pair) -> PairPlan:
    """What is to do for a pair; raises :class:`DatasetError` if it is not embedded."""
    source = pairs.embedded(output, pair)
    digest = fingerprint([_FORMAT, source.digest])
    items = [
        SparsityItem(
            name=pair.item(f"layer-{depth:04d}"),
            digest=digest,
            output=output,
            source=source,
            layer=layer,
        )
        for depth, layer in enumerate(source.widths)
    ]
    return PairPlan.of(STAGE, items)


def sparsity_of_layer(item: SparsityItem) -> Outcome:
    """Write the row of one layer (executor)."""
    start = time.perf_counter()
    width = item.source.widths[item.layer]
    shares, ever = [], np.zeros(width, np.bool_)
    for part in item.source.parts:
        for rows in parquet.row_groups(item.output, part, [item.layer]):
            above = flat_values(rows[item.layer]).reshape(len(rows), width) > 0
            shares.append(above.mean(axis=1))
            ever |= above.any(axis=0)
    share = np.concatenate(shares)
    row = {
        "layer": item.layer,
        "n_images": len(share),
        "n_features": width,
        "mean": float(share.mean()),
        "deviation": float(share.std()),
        "never": int((~ever).sum()),
    }
    path = SPARSITY.part(item.name.part, *item.source.pair)
    parquet.write_rows(item.output, path, [row], SPARSITY)
    return Outcome({"images": len(share)}, {"compute": time.perf_counter() - start})
