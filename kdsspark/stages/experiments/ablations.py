"""``ablations``: what carries the information, magnitudes or places (driver and executor).

Agrawal, Girshick & Malik 2014, section 5 and table 7: the classifier of ``probe`` on whole maps, on
where they are above zero, on their places in a random order, and on their maxima.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from kdsspark.config import Config
from kdsspark.engine.items import Outcome
from kdsspark.engine.stage import Context
from kdsspark.network.map_shape import MAPS, MapShape
from kdsspark.network.spec import Layer
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS, pairs
from kdsspark.stages.experiments.spatial import stage as spatial
from kdsspark.stages.experiments.spatial.fit_task import FitItem, FormColumn, fit
from kdsspark.stages.experiments.spatial.shard_task import read_shape
from kdsspark.stages.experiments.spatial.stage import SpatialExperiment
from kdsspark.stages.pairs import PairPlan
from kdsspark.stats.accuracy.space import binarised, shuffled_places
from kdsspark.tables import ABLATIONS as TABLE

FORMS: Final = ("as_is", "binarised", "shuffled", "max")
"""The forms of a layer of maps; other layers have the first two."""


def _forms(layer: Layer) -> tuple[str, ...]:
    return FORMS if spatial.has_maps(layer) else FORMS[:2]


EXPERIMENT: Final = SpatialExperiment(
    next(one for one in EXPERIMENTS if TABLE in one.tables), 1, MAPS, _forms
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
    EXPERIMENT.run(context, ablation_of_layer)


def ablation_of_layer(item: FitItem) -> Outcome:
    """Write the row of one layer and form (executor)."""
    shape = read_shape(item.output, item.parts[0], item.layer)
    n_features = shape.units * (1 if item.form == "max" else max(1, shape.cells**2))
    form = partial(make_form, item.form, shape, item.settings.seed)
    read = FormColumn(item.output, item.layer, n_features, form, item.settings)
    row = {
        "form": item.form,
        "map_side": shape.side or None,
        "averaged": shape.step if shape.side else None,
    }
    return fit(item, read, TABLE, row)


def make_form(
    form: str,
    shape: MapShape,
    seed: int,
    values: npt.NDArray[np.float32],
    image_keys: npt.NDArray[np.uint64],
) -> npt.NDArray[np.float32]:
    """The features of a form: [images, features].

    ``values`` [images, units x (cells + 1)] are whole maps, each with its maximum behind it, or
    [images, units] of a layer without maps.
    """
    n_images = len(values)
    if shape.side:
        units = values.reshape(n_images, shape.units, -1)
        if form == "max":
            return units[..., -1]
        values = units[..., :-1]
        if form == "shuffled":
            values = shuffled_places(values, image_keys, seed)
        values = values.reshape(n_images, -1)
    return binarised(values) if form == "binarised" else values
