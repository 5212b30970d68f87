"""What the report says of a run and its networks, beside the results of the queries (driver)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pandas as pd
import yaml

from kdsspark.config import Config, Preprocessing
from kdsspark.config.redaction import redacted
from kdsspark.network.spec import NetworkSpec
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.report.data import ComputedOn, NetworkInfo, RunInfo
from kdsspark.stages.embed.networks import layer_sizes, saved_networks
from kdsspark.tables import FEATURES
from kdsspark.versions import versions


def run_info(config: Config, made: Sequence[Receipt]) -> RunInfo:
    """When and how long, versions, and the configuration without secrets.

    ``made`` are the receipts of everything that the report shows.
    """
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "duration_s": sum(sum(receipt.seconds.values()) for receipt in made),
        "versions": versions(),
        "configuration": yaml.safe_dump(redacted(config), sort_keys=False, allow_unicode=True),
    }


def networks(output: Output, config: Config) -> list[NetworkInfo]:
    """Every configured network, in the order of the configuration."""
    specs = saved_networks(output, config)
    names = dict.fromkeys(network for network, _ in config.pairs())
    return [_network(output, name, specs.get(name)) for name in names]


def _network(output: Output, name: str, spec: NetworkSpec | None) -> NetworkInfo:
    features = parquet.read(output, FEATURES, name, columns=["layer"])["layer"]
    return {
        "name": name,
        "architecture": spec.architecture if spec else None,
        "weights": spec.weights if spec else None,
        "random": spec is not None and spec.weights == "random",
        "layers": len(features.unique()),
        "features": len(features),
        "crops": spec.crops if spec else None,
        "precision": spec.precision if spec else None,
        "activation": spec.activation if spec else None,
        "pooling": _pooling(spec) if spec else None,
        "preprocessing": _in_words(spec.preprocessing) if spec else None,
    }


def _pooling(spec: NetworkSpec) -> str:
    tokens = {layer.tokens for layer in spec.layers} - {"mean"}
    return ", ".join([spec.pooling, *(f"tokens: {which}" for which in tokens)])


def _in_words(p: Preprocessing) -> str:
    mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (p.mean, p.std))
    return (
        f"short side {p.resize} ({p.interpolation}), crops of {p.crop}; "
        f"{p.channels} from 0 to {p.scale}, mean {mean}, std {std}"
    )


def sizes(output: Output, config: Config) -> pd.DataFrame:
    """The sizes of layers, for table 1 of the paper: network, layer, neurons, parameters."""
    rows = [
        (network.name, layer, *size)
        for network in config.networks
        for layer, size in layer_sizes(output, network.name).items()
    ]
    return pd.DataFrame(rows, columns=["network", "layer", "neurons", "parameters"])


def computed_on(kinds: Mapping[Pair, Mapping[str, int]]) -> list[ComputedOn]:
    """Which kinds of processors computed the embeddings of how many images of each pair."""
    return [
        {"network": pair.network, "dataset": pair.dataset, "computed_on": kind, "images": n}
        for pair, own in kinds.items()
        for kind, n in own.items()
    ]
