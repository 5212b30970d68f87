"""``grids``: whether places tell classes apart, by maps pooled over grids (driver and executor).

Azizpour et al. 2014 (table 6, "Pooling"): the maps of a layer, pooled by mean or maximum over the
cells of a grid of 1 x 1, 2 x 2 and 3 x 3, and the classifier of ``probe`` on all cells.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from kdsspark.config import Config
from kdsspark.engine.items import Outcome
from kdsspark.engine.stage import Context
from kdsspark.network.map_shape import GRID_SIDES, GRIDS
from kdsspark.network.spec import Layer
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS, pairs
from kdsspark.stages.experiments.spatial import stage as spatial
from kdsspark.stages.experiments.spatial.fit_task import FitItem, FormColumn, fit
from kdsspark.stages.experiments.spatial.shard_task import grid_column, read_shape
from kdsspark.stages.experiments.spatial.stage import SpatialExperiment
from kdsspark.stages.pairs import PairPlan
from kdsspark.tables import GRIDS as TABLE

FORMS: Final = {
    f"{pooling}-{side}": (pooling, side) for side in GRID_SIDES for pooling in ("mean", "max")
}
"""Form -> pooling, and cells of a side."""


def _forms(layer: Layer) -> list[str]:
    return list(FORMS) if spatial.has_maps(layer) else []


EXPERIMENT: Final = SpatialExperiment(
    next(one for one in EXPERIMENTS if TABLE in one.tables), 1, GRIDS, _forms
)


def wanted(config: Config, pair: Pair) -> bool:
    """Whether the network of a pair may have maps."""
    return pairs.goes_through_a_network(config, pair)


def plan(output: Output, config: Config, pair: Pair) -> PairPlan:
    """What is to do for a pair; raises what :meth:`SpatialExperiment.plan` raises."""
    return EXPERIMENT.plan(output, config, pair)


def run(context: Context) -> None:
    """Compute what is missing; raises what :meth:`SpatialExperiment.run` raises.

    Also :class:`DatasetError` if no class of a dataset has two images, when the others are done.
    """
    EXPERIMENT.run(context, grid_of_layer)


def grid_of_layer(item: FitItem) -> Outcome:
    """Write the row of one layer, grid and pooling; none where the map is smaller (executor)."""
    pooling, side = FORMS[item.form]
    shape = read_shape(item.output, item.parts[0], item.layer)
    if side not in shape.grids:
        parquet.write_rows(item.output, TABLE.part(item.name.part, *item.pair), [], TABLE)
        return Outcome()
    column = grid_column(item.layer, pooling, side)
    n_features = shape.units * side**2
    read = FormColumn(item.output, column, n_features, _as_written, item.settings)
    return fit(item, read, TABLE, {"pooling": pooling, "grid": side, "map_side": shape.side})


def _as_written(
    values: npt.NDArray[np.float32], _: npt.NDArray[np.uint64]
) -> npt.NDArray[np.float32]:
    return values
