"""Made-up results in which the paper's findings hold, and others in which they do not.

Distances are drawn from log-normals whose parameters follow what the paper says of each dataset
and layer; the frames of the report's queries are then counted from the drawn distances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kdsspark import paper
from kdsspark.report.queries import QUERIES
from tests.report.synthetic import VGG_LAYERS

IMAGENET, PLACES = NETWORKS = ("vgg16-imagenet", "vgg16-places")
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


World = Callable[[str, pd.Series, int, str], Shape]
"""(network, row of PUBLISHED, depth, kind) -> the shape of the distances."""

FC = {"imagenet": 1.15, "caltech101": 1, "caltech256": 1, "stanforddogs": 1.25, "catsdogs": 0.8}
FC |= {"cub200": 1, "flowers102": 1.4, "wood": 1, "mit67": 1.2, "textures": 0.85, "food101": 0.6}
AT_ZERO = {"imagenet": 0, "caltech101": 0, "caltech256": 0, "textures": 0.02, "food101": 0.1}


def as_published(network: str, row: pd.Series, depth: int, kind: str) -> Shape:
    """Every finding holds."""
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
    return Shape((1 - w) * low + w * high, 0.5, 0.8 if textured else 0.4)


def flat(_network: str, _row: pd.Series, depth: int, _kind: str) -> Shape:
    """Every dataset and layer alike, but for a median that rises with depth."""
    return Shape(0.1 + 0.002 * depth)


def against(network: str, row: pd.Series, depth: int, kind: str) -> Shape:
    """The contrary, where being alike would not tell: falling for group a, rising with size."""
    rank = row["images_per_class"] / 250
    if kind == "fc":
        name = row["dataset"]
        return Shape(0.04 + 0.2 * rank, at_zero=0.2 if name in ("textures", "imagenet") else 0.02)
    falls = row["group"] == "a"
    scale = 0.3 if network == PLACES else 1.0
    return Shape(scale * (0.1 + 0.1 * rank + 0.004 * (12 - depth if falls else depth)), 0.7)


def dull(_network: str, row: pd.Series, depth: int, kind: str) -> Shape:
    """Features of low layers care most, of one sign most, and conv layers mostly of nothing."""
    if kind == "fc":
        return Shape(0.1)
    far = (0.05 + 0.2 * row["images_per_class"] / 250) * (1 - depth / 26)
    return Shape(far, 0.5, 0.3, 0.6, at_zero=0.7)


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


def layer_rows(head: dict, ks: np.ndarray, t: tuple[float, float], distort: float) -> list[dict]:
    rows = []
    for sign, factor, limit in (("+", 1, t[0]), ("-", -1, -t[1])):
        inside = factor * ks[factor * ks > 0]
        mu, sigma = np.log(inside).mean(), np.log(inside).std()
        row = {"sign": sign, "n": inside.size, "mode": np.exp(mu - sigma**2)}
        row |= {"low": np.exp(mu - sigma) * distort, "high": np.exp(mu + sigma)}
        row |= {q: np.quantile(inside, float(q[1:]) / 100) for q in ("q16", "q50", "q84")}
        rows.append({**head, **row, "kept": (inside > limit).sum() / ks.size})
    return rows


def add_curves(out: dict[str, list], head: dict, row: dict, good: bool) -> None:
    """Two classes: their survival curves, and what they keep."""
    limits = {"t_plus": row["t_plus"], "t_minus": row["t_minus"]}
    for class_id, (highest, n_plus) in enumerate([(0.35, 30), (0.95, 40)]):
        for labels in ("true", "shuffled"):
            end = highest if labels == "true" else 0.2 if good else 0.7
            for x in np.arange(101) / 100:
                n = max(0, round(100 * (1 - x / end)))
                curve = {"labels": labels, "class_id": class_id, "sign": "+", "x": x}
                out["figure9"].append({**head, **curve, "n_features": n, **limits})
        lowest = -0.95 if (row["dataset"] in FINE_GRAINED) == good else -0.8
        kept = {"n_plus": n_plus if good else 0, "n_minus": 35 if good else 0}
        ends = {"highest": highest if good else 0.9, "lowest": lowest}
        out["classes"].append({**head, "class_id": class_id, **kept, **ends})


def make(world: World, networks: tuple[str, ...], good: bool = True) -> dict[str, pd.DataFrame]:
    """The frames that findings read. Not ``good``: also what does not follow from the shapes."""
    out: dict[str, list] = {name: [] for name in QUERIES}
    for network in networks:
        for _, row in PUBLISHED.iterrows():
            sizes = {"images_per_class": row["images_per_class"]}
            head = {"network": network, "dataset": row["dataset"], **sizes}
            limits = row[["t_plus", "davg_plus", "t_minus", "davg_minus"]].to_dict()
            if not good:
                t, davg = sizes["images_per_class"] / 1000, limits["davg_minus"]
                limits = {"t_plus": t, "davg_plus": davg, "t_minus": -t, "davg_minus": davg}
            out["thresholds"].append({**head, **limits})
            add_curves(out, head, row.to_dict() | limits, good)
            of_kind: dict[str, list[np.ndarray]] = {}
            for depth, (layer, kind) in enumerate(VGG_LAYERS):
                shape = world(network, row, depth, kind)
                seed = [sum(map(ord, row["dataset"])), depth] if world is as_published else 0
                ks = draw(shape, seed)
                where = {**head, "depth": depth, "kind": kind, "layer": layer}
                t = (limits["t_plus"], limits["t_minus"])
                own = layer_rows(where, ks, t, 1 if good else 0.5)
                out["figure5"] += own
                kept = sum(part["kept"] for part in own)
                for labels, share in (("true", kept), ("shuffled", kept / 2 if good else kept)):
                    out["figure10"].append({**where, "labels": labels, "kept": share})
                top = {"sign": "+", "unit": 0, "class_id": 0, "ks": 0.86 if good else 0.3}
                out["layer_extremes"].append({**where, **top})
                of_kind.setdefault(kind, []).append(ks)
            for kind, values in of_kind.items():
                n, edges = np.histogram(np.concatenate(values), 200, (-1, 1))
                for b, count in enumerate(n):
                    bins = {"bin": b, "lo": edges[b], "hi": edges[b + 1]}
                    share = {"percent": 100 * count / n.sum()}
                    out["figure6"].append({**head, "kind": kind, **bins, **share})
        for depth, (layer, kind) in enumerate(VGG_LAYERS):
            size = {"network": network, "layer": layer, "kind": kind, "depth": depth}
            out["layers"].append({**size, "features": 100 / len(VGG_LAYERS)})
    return {name: pd.DataFrame(rows) for name, rows in out.items() if rows}
