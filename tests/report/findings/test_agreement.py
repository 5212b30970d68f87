"""Whether VGG16 and VGG19 answer alike: findings with answers that are made up."""

from __future__ import annotations

import pandas as pd
import pytest

from kdsspark.report.findings.agreement import agreement
from kdsspark.report.findings.evidence import Answer, Evidence, Finding, NotTestable

NAMES = ["my-VGG16", "vgg19", "vgg16-places", "alexnet"]


def evidence(network: str, names: list[str] | None = None) -> Evidence:
    frame = pd.DataFrame({"network": NAMES if names is None else names})
    return Evidence(network, {"thresholds": frame}, {})


def made_up(first: bool | None, second: bool | None) -> Finding:
    """Holds for VGG16 as ``first`` says and for VGG19 as ``second``; None cannot be tested."""

    def judge(e: Evidence) -> Answer:
        holds = {"my-VGG16": first, "vgg19": second}[e.network]
        if holds is None:
            raise NotTestable("it is made up")
        return Answer(holds, "")

    return Finding("0", "", "", judge)


ALIKE, UNLIKE = made_up(True, True), made_up(True, False)


@pytest.mark.parametrize("network", ["my-VGG16", "vgg19", "alexnet"])
@pytest.mark.parametrize(
    ("findings", "holds", "number"),
    [
        ([ALIKE, made_up(False, False)], True, "2 of 2"),
        ([ALIKE] * 9 + [UNLIKE], True, "9 of 10"),
        ([ALIKE] * 8 + [UNLIKE], False, "8 of 9"),
        ([ALIKE, made_up(None, True), made_up(False, None)], True, "1 of 1"),
    ],
)
def test_nine_in_ten_of_what_both_test(
    network: str, findings: list[Finding], holds: bool, number: str
) -> None:
    answer = agreement(findings).judge(evidence(network))
    assert answer == (holds, f"the same answer to {number} findings that both test")


@pytest.mark.parametrize(
    ("names", "findings", "why"),
    [
        (["vgg19", "vgg16-places"], [ALIKE], "a network with vgg16 in its name, for ImageNet"),
        (["my-VGG16"], [ALIKE], "a network with vgg19 in its name"),
        (NAMES, [made_up(None, True)], "test no finding in common"),
        (NAMES, [], "test no finding in common"),
    ],
)
def test_what_cannot_be_tested(names: list[str], findings: list[Finding], why: str) -> None:
    with pytest.raises(NotTestable, match=why):
        agreement(findings).judge(evidence(names[0], names))
