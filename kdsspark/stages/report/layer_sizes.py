"""The neurons and parameters of layers: numbers of the paper's table 1 (driver)."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from kdsspark.config import Config
from kdsspark.network.spec import NetworkSpec
from kdsspark.output.output import Output
from kdsspark.stages.embed.networks import saved_networks


def of_networks(output: Output, config: Config) -> pd.DataFrame:
    """Columns: network, layer, neurons, parameters; networks of ready-made embeddings have none."""
    specs = saved_networks(output, config)
    rows = [(name, *row) for name, spec in specs.items() for row in _sizes(spec)]
    return pd.DataFrame(rows, columns=["network", "layer", "neurons", "parameters"])


def _sizes(spec: NetworkSpec) -> Iterator[tuple[str, int, int]]:
    if spec.is_pixels:
        return
    from kdsspark.network.layers.sizes import layer_sizes  # torch, which takes seconds to import

    for layer, (neurons, parameters) in layer_sizes(spec).items():
        yield layer, neurons, parameters
