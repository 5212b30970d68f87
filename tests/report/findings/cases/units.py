"""Cases for the findings of single units (section 5)."""

from __future__ import annotations

from tests.report.findings.cases.made import Case
from tests.report.findings.tables import Frames, classes, frame, network_layers, thresholds, units


def rest(median: float) -> Frames:
    return {"rest": frame([{"dataset": "birds", "ks": -0.9, "own": 0.05, "rest": median}])}


def extremes(layers: list[int]) -> Frames:
    rows = [{"layer": f"layer{n}", "place": i + 1, "sign": "+"} for i, n in enumerate(layers)]
    found = frame([{"dataset": "birds", "class_id": 0, "unit": 0, "ks": 0.5, **r} for r in rows])
    return {"class_extremes": found} | network_layers([10] * 6)


CASES: dict[str, Case] = {
    "negative_extremes": Case(
        thresholds({"cub200": {}, "mit67": {}, "caltech101": {}})
        | classes(
            [
                {"dataset": "cub200", "lowest": -0.9},
                {"dataset": "mit67", "lowest": -0.6},
                {"dataset": "caltech101", "lowest": -1.0},  # the paper does not name it as broad
            ]
        ),
        "lowest ks -0.900 fine-grained, -0.600 broad",
        thresholds({"cub200": {}, "mit67": {}})
        | classes([{"dataset": "cub200", "lowest": -0.5}, {"dataset": "mit67", "lowest": -0.6}]),
        "lowest ks -0.500 fine-grained, -0.600 broad",
    ),
    "rare_near_zero": Case(
        units(
            [
                {"dataset": "birds", "active": 0.05, "highest": 0.1, "lowest": -0.02},
                {"dataset": "birds", "active": 0.0, "highest": 0.0, "lowest": 0.0},  # never
                {"dataset": "birds", "active": 0.9, "highest": 0.3, "lowest": -0.4},
                {"dataset": "birds", "active": None, "highest": 0.9},  # unknown
            ]
        ),
        "largest |ks| 0.100 for 1 rare units, 0.400 for others",
        units(
            [
                {"dataset": "birds", "active": 0.05, "highest": 0.1, "lowest": -0.3},
                {"dataset": "birds", "active": 0.9, "highest": 0.3, "lowest": -0.4},
            ]
        ),
        "largest |ks| 0.300 for 1 rare units, 0.400 for others",
    ),
    "rest_is_high": Case(
        rest(0.4),
        "median of the rest at 0.40 to 0.40 of the range by dataset, of the class at 0.05",
        rest(0.1),
        "median of the rest at 0.10 to 0.10 of the range by dataset, of the class at 0.05",
    ),
    "few_classes": Case(
        units(
            [
                {"dataset": "birds", "n_classes": 30, "far_absent": 3},
                {"dataset": "wood", "n_classes": 7, "far_absent": 1},
                {"dataset": "wood", "n_classes": 7},
            ]
        ),
        "2.0 classes on average, 3 at most; few for 100% of 2 units",
        units(
            [
                {"dataset": "birds", "n_classes": 30, "far_absent": 4},
                {"dataset": "wood", "n_classes": 7, "far_absent": 1},
            ]
        ),
        "2.5 classes on average, 4 at most; few for 50% of 2 units",
    ),
    "all_depths": Case(
        extremes([5, 5, 1, 5, 5, 5, 5, 5, 5, 5]),
        "2.0 layers on average; from two thirds of the network or more for 1 of 1 classes",
        extremes([4, 5, 5, 5, 5, 5, 5, 5, 5, 5]),
        "2.0 layers on average; from two thirds of the network or more for 0 of 1 classes",
    ),
}
