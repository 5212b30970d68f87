"""Cases for the findings of single datasets in conv layers."""

from __future__ import annotations

from kdsspark import paper
from tests.report.findings.cases.made import FAR, NEAR, Case
from tests.report.findings.tables import bars, by_layer, figure5, frame, thresholds

# Of three layers the first two are low, and so are they of four.
CASES: dict[str, Case] = {
    "long_bars": Case(
        bars({"wood": [0.5, 0.5, 0, 0], "flowers102": [0.4, 0.2, 0, 0], "x": [0.2, 0.2, 0.9, 0.9]}),
        "at least 0.300, others up to 0.200",
        bars({"wood": [0.5, 0.5, 0, 0], "flowers102": [0.2, 0.0, 0, 0], "x": [0.2, 0.2, 0.9, 0.9]}),
        "at least 0.100, others up to 0.200",
    ),
    "bars_shorten": Case(
        bars({"wood": [0.5, 0.5, 0.3, 0.1], "flowers102": [0.5, 0.5, 0.3, 0.1]}),
        "0.500 in low layers, 0.200 in upper ones",
        bars({"wood": [0.1, 0.1, 0.3, 0.1], "flowers102": [0.1, 0.1, 0.3, 0.1]}),
        "0.100 in low layers, 0.200 in upper ones",
    ),
    "bars_lopsided": Case(
        bars(
            {"wood": [0.5, 0.5, 0, 0], "flowers102": [0.5, 0.5, 0, 0]},
            {"wood": [0.2, 0.2, 0, 0], "flowers102": [0.2, 0.2, 0, 0]},
        ),
        "0.500 above 0, 0.200 below",
        bars(
            {"wood": [0.1, 0.1, 0, 0], "flowers102": [0.1, 0.1, 0, 0]},
            {"wood": [0.2, 0.2, 0, 0], "flowers102": [0.2, 0.2, 0, 0]},
        ),
        "0.100 above 0, 0.200 below",
    ),
    "textures_late": Case(
        figure5({"textures": [0.1, 0.1, 0.3, 0.3]}),
        "median 0.100 in low layers, 0.300 in upper ones",
        figure5({"textures": [0.3, 0.3, 0.1, 0.1]}),
        "median 0.300 in low layers, 0.100 in upper ones",
    ),
    "low_level_features": Case(
        thresholds({"flowers102": {}})
        | figure5({"flowers102": [0.1] * 3})
        | {"layer_extremes": frame([{"dataset": "flowers102", "layer": "layer1", "ks": 0.85}])},
        "highest ks 0.850",
        thresholds({"flowers102": {}})
        | figure5({"flowers102": [0.1] * 3})
        | {
            "layer_extremes": frame(
                [
                    {"dataset": "flowers102", "layer": "layer1", "ks": 0.7},
                    {"dataset": "flowers102", "layer": "layer2", "ks": 0.9},  # the third
                ]
            )
        },
        "highest ks 0.700",
    ),
    "wood_tails": Case(
        by_layer({"wood": [FAR, NEAR, NEAR], "x": [NEAR, {0.2: 80, 0.6: 20}, FAR]}),
        "50.00 % beyond 0.5, others up to 10.00 %",
        by_layer({"wood": [NEAR, NEAR, FAR], "x": [NEAR, {0.2: 80, 0.6: 20}, NEAR]}),
        "0.00 % beyond 0.5, others up to 10.00 %",
    ),
    "tails_above_average": Case(
        by_layer(dict.fromkeys(paper.TAILED, [FAR] * 3) | dict.fromkeys("xy", [NEAR] * 3)),
        "caltech101 100.00 %, flowers102 100.00 % beyond 0.5, average 50.00 %",
        by_layer(dict.fromkeys(("flowers102", "x"), [FAR] * 3) | {"caltech101": [NEAR] * 3}),
        "caltech101 0.00 %, flowers102 100.00 % beyond 0.5, average 66.67 %",
    ),
}
