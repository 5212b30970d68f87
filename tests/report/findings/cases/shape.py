"""Cases for the findings of conv and fc layers."""

from __future__ import annotations

from tests.report.findings.cases.made import FAR, NEAR, Case, zero
from tests.report.findings.tables import kinds

CASES: dict[str, Case] = {
    "two_modes": Case(
        kinds({"birds": zero(20)}, {"birds": zero(20), "food101": zero(80), "wood": zero(20)}),
        "conv: in 1 of 1 datasets; fc: in 2 of 3 datasets",
        kinds({"birds": zero(20)}, {"birds": zero(80)}),
        "conv: in 1 of 1 datasets; fc: in 0 of 1 datasets",
    ),
    "conv_alike": Case(
        kinds({"a": NEAR, "b": NEAR}, {"a": NEAR, "b": FAR}),
        "mean |ks| varies by 0% (conv), 50% (fc)",
        kinds({"a": NEAR, "b": FAR}, {"a": NEAR, "b": NEAR}),
        "mean |ks| varies by 50% (conv), 0% (fc)",
    ),
    "conv_symmetric": Case(
        kinds({"a": NEAR}, {"a": {-0.2: 70, 0.2: 30}}),
        "asymmetry 0.0 points (conv), 40.0 (fc)",
        kinds({"a": {-0.2: 70, 0.2: 30}}, {"a": NEAR}),
        "asymmetry 40.0 points (conv), 0.0 (fc)",
    ),
    "conv_farther": Case(
        kinds({"a": {-0.595: 50, 0.595: 50}}, {"a": {-0.195: 50, 0.195: 50}}),
        "mean |ks| 0.595 (conv), 0.195 (fc)",
        kinds({"a": {-0.195: 50, 0.195: 50}}, {"a": {-0.595: 50, 0.595: 50}}),
        "mean |ks| 0.195 (conv), 0.595 (fc)",
    ),
    "fc_tails": Case(
        kinds({"a": {-0.6: 90, 0.6: 10}, "b": NEAR}, {"a": {0.2: 60, 0.6: 40}, "b": NEAR}),
        "5.00 % of pairs (conv), 20.00 % (fc); more in 1 of 2 datasets",
        kinds({"a": {0.2: 60, 0.6: 40}}, {"a": {-0.6: 90, 0.6: 10}}),
        "40.00 % of pairs (conv), 10.00 % (fc); more in 0 of 1 datasets",
    ),
    "conv_wins": Case(
        # The means of wood are 0.24 (conv) and 0.3 (fc): tails count, not means.
        kinds(
            {"wood": {-0.6: 5, 0.2: 90, 0.6: 5}, "flowers102": FAR},
            {"wood": {-0.3: 50, 0.3: 50}, "flowers102": NEAR},
        ),
        "|ks| above 0.5: flowers102 100.00 % (conv), 0.00 % (fc), wood 10.00 % (conv), 0.00 % (fc)",
        kinds(
            {"wood": {-0.3: 50, 0.3: 50}, "flowers102": FAR},
            {"wood": {-0.6: 5, 0.2: 90, 0.6: 5}, "flowers102": NEAR},
        ),
        "|ks| above 0.5: flowers102 100.00 % (conv), 0.00 % (fc), wood 0.00 % (conv), 10.00 % (fc)",
    ),
}
