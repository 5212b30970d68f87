"""Cases for the findings of depth."""

from __future__ import annotations

from tests.report.findings.cases.made import FALLING, FAR, FOUR, NEAR, RISING, Case
from tests.report.findings.tables import by_layer, figure5, figure10

CASES: dict[str, Case] = {
    "log_normal": Case(
        figure5({"birds": [0.1]}),
        "ends off by 0.0% at the median",
        figure5(
            {"birds": [0.1]},
            low_plus={"birds": [0.1]},
            low_minus={"birds": [0.1]},
            high_plus={"birds": [0.4]},
        ),
        "ends off by 100.0% at the median",
    ),
    "every_depth": Case(
        figure10({"birds": [(0.5, 0.1), (0.3, 0.2)]}),
        "in 2 of 2 layers of datasets",
        figure10({"birds": [(0.5, 0.1), (0.2, 0.2)]}),
        "in 1 of 2 layers of datasets",
    ),
    "gap_narrows": Case(
        figure5({"cub200": [0.4, 0.3, 0.2, 0.1], "wood": [0.4, 0.3, 0.2, 0.1]}),
        "Spearman -1.00 with depth on average, negative in 2 of 2",
        figure5({"cub200": [0.1, 0.2, 0.3, 0.4], "caltech101": [0.4, 0.3, 0.2, 0.1]}),
        "Spearman +1.00 with depth on average, negative in 0 of 1",
    ),
    "gap_stays": Case(
        figure5({"caltech101": [0.1, 0.2, 0.3, 0.4], "catsdogs": [0.4, 0.3, 0.2, 0.1]}),
        "Spearman +1.00 with depth on average, negative in 0 of 1",
        figure5({"caltech256": [0.4, 0.3, 0.2, 0.1], "catsdogs": [0.1, 0.2, 0.3, 0.4]}),
        "Spearman -1.00 with depth on average, negative in 1 of 1",
    ),
    "gap_narrows_in_fc": Case(
        figure5({"wood": [0.2, 0.2, 0.15, 0.05], "imagenet": [0.1] * 4}, fc=1),
        "mean gap b, c: 0.400 low, 0.300 upper, 0.100 fc; a: 0.200 low, 0.200 upper, 0.200 fc",
        figure5({"cub200": [0.4, 0.4, 0.1, 0.05]}, fc=1),
        "mean gap b, c: 0.800 low, 0.200 upper, 0.100 fc",
    ),
    "size_matters_low": Case(
        figure5(FALLING, FOUR), "Spearman -1.00", figure5(RISING, FOUR), "Spearman +1.00"
    ),
    "size_fades": Case(
        figure5(
            {"a1": [0.4] * 3 + [0.2], "a2": [0.3] * 3 + [0.1]}
            | {"a3": [0.2] * 3 + [0.4], "a4": [0.1] * 3 + [0.3]},
            FOUR,
            fc=1,
        ),
        "Spearman -1.00 in low layers, +0.60 in fc",
        figure5(
            {"a1": [0.2] * 3 + [0.4], "a2": [0.1] * 3 + [0.3]}
            | {"a3": [0.4] * 3 + [0.2], "a4": [0.3] * 3 + [0.1]},
            FOUR,
            fc=1,
        ),
        "Spearman +0.60 in low layers, -1.00 in fc",
    ),
    "low_layers_alike": Case(
        by_layer({"a": [NEAR, NEAR, FAR, NEAR], "b": [NEAR, NEAR, NEAR, FAR]}, fc=1),
        "datasets differ by 0.000 in low layers, 1.000 in all deeper ones",
        by_layer({"a": [NEAR, FAR, FAR, NEAR], "b": [NEAR, NEAR, FAR, NEAR]}, fc=1),
        "datasets differ by 0.500 in low layers, 0.000 in all deeper ones",
    ),
    "upper_layers_follow_similarity": Case(
        by_layer(
            {
                "imagenet": [NEAR, NEAR, FAR],
                "catsdogs": [FAR, FAR, FAR],
                "wood": [NEAR, NEAR, NEAR],
                "mine": [NEAR, NEAR, NEAR],
            }
        ),
        "datasets of one group differ by 0.000, of different groups by 1.000",
        by_layer(
            {
                "imagenet": [NEAR, NEAR, FAR],
                "catsdogs": [NEAR, NEAR, NEAR],
                "wood": [NEAR, NEAR, NEAR],
            }
        ),
        "datasets of one group differ by 1.000, of different groups by 0.500",
    ),
}
