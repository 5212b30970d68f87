"""Cases for the findings of classes and thresholds."""

from __future__ import annotations

from tests.report.findings.cases.made import Case
from tests.report.findings.tables import (
    Frames,
    classes,
    figure5,
    figure9,
    network_layers,
    thresholds,
)


def kept(shares: dict[str, tuple[float, float]]) -> Frames:
    """Dataset -> the share kept of one conv and of one fc layer, the same for both signs."""
    own = {d: list(both) for d, both in shares.items()}
    modes = {d: [0.1, 0.1] for d in shares}
    return figure5(modes, fc=1, kept_plus=own, kept_minus=own)


# 0.3 - 0.1 log2(n / 20), and imagenet off that curve or on it.
CURVE = {
    d: {"images_per_class": n, "t_plus": t, "t_minus": -t}
    for d, n, t in (("w", 20, 0.4), ("x", 40, 0.3), ("y", 80, 0.2), ("z", 160, 0.1))
}


CASES: dict[str, Case] = {
    "classes_differ": Case(
        classes([{"dataset": "x", "highest": 0.4}, {"dataset": "x", "highest": 0.9}]),
        "highest ks of a class from 0.40 to 0.90",
        classes([{"dataset": "x", "highest": 0.5}, {"dataset": "x", "highest": 0.9}]),
        "highest ks of a class from 0.50 to 0.90",
    ),
    "shuffled_ends": Case(
        thresholds({"x": {}, "y": {}})
        | figure9({"x": [(0.9, 0.1), (0.9, 0.3)], "y": [(0.4, 0.3)]}),
        "at 0.20 to 0.30 by dataset",
        thresholds({"x": {}, "y": {}}) | figure9({"x": [(0.9, 0.3)], "y": [(0.4, 0.5)]}),
        "at 0.30 to 0.50 by dataset",
    ),
    "classes_beat_chance": Case(
        figure9({"x": [(0.9, 0.3), (0.4, 0.3)]}),
        "2 of 2 classes",
        figure9({"x": [(0.9, 0.3), (0.3, 0.4)]}),
        "1 of 2 classes",
    ),
    "thresholds_fall": Case(
        thresholds(CURVE),
        "R2 1.00 (t+), 1.00 (t-); 4 datasets",
        thresholds(
            {
                d: {**row, "t_plus": 0.5 - row["t_plus"], "t_minus": -0.5 - row["t_minus"]}
                for d, row in CURVE.items()
            }
        ),
        "R2 1.00 (t+), 1.00 (t-); 4 datasets",
    ),
    "imagenet_off": Case(
        thresholds(
            CURVE | {"imagenet": {"images_per_class": 40, "t_plus": 0.25, "t_minus": -0.25}}
        ),
        "-0.050 (t+), others up to 0.036; +0.050 (t-), others up to 0.036",
        thresholds(
            CURVE
            | {
                "imagenet": {"images_per_class": 40, "t_plus": 0.3, "t_minus": -0.3},
                "food101": {"images_per_class": 80, "t_plus": 0.3, "t_minus": -0.3},
            }
        ),
        "-0.015 (t+), others up to 0.100; +0.015 (t-), others up to 0.100",
    ),
    "t_plus_range": Case(
        thresholds({"x": {"t_plus": 0.072}, "y": {"t_plus": 0.185}}),
        "0.072 to 0.185",
        thresholds({"x": {"t_plus": 0.1}, "y": {"t_plus": 0.19}}),
        "0.100 to 0.190",
    ),
    "t_plus_larger": Case(
        thresholds({"x": {"t_plus": 0.2, "t_minus": -0.1}, "y": {"t_plus": 0.4, "t_minus": -0.3}}),
        "in 2 of 2 datasets; means 0.300 and -0.200",
        thresholds({"x": {"t_plus": 0.2, "t_minus": -0.3}, "y": {"t_plus": 0.4, "t_minus": -0.3}}),
        "in 1 of 2 datasets; means 0.300 and -0.300",
    ),
    "davg_minus_larger": Case(
        thresholds({"x": {}, "y": {}, "z": {"davg_plus": 50.0}}),
        "in 2 of 3 datasets",
        thresholds({"x": {}, "y": {"davg_plus": 50.0}}),
        "in 1 of 2 datasets",
    ),
    "half_remain": Case(
        # Counts of features would be above half in both.
        thresholds({"x": {"davg_plus": 20.0}, "y": {"davg_plus": 40.0, "davg_minus": 20.0}})
        | network_layers([40, 60])
        | classes([{"dataset": "x", "n_plus": 50, "n_minus": 50}]),
        "30 (30%) above t+, 30 (30%) below t-, of 100",
        thresholds({"x": {"davg_plus": 20.0, "davg_minus": 20.0}})
        | network_layers([40, 60])
        | classes([{"dataset": "x", "n_plus": 50, "n_minus": 50}]),
        "20 (20%) above t+, 20 (20%) below t-, of 100",
    ),
    "no_class_lost": Case(
        thresholds({"x": {}})
        | classes([{"dataset": "x", "n_plus": 3, "n_minus": 0}, {"dataset": "x", "n_plus": 9}]),
        "the poorest class keeps 3",
        thresholds({"x": {}})
        | classes([{"dataset": "x", "n_plus": 0, "n_minus": 9}, {"dataset": "x", "n_plus": 9}]),
        "the poorest class keeps 0",
    ),
    "kept_evenly": Case(
        kept({"imagenet": (0.2, 0.2), "wood": (0.2, 0.02)}),
        "fc keep 1.00 times the share of conv",
        kept({"imagenet": (0.2, 0.1)}),
        "fc keep 0.50 times the share of conv",
    ),
    "fc_pruned": Case(
        kept({"cub200": (0.2, 0.1), "wood": (0.2, 0.05), "imagenet": (0.1, 0.2)}),
        "fc keep 0.38 times the share of conv, fewer in 2 of 2",
        kept({"cub200": (0.2, 0.1), "wood": (0.2, 0.25)}),
        "fc keep 0.88 times the share of conv, fewer in 1 of 2",
    ),
}
