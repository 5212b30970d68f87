"""Small tables, written by hand, in the form of the report's frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

Frames = dict[str, pd.DataFrame]
NETWORK = "net"
Shares = Mapping[float, float]
"""ks -> share of the pairs that have it, in percent."""


def frame(rows: Sequence[Mapping[str, Any]], network: str = NETWORK) -> pd.DataFrame:
    return pd.DataFrame([{"network": network, **row} for row in rows])


def thresholds(rows: Mapping[str, Mapping[str, float]], network: str = NETWORK) -> Frames:
    """Dataset -> columns that differ from t+ 0.2, t- -0.1, 50 images a class."""
    usual = {"images_per_class": 50.0, "t_plus": 0.2, "t_minus": -0.1}
    usual |= {"davg_plus": 30.0, "davg_minus": 40.0}
    return {
        "thresholds": frame([{"dataset": d, **usual, **own} for d, own in rows.items()], network)
    }


def figure6(curves: Mapping[tuple[str, str], Shares], network: str = NETWORK) -> Frames:
    """(dataset, kind) -> the distribution of its pairs; a ks of 0 counts in the bin above 0."""
    rows = []
    for (dataset, kind), shares in curves.items():
        for at, lo in enumerate(np.arange(-100, 100) / 100):
            inside = [share for ks, share in shares.items() if lo <= ks < lo + 0.01 - 1e-9]
            bins = {"bin": at, "lo": lo, "hi": lo + 0.01, "percent": float(sum(inside))}
            rows.append({"dataset": dataset, "kind": kind, **bins})
    return {"figure6": frame(rows, network)}


def kinds(conv: Mapping[str, Shares], fc: Mapping[str, Shares], network: str = NETWORK) -> Frames:
    both = {(d, "conv"): shares for d, shares in conv.items()}
    return figure6(both | {(d, "fc"): shares for d, shares in fc.items()}, network)


def by_layer(curves: Mapping[str, Sequence[Shares]], fc: int = 0) -> Frames:
    """Dataset -> the distribution of each of its layers, the last ``fc`` fully connected."""
    rows: list[dict[str, Any]] = []
    for dataset, layers in curves.items():
        for depth, shares in enumerate(layers):
            bins = figure6({(dataset, "conv"): shares})["figure6"].to_dict("records")
            rows += [
                {
                    **{"dataset": dataset, "labels": labels, "depth": depth, "bin": row["bin"]},
                    **{"lo": row["lo"], "hi": row["hi"]},
                    "n": row["percent"] if labels == "true" else 1.0,
                }
                for labels in ("true", "shuffled")
                for row in bins
            ]
    n = len(next(iter(curves.values())))
    return {"layer_distribution": frame(rows)} | figure5(
        {dataset: [0.1] * n for dataset in curves}, fc=fc
    )


def figure5(
    modes: Mapping[str, Sequence[float]],
    sizes: Mapping[str, float] | None = None,
    fc: int = 0,
    network: str = NETWORK,
    **own: Mapping[str, Sequence[float]],
) -> Frames:
    """Dataset -> the mode of |ks| of each layer, alike for both signs; the last ``fc`` are fc.

    ``own``: column, with ``_plus`` or ``_minus`` -> dataset -> values of each layer, in place of
    those that follow from the mode: ends and quantiles at a half and at twice the mode.
    """
    rows = []
    for dataset, of_layers in modes.items():
        for depth, mode in enumerate(of_layers):
            kind = "fc" if depth >= len(of_layers) - fc else "conv"
            where = {"dataset": dataset, "depth": depth, "kind": kind, "layer": f"layer{depth}"}
            where["images_per_class"] = (sizes or {}).get(dataset, 50.0)
            for sign, name in (("+", "plus"), ("-", "minus")):
                values = {"n": 10.0, "mode": mode, "low": mode / 2, "high": 2 * mode}
                values |= {"q16": mode / 2, "q50": mode, "q84": 2 * mode, "kept": 0.1}
                for column in values:
                    given = own.get(f"{column}_{name}", {}).get(dataset)
                    if given is not None:
                        values[column] = given[depth]
                rows.append({**where, "sign": sign, **values})
    return {"figure5": frame(rows, network)}


def bars(
    plus: Mapping[str, Sequence[float]], minus: Mapping[str, Sequence[float]] | None = None
) -> Frames:
    """Dataset -> the length of the 68 % bar of each convolutional layer, by sign."""
    ends: dict[str, Mapping[str, Sequence[float]]] = {}
    for sign, lengths in (("plus", plus), ("minus", minus or plus)):
        ends[f"low_{sign}"] = {d: [0.05] * len(own) for d, own in lengths.items()}
        ends[f"high_{sign}"] = {d: [0.05 + length for length in own] for d, own in lengths.items()}
    return figure5({d: [0.1] * len(own) for d, own in plus.items()}, **ends)


def units(rows: Sequence[Mapping[str, Any]]) -> Frames:
    """Rows with what differs from a unit of a conv layer that tells none of 10 classes."""
    usual = {"depth": 0, "kind": "conv", "layer": "layer0", "n_classes": 10, "present": 0}
    usual |= {"absent": 0, "far_absent": 0, "at_zero": 0, "highest": 0.1, "lowest": -0.1}
    usual |= {"nonzero": 1.0}
    return {"units": frame([{"unit": i, **usual, **row} for i, row in enumerate(rows)])}


def classes(rows: Sequence[Mapping[str, Any]]) -> Frames:
    usual = {"n_plus": 5, "n_minus": 5, "highest": 0.5, "lowest": -0.5}
    return {"classes": frame([{"class_id": i, **usual, **row} for i, row in enumerate(rows)])}


def figure9(ends: Mapping[str, Sequence[tuple[float, float]]], t_plus: float = 0.2) -> Frames:
    """Dataset -> for each class, the x where its features run out: with true, shuffled labels."""
    rows = [
        {
            **{"dataset": dataset, "labels": labels, "class_id": class_id, "sign": "+", "x": x},
            **{"n_features": round(100 * max(0.0, end - x)), "t_plus": t_plus, "t_minus": -0.1},
        }
        for dataset, of_classes in ends.items()
        for class_id, both in enumerate(of_classes)
        for labels, end in zip(("true", "shuffled"), both, strict=True)
        for x in np.arange(101) / 100
    ]
    return {"figure9": frame(rows)}


def figure10(kept: Mapping[str, Sequence[tuple[float, float]]]) -> Frames:
    """Dataset -> for each layer, the shares kept of true and of shuffled labels."""
    rows = [
        {"dataset": dataset, "depth": depth, "labels": labels, "kept": share}
        for dataset, layers in kept.items()
        for depth, both in enumerate(layers)
        for labels, share in zip(("true", "shuffled"), both, strict=True)
    ]
    return {"figure10": frame(rows)}


def network_layers(features: Sequence[int]) -> Frames:
    rows = [
        {"layer": f"layer{depth}", "depth": depth, "kind": "conv", "features": n}
        for depth, n in enumerate(features)
    ]
    return {"layers": frame(rows)}


def together(*parts: Frames) -> Frames:
    """One set of frames; frames of one name are rows of several networks."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        n: pd.concat([part[n] for part in parts if n in part], ignore_index=True) for n in names
    }
