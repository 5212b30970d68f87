"""The histograms of single (feature, class) pairs, for figure 1 of the paper (driver)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kdsspark.config import Config
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.report.data import Pair
from kdsspark.report.queries import PAIR
from kdsspark.storage import parquet
from kdsspark.storage.files import Store
from kdsspark.tables import FEATURES, IMAGES

Wanted = tuple[str, str, int, str]
"""A pair as it is asked for: dataset, layer, unit, name of the class."""

_NAMED = 12  # names that an error lists


def read_pairs(session: Any, store: Store, config: Config, wanted: Sequence[Wanted]) -> list[Pair]:
    """Every wanted pair, by each network that has its dataset and layer; views are registered.

    Raises :class:`ConfigError` for a dataset, layer, unit or class that is not there, and
    :class:`DatasetError` where there are no histograms.
    """
    names = dict.fromkeys(network for network, _ in config.pairs())
    widths = {network: _widths(store, network) for network in names}
    return [pair for one in wanted for pair in _read(session, store, config, widths, one)]


def _read(
    session: Any,
    store: Store,
    config: Config,
    widths: Mapping[str, Mapping[str, int]],
    wanted: Wanted,
) -> list[Pair]:
    dataset, layer, unit, class_name = wanted
    _check("dataset", [d.name for d in config.datasets], dataset)
    networks = [network for network, d in config.pairs() if d.name == dataset]
    layers = [name for network in networks for name in widths[network]]
    _check(f"layer of dataset {dataset}", list(dict.fromkeys(layers)), layer)
    networks = [network for network in networks if layer in widths[network]]
    width = max(widths[network][layer] for network in networks)
    if not 0 <= unit < width:
        raise ConfigError(f"--pair: unit of {layer} must be from 0 to {width - 1}, got {unit}")
    classes = _classes(store, dataset)
    _check(f"class of dataset {dataset}", list(classes), class_name)
    found = [
        Pair(network, dataset, layer, unit, class_name, bins)
        for network in networks
        if unit < widths[network][layer]
        for bins in [read_bins(session, network, dataset, layer, unit, classes[class_name])]
        if bins is not None
    ]
    if not found:
        raise DatasetError(
            f"dataset {dataset}: no histogram of unit {unit} of {layer} for class "
            f"{class_name!r}, needs measure.histograms and finite values"
        )
    return found


def _check(what: str, known: Sequence[str], got: str) -> None:
    if got not in known:
        shown = ", ".join(known[:_NAMED]) + (", ..." if len(known) > _NAMED else "")
        raise ConfigError(f"--pair: {what} must be one of {shown}, got {got!r}")


def _widths(store: Store, network: str) -> dict[str, int]:
    rows = parquet.read(store, FEATURES, network, columns=["layer"])["layer"].to_pandas()
    return {str(layer): int(n) for layer, n in rows.value_counts(sort=False).items()}


def _classes(store: Store, dataset: str) -> dict[str, int]:
    rows = parquet.read(store, IMAGES, dataset, columns=["class_name", "class_id"]).to_pandas()
    rows = rows.drop_duplicates().sort_values("class_id")
    return {str(name): int(class_id) for name, class_id in rows.itertuples(index=False)}


def read_bins(
    session: Any, network: str, dataset: str, layer: str, unit: int, class_id: int
) -> pd.DataFrame | None:
    """Columns lo, hi, inner, outer of one pair, a row per bin; views are registered.

    None without finite values, or where no histograms are kept.
    """
    where = {"network": network, "dataset": dataset, "layer": layer, "unit": unit}
    rows = session.sql(PAIR, args=where).toPandas()
    inner = rows.loc[rows["class_id"] == class_id, "counts"]
    if inner.empty or rows["lo"].isna().all():
        return None
    total = np.stack(rows["counts"].to_list()).sum(axis=0)
    own = np.asarray(inner.iloc[0], np.int64)
    edges = np.linspace(rows["lo"].iloc[0], rows["hi"].iloc[0], own.size + 1)
    return pd.DataFrame({"lo": edges[:-1], "hi": edges[1:], "inner": own, "outer": total - own})
