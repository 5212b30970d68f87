"""Made-up results in which all of the paper's findings hold at once.

Distances are drawn from log-normals whose parameters follow what the paper says of each dataset
and layer; the frames of the report's queries are then counted from the drawn distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from kdsspark import paper
from kdsspark.report.queries import QUERIES
from tests.report.synthetic import BESIDE, VGG_LAYERS

IMAGENET, VGG19, PLACES = NETWORKS = ("vgg16-imagenet", "vgg19-imagenet", "vgg16-places")
N = 4000  # distances of each dataset and layer
PUBLISHED = paper.DATASETS.merge(paper.THRESHOLDS, on="dataset")
GROUPS = dict(PUBLISHED[["dataset", "group"]].to_numpy())
FINE_GRAINED = {"cub200", "flowers102", "catsdogs", "stanforddogs"}


@dataclass(frozen=True)
class Shape:
    """Distances of one dataset and layer: |ks| log-normal by sign, and some within 0.01 of 0."""

    median: float
    plus: float = 0.5
    sigma_plus: float = 0.4
    sigma_minus: float = 0.4
    at_zero: float = 0.0


FC = {"imagenet": 1.15, "caltech101": 1, "caltech256": 1, "stanforddogs": 1.25, "catsdogs": 0.8}
FC |= {"cub200": 1, "flowers102": 1.4, "wood": 1, "mit67": 1.2, "textures": 0.85, "food101": 0.6}
AT_ZERO = {"imagenet": 0, "caltech101": 0, "caltech256": 0, "textures": 0.02, "food101": 0.1}


def as_published(network: str, row: pd.Series, depth: int, kind: str) -> Shape:
    """The shape of the distances of a row of ``PUBLISHED``, so that every finding holds."""
    name, places = row["dataset"], network == PLACES
    group = row["group"]
    if places and name == "mit67":
        group = "a"
    elif places and group == "a":
        group = "b"
    if kind == "fc":
        narrower = 0.6 if places and depth == 13 else 1.0
        narrower *= 1.5 if places and name == "mit67" else 1.0
        at_zero = AT_ZERO.get(name, 0.04)
        median = {"a": 0.19, "b": 0.05, "c": 0.115}[group] * FC[name] * narrower
        if group == "c":
            return Shape(median, 0.48, 0.5, 0.5, at_zero)
        return Shape(median, 0.35, 0.4 if name == "food101" else 0.9, 0.4, at_zero)
    w = depth / 12
    low, high = 1.5 / np.sqrt(row["images_per_class"]), 0.22 if row["group"] == "a" else 0.13
    if name == "textures":
        low, high = 0.08, 0.16
    if places and depth > 6:
        high *= 1.2
    textured = name in ("wood", "flowers102") and depth < 5
    tail = 0.6 if name == "caltech101" and depth < 7 else 0.4  # flowers102 has one above 0
    return Shape((1 - w) * low + w * high, 0.5, 0.8 if textured else 0.4, tail)


def draw(shape: Shape, seed: object) -> np.ndarray:
    rng = np.random.default_rng(seed)
    plus = rng.random(N) < shape.plus
    sigma = np.where(plus, shape.sigma_plus, shape.sigma_minus)
    ks = np.where(plus, 1, -1) * np.minimum(
        shape.median * np.exp(sigma * rng.standard_normal(N)), 0.99
    )
    zero = rng.random(N) < shape.at_zero
    ks[zero] = rng.uniform(0.001, 0.009, zero.sum()) * np.sign(ks[zero])
    return ks


def layer_rows(head: dict, ks: np.ndarray, t: tuple[float, float]) -> list[dict]:
    rows = []
    for sign, factor, limit in (("+", 1, t[0]), ("-", -1, -t[1])):
        inside = factor * ks[factor * ks > 0]
        mu, sigma = np.log(inside).mean(), np.log(inside).std()
        row = {"sign": sign, "n": inside.size, "mode": np.exp(mu - sigma**2)}
        row |= {"low": np.exp(mu - sigma), "high": np.exp(mu + sigma)}
        row |= {q: np.quantile(inside, float(q[1:]) / 100) for q in ("q16", "q50", "q84")}
        rows.append({**head, **row, "kept": (inside > limit).sum() / ks.size})
    return rows


def add_classes(out: dict[str, list], head: dict, row: dict) -> None:
    """Two classes: their survival curves, what they keep, and their best units."""
    limits = {"t_plus": row["t_plus"], "t_minus": row["t_minus"]}
    for class_id, (highest, n_plus) in enumerate([(0.35, 30), (0.95, 40)]):
        for labels in ("true", "shuffled"):
            end = highest if labels == "true" else 0.2
            for x in np.arange(101) / 100:
                n = max(0, round(100 * (1 - x / end)))
                curve = {"labels": labels, "class_id": class_id, "sign": "+", "x": x}
                out["figure9"].append({**head, **curve, "n_features": n, **limits})
        lowest = -0.95 if row["dataset"] in FINE_GRAINED else -0.8
        ends = {"n_plus": n_plus, "n_minus": 35, "highest": highest, "lowest": lowest}
        out["classes"].append({**head, "class_id": class_id, **ends})
        for place, layer in enumerate(("conv3_3", "conv4_2", "fc7"), start=1):
            best = {"layer": layer, "unit": 0, "sign": "+", "place": place, "ks": highest}
            out["class_extremes"].append({**head, "class_id": class_id, **best})
    out["rest"].append({**head, "ks": -0.9, "own": 0.05, "rest": 0.4})
    out["information"].append({**head, "layer": "fc7", "spearman": 0.98, "largest_share": 0.1})


def add_units(out: dict[str, list], where: dict, row: dict) -> None:
    """Of a layer a unit that is rare, and one that is low for one class of twenty."""
    present, absent = (5, 5) if row["group"] == "c" else (1, 8)
    usual = {"n_classes": 20, "present": present, "absent": absent, "at_zero": 0}
    rare = {"unit": 0, "far_absent": 0, "highest": 0.05, "lowest": -0.05, "active": 0.02}
    common = {"unit": 1, "far_absent": 1, "highest": 0.5, "lowest": -0.85, "active": 0.9}
    out["units"] += [{**where, **usual, **own} for own in (rare, common)]


def add_layer(out: dict[str, list], where: dict, row: dict, ks: np.ndarray) -> None:
    own = layer_rows(where, ks, (row["t_plus"], row["t_minus"]))
    out["figure5"] += own
    kept = sum(part["kept"] for part in own)
    for labels, share in (("true", kept), ("shuffled", kept / 2)):
        out["figure10"].append({**where, "labels": labels, "kept": share})
    top = {"sign": "+", "unit": 0, "class_id": 0, "ks": 0.86}
    out["layer_extremes"].append({**where, **top})
    for bins in histogram(ks):
        out["layer_distribution"].append({**where, "labels": "true", **bins})
    textured = row["dataset"] in ("wood", "flowers102")
    accuracy = 0.6 if where["kind"] == "conv" else 0.5 if textured else 0.8
    out["probed"].append({**where, "method": "LinearSVC", "accuracy": accuracy})
    add_units(out, where, row)


def histogram(ks: np.ndarray) -> list[dict]:
    n, edges = np.histogram(ks, 200, (-1, 1))
    return [{"bin": b, "lo": edges[b], "hi": edges[b + 1], "n": count} for b, count in enumerate(n)]


def make() -> dict[str, pd.DataFrame]:
    """The frames that findings read, of all networks."""
    out: dict[str, list] = {name: [] for name in (*QUERIES, *BESIDE)}
    for network in NETWORKS:
        for _, published in PUBLISHED.iterrows():
            row = published.to_dict()
            sizes = {"images_per_class": row["images_per_class"]}
            head = {"network": network, "dataset": row["dataset"], **sizes}
            limits = {name: row[name] for name in ("t_plus", "davg_plus", "t_minus", "davg_minus")}
            out["thresholds"].append({**head, **limits})
            add_classes(out, head, row)
            of_kind: dict[str, list[np.ndarray]] = {}
            for depth, (layer, kind) in enumerate(VGG_LAYERS):
                shape = as_published(network, published, depth, kind)
                ks = draw(shape, [sum(map(ord, row["dataset"])), depth])
                add_layer(out, {**head, "depth": depth, "kind": kind, "layer": layer}, row, ks)
                of_kind.setdefault(kind, []).append(ks)
            for kind, values in of_kind.items():
                for bins in histogram(np.concatenate(values)):
                    share = {"percent": 100 * bins["n"] / (N * len(values))}
                    out["figure6"].append({**head, "kind": kind, **bins, **share})
        for depth, (layer, kind) in enumerate(VGG_LAYERS):
            size = {"network": network, "layer": layer, "kind": kind, "depth": depth}
            out["layers"].append({**size, "features": paper.FEATURES / len(VGG_LAYERS)})
    return {name: pd.DataFrame(rows) for name, rows in out.items() if rows}
