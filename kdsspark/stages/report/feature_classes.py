"""The histograms of single features and classes, for figure 1 of the paper (driver)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from kdsspark.config import Config
from kdsspark.engine.stage import FeatureClassWanted as Wanted
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.report.data import FeatureClass
from kdsspark.stages import label_sets
from kdsspark.stages.embed.networks import layer_widths
from kdsspark.stages.report.curves import ALL
from kdsspark.tables import HISTOGRAMS, RANGES, Table

Key = tuple[str, str, str, int, int]
"""A feature and class as the tables have it: network, dataset, layer, unit, class_id."""

_KEYS: Final = ("network", "dataset", "layer", "unit")
_NAMED: Final = 12  # names that an error lists


def read_feature_classes(
    output: Output, config: Config, wanted: Sequence[Wanted]
) -> list[FeatureClass]:
    """Every wanted feature and class, from each network that has the dataset and layer.

    Raises :class:`ConfigError` for an unknown dataset, layer, unit or class, and
    :class:`DatasetError` without histograms.
    """
    names = dict.fromkeys(network for network, _ in config.pairs())
    widths = {network: layer_widths(output, network) for network in names}
    keys = [(one, _keys(output, config, widths, one)) for one in wanted]
    bins = read_bins(output, [key for _, own in keys for key in own])
    read = []
    for (dataset, layer, unit, class_name), own in keys:
        if not any(key in bins for key in own):
            raise DatasetError(
                f"dataset {dataset}: no histogram of unit {unit} of {layer} for class "
                f"{class_name!r}, needs measure.histograms and finite values"
            )
        read += [FeatureClass(*key[:4], class_name, bins[key]) for key in own if key in bins]
    return read


def _keys(
    output: Output, config: Config, widths: Mapping[str, Mapping[str, int]], wanted: Wanted
) -> list[Key]:
    """One key for each network that has the dataset and layer."""
    dataset, layer, unit, class_name = wanted
    _check("dataset", [d.name for d in config.datasets], dataset)
    networks = [network for network, d in config.pairs() if d.name == dataset]
    layers = [name for network in networks for name in widths[network]]
    _check(f"layer of dataset {dataset}", list(dict.fromkeys(layers)), layer)
    networks = [network for network in networks if layer in widths[network]]
    width = max(widths[network][layer] for network in networks)
    if not 0 <= unit < width:
        raise ConfigError(f"--pair: unit of {layer} must be from 0 to {width - 1}, got {unit}")
    classes = label_sets.class_ids(output, dataset)
    _check(f"class of dataset {dataset}", list(classes), class_name)
    return [
        (network, dataset, layer, unit, classes[class_name])
        for network in networks
        if unit < widths[network][layer]
    ]


def _check(what: str, known: Sequence[str], got: str) -> None:
    if got not in known:
        shown = ", ".join(known[:_NAMED]) + (", ..." if len(known) > _NAMED else "")
        raise ConfigError(f"--pair: {what} must be one of {shown}, got {got!r}")


def read_bins(output: Output, keys: Sequence[Key]) -> dict[Key, pd.DataFrame]:
    """For each key a frame with a row per bin and the columns lo, hi, inner, outer (driver).

    Only files and row groups that may have the units are read. Keys without finite values or
    without histograms are absent.
    """
    units = list(dict.fromkeys(key[:4] for key in keys))
    counts = _rows(output, HISTOGRAMS, ["class_id", "counts"], units)
    rows = counts.merge(_rows(output, RANGES, ["lo", "hi"], units), on=list(_KEYS))
    of_unit = dict(list(rows.groupby(list(_KEYS))))
    read = ((key, _bins(of_unit.get(key[:4], rows.iloc[:0]), key[4])) for key in keys)
    return {key: bins for key, bins in read if bins is not None}


def _rows(
    output: Output, table: Table, columns: Sequence[str], units: Sequence[tuple[str, str, str, int]]
) -> pd.DataFrame:
    """The rows of ``units`` with their keys and these columns."""
    pairs = dict.fromkeys(unit[:2] for unit in units)
    files = [path for pair in pairs for path in output.files(table.partition(*pair))]
    names = [*_KEYS, *columns]
    if not files:
        return pd.DataFrame({name: [] for name in names})
    *_, layers, numbers = (list(set(values)) for values in zip(*units, strict=True))
    perhaps = pc.field("layer").isin(layers) & pc.field("unit").isin(numbers)
    rows = parquet.dataset(output, table, files).to_table(columns=names, filter=perhaps)
    found: pd.DataFrame = rows.to_pandas()
    return found.merge(pd.DataFrame(units, columns=list(_KEYS)))


def _bins(histograms: pd.DataFrame, class_id: int) -> pd.DataFrame | None:
    """The histogram of a class, and that of all others, from the histograms of one unit."""
    inner = histograms.loc[histograms["class_id"] == class_id, "counts"]
    if inner.empty or histograms["lo"].isna().all():
        return None
    if (histograms["class_id"] == ALL).any():  # classes overlap, and do not add up
        histograms = histograms[histograms["class_id"] == ALL]
    total = np.stack(histograms["counts"].to_list()).sum(axis=0)
    own = np.asarray(inner.iloc[0], np.int64)
    edges = np.linspace(histograms["lo"].iloc[0], histograms["hi"].iloc[0], own.size + 1)
    return pd.DataFrame({"lo": edges[:-1], "hi": edges[1:], "inner": own, "outer": total - own})
