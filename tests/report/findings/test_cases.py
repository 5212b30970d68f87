"""Every finding on tables written by hand: one that it follows from, and one against it."""

from __future__ import annotations

import pytest

from kdsspark.report.data import ReportData
from kdsspark.report.findings import FINDINGS, findings
from kdsspark.report.findings.agreement import agreement
from kdsspark.report.findings.evidence import Evidence, Finding, NotTestable
from tests.report.findings.cases import CASES
from tests.report.findings.cases.made import Case
from tests.report.findings.tables import NETWORK, Frames, figure5, frame, thresholds, together
from tests.report.worlds import GROUPS

_BY_NAME = {finding.judge.__name__: finding for finding in FINDINGS}
_WITHOUT_TABLES = {"not_linear", "judge"}  # nothing tests the former; the latter is below


def judged(finding: Finding, frames: Frames, network: str = NETWORK) -> tuple[bool, str]:
    return finding.judge(Evidence(network, frames, GROUPS))


def test_every_finding_has_tables() -> None:
    assert set(CASES) == set(_BY_NAME) - _WITHOUT_TABLES


@pytest.mark.parametrize("name", CASES)
def test_it_holds(name: str) -> None:
    case: Case = CASES[name]
    assert judged(_BY_NAME[name], case.holds, case.network) == (True, case.yes)


@pytest.mark.parametrize("name", CASES)
def test_it_does_not(name: str) -> None:
    case: Case = CASES[name]
    assert judged(_BY_NAME[name], case.fails, case.network) == (False, case.no)


@pytest.mark.parametrize("name", CASES)
def test_it_does_not_depend_on_the_order_of_rows(name: str) -> None:
    case: Case = CASES[name]
    frames = {key: rows.iloc[::-1].reset_index(drop=True) for key, rows in case.holds.items()}
    assert judged(_BY_NAME[name], frames, case.network).holds


# -- section 3.1 -----------------------------------------------------------------------------------

RISES, FALLS = [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]


def two(of_vgg16: list[float], of_vgg19: list[float]) -> Frames:
    """Two networks over one dataset of group c, with the modes of their layers."""
    return together(
        *(
            figure5({"wood": modes}, network=name) | thresholds({"wood": {}}, name)
            for name, modes in (("vgg16-imagenet", of_vgg16), ("VGG19", of_vgg19))
        ),
        {"thresholds": frame([{"dataset": "wood"}], "vgg16-places")},
    )


@pytest.mark.parametrize(
    ("of_vgg16", "of_vgg19", "holds", "same"),
    [(FALLS, FALLS, True, "2 of 2"), (FALLS, RISES, False, "1 of 2")],
)
def test_networks_agree(
    of_vgg16: list[float], of_vgg19: list[float], holds: bool, same: str
) -> None:
    """Of two findings: the modes resemble log-normals, and the gap narrows with depth."""
    own = agreement([_BY_NAME["log_normal"], _BY_NAME["gap_narrows"], _BY_NAME["gap_stays"]])
    for network in ("vgg16-imagenet", "VGG19", "vgg16-places"):
        answer = judged(own, two(of_vgg16, of_vgg19), network)
        assert answer == (holds, f"the same answer to {same} findings that both test")


def test_agreement_needs_both() -> None:
    frames = {name: rows[rows["network"] != "VGG19"] for name, rows in two(FALLS, FALLS).items()}
    with pytest.raises(NotTestable, match="it needs a network with vgg19 in its name"):
        judged(FINDINGS[0], frames, "vgg16-imagenet")


# -- what is missing -------------------------------------------------------------------------------


def test_an_answer_says_why_it_cannot_be_given(report: ReportData) -> None:
    rows = findings("no-fc", report.frames, {}).set_index("finding")
    lacking = rows.loc[rows["holds"] == "not testable here", "number"]
    assert lacking.str.startswith("because ").all()
    assert lacking[_BY_NAME["fc_classifies"].text] == (
        "because probe was not run on these images (kdsspark probe --config FILE)"
    )
    assert lacking[_BY_NAME["not_linear"].text] == (
        "because no stage fits classifiers to units that are chosen by their ks"
    )


def test_every_finding_has_the_papers_value() -> None:
    assert all(finding.published for finding in FINDINGS)
    published = {name: finding.published for name, finding in _BY_NAME.items()}
    assert published["half_remain"] == "3,300 (27%), 4,000 (32%); means of table 3"
    assert published["t_plus_range"] == "0.072 to 0.185, table 3"
    assert published["classes_beat_chance"] == "2,038 of 2,038 classes, figure 9"
    assert published["textures_near_zero"] == "4th lowest of 11"
    assert published["imagenet_off"].startswith("-0.031 (t+), +0.034 (t-)")
