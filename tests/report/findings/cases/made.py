"""What the cases are made of."""

from __future__ import annotations

from dataclasses import dataclass

from tests.report.findings.tables import NETWORK, Frames, kinds

NEAR = {-0.2: 50.0, 0.2: 50.0}


FAR = {-0.6: 50.0, 0.6: 50.0}


@dataclass(frozen=True)
class Case:
    """Tables in which a finding holds and does not hold, and the numbers that it states there."""

    holds: Frames
    yes: str
    fails: Frames
    no: str
    network: str = NETWORK


def zero(share: float, rest: float = 0.3) -> dict[float, float]:
    """So many percent of the pairs at 0, and the others alike on both sides."""
    return {0.0: share, -rest: (100 - share) / 2, rest: (100 - share) / 2}


def fc(curves: dict[str, dict[float, float]]) -> Frames:
    return kinds({}, curves)


FOUR = {"a1": 20.0, "a2": 40.0, "a3": 80.0, "a4": 160.0}


FALLING = {"a1": [0.4] * 4, "a2": [0.3] * 4, "a3": [0.2] * 4, "a4": [0.1] * 4}


RISING = {"a1": [0.1] * 4, "a2": [0.2] * 4, "a3": [0.3] * 4, "a4": [0.4] * 4}
