"""Cases for the findings of fc layers."""

from __future__ import annotations

from tests.report.findings.cases.made import FAR, NEAR, Case, fc, zero
from tests.report.findings.tables import Frames, kinds, units


def fc_units(shares: dict[str, tuple[int, int]]) -> Frames:
    """Dataset -> of ten classes, those above t+ and below t-, of its only unit."""
    rows = [
        {"dataset": d, "kind": "fc", "present": present, "absent": absent}
        for d, (present, absent) in shares.items()
    ]
    return units(rows)


CASES: dict[str, Case] = {
    "food_spike": Case(
        fc({"food101": zero(8), "x": zero(3), "y": zero(5)}),
        "8.0 % within 0.01 of 0, others up to 5.0 %",
        fc({"food101": zero(4), "x": zero(3), "y": zero(5)}),
        "4.0 % within 0.01 of 0, others up to 5.0 %",
    ),
    "food_tails": Case(
        fc({"food101": NEAR, "x": {0.2: 90, 0.6: 10}}),
        "0.00 % beyond 0.5, others from 10.00 %",
        fc({"food101": {-0.6: 20, 0.2: 80}, "x": {0.2: 90, 0.6: 10}}),
        "20.00 % beyond 0.5, others from 10.00 %",
    ),
    "spike_alone": Case(
        fc({"food101": zero(8), "catsdogs": zero(3), "caltech256": zero(1), "x": zero(9)}),
        "food101 8.0 % within 0.01 of 0; caltech256 1.00 %, catsdogs 3.00 %",
        fc({"food101": zero(8), "catsdogs": zero(5), "caltech256": zero(1)}),
        "food101 8.0 % within 0.01 of 0; caltech256 1.00 %, catsdogs 5.00 %",
    ),
    "caltechs_alike": Case(
        fc({"caltech101": zero(8), "caltech256": zero(8), "x": zero(4)}),
        "differ by 0.000, all other pairs by 0.040 or more",
        fc({"caltech101": zero(8), "caltech256": zero(4), "x": zero(5)}),
        "differ by 0.040, all other pairs by 0.010 or more",
    ),
    "broad_subsets": Case(
        fc({"imagenet": zero(0), "caltech101": zero(1), "x": zero(2)})
        | units(
            [
                {"dataset": "imagenet", "kind": "fc", "n_classes": 1000},
                {"dataset": "caltech101", "kind": "fc", "n_classes": 100, "at_zero": 1},
                {"dataset": "caltech101", "kind": "conv", "n_classes": 100, "at_zero": 50},
                {"dataset": "x", "kind": "fc", "at_zero": 5},
            ]
        ),
        "within 0.01 of 0: caltech101 1.00 %, imagenet 0.00 %, others from 2.00 %; at 0: 1.00 %",
        fc({"imagenet": zero(0), "caltech101": zero(3), "x": zero(2)})
        | units(
            [
                {"dataset": "imagenet", "kind": "fc"},
                {"dataset": "caltech101", "kind": "fc"},
                {"dataset": "x", "kind": "fc"},
            ]
        ),
        "within 0.01 of 0: caltech101 3.00 %, imagenet 0.00 %, others from 2.00 %; at 0: 0.00 %",
    ),
    "narrow_subsets": Case(
        fc({"catsdogs": zero(3), "imagenet": zero(1), "x": zero(0)}),
        "from 3.00 %, broad ones up to 1.00 %",
        fc({"catsdogs": zero(1), "imagenet": zero(2), "x": zero(0)}),
        "from 1.00 %, broad ones up to 2.00 %",
    ),
    "textures_near_zero": Case(
        # Fourth, behind the three broad subsets of the source; x is none of the paper's datasets.
        fc(
            {
                **{"textures": zero(4), "imagenet": zero(1), "caltech101": zero(2)},
                **{"caltech256": zero(3), "wood": zero(5), "food101": zero(8), "x": zero(0)},
            }
        ),
        "number 4 of 6 from the lowest, 4.00 %",
        # Second of five, but behind wood.
        fc(
            {
                **{"textures": zero(4), "wood": zero(3), "imagenet": zero(5)},
                **{"cub200": zero(6), "food101": zero(8)},
            }
        ),
        "number 2 of 5 from the lowest, 4.00 %",
    ),
    "fc_inhibits": Case(
        fc({"imagenet": {-0.2: 70, 0.2: 30}, "cub200": {-0.2: 60, 0.2: 40}, "wood": {0.2: 100}}),
        "65.0 % below 0, most in 2 of 2",
        fc({"imagenet": {-0.2: 70, 0.2: 30}, "cub200": {-0.2: 40, 0.2: 60}}),
        "55.0 % below 0, most in 1 of 2",
    ),
    "fc_tail_plus": Case(
        fc({"imagenet": {-0.2: 90, 0.6: 10}, "wood": {-0.6: 100}}),
        "10.00 % above 0.5, 0.00 % below -0.5",
        fc({"cub200": {-0.6: 20, 0.2: 70, 0.6: 10}}),
        "10.00 % above 0.5, 20.00 % below -0.5",
    ),
    "disjoint_symmetric": Case(
        # Group a alone would be as symmetric as c.
        fc({"imagenet": NEAR, "cub200": {-0.2: 80, 0.2: 20}, "wood": {-0.2: 55, 0.2: 45}}),
        "30.0 points (a, b), 10.0 points (c)",
        fc({"imagenet": {-0.2: 60, 0.2: 40}, "cub200": NEAR, "wood": {-0.2: 55, 0.2: 45}}),
        "10.0 points (a, b), 10.0 points (c)",
    ),
    "disjoint_like_conv": Case(
        kinds(
            {"imagenet": NEAR, "cub200": NEAR, "wood": NEAR},
            {"imagenet": NEAR, "cub200": FAR, "wood": NEAR},
        ),
        "differ by 0.500 (a, b), differ by 0.000 (c)",
        kinds({"cub200": NEAR, "wood": NEAR}, {"cub200": NEAR, "wood": FAR}),
        "differ by 0.000 (a, b), differ by 1.000 (c)",
    ),
    "classes_of_a_unit": Case(
        fc_units({"imagenet": (1, 6), "cub200": (1, 4), "wood": (3, 3)}),
        "10.0 % of classes above t+, 50.0 % below t- (a, b); "
        "30.0 % of classes above t+, 30.0 % below t- (c)",
        fc_units({"imagenet": (4, 6), "wood": (3, 3)}),
        "40.0 % of classes above t+, 60.0 % below t- (a, b); "
        "30.0 % of classes above t+, 30.0 % below t- (c)",
    ),
}
