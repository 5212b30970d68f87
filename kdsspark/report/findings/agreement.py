"""The finding of section 3.1: what VGG16 and VGG19 say of all other findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kdsspark.report.findings.evidence import Answer, Evidence, Finding, NotTestable, for_places

_THROUGHOUT: Final = 0.9  # of the findings that both networks test
_NETWORKS: Final = ("vgg16", "vgg19")


def agreement(findings: Sequence[Finding]) -> Finding:
    """Whether VGG16 and VGG19 with the same source task, by their names, answer findings alike."""

    def judge(e: Evidence) -> Answer:
        one, other = (_named(e, name) for name in _NETWORKS)
        answers = [(_holds(finding, one), _holds(finding, other)) for finding in findings]
        both = [(a, b) for a, b in answers if a is not None and b is not None]
        if not both:
            raise NotTestable("the two networks test no finding in common")
        same = sum(a == b for a, b in both)
        number = f"the same answer to {same} of {len(both)} findings that both test"
        return Answer(same >= _THROUGHOUT * len(both), number)

    text = "VGG19 agrees with VGG16 throughout"
    return Finding("3.1", text, "no number", judge)


def _holds(finding: Finding, e: Evidence) -> bool | None:
    try:
        return finding.judge(e).holds
    except NotTestable:
        return None


def _named(e: Evidence, name: str) -> Evidence:
    """The evidence of the network with ``name`` in its name, but not of one for Places."""
    of_name = [n for n in e.networks if name in n.lower() and not for_places(n)]
    if not of_name:
        raise NotTestable(f"it needs a network with {name} in its name, for ImageNet")
    return e if e.network in of_name else Evidence(of_name[0], e.all_frames, e.groups)
