"""The findings of the paper's sections 5 to 8, each held against the tables.

A finding is a small function of :class:`.evidence.Evidence`; each module has those of one kind of
figure. A finding that needs a dataset, group, layer or network that is missing is "not testable
here".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from kdsspark.report.findings import depth, noise, shape, sources
from kdsspark.report.findings.evidence import Evidence, Finding, NotTestable

__all__ = ["FINDINGS", "findings"]

FINDINGS: Final[tuple[Finding, ...]] = tuple(
    sorted(
        (*shape.FINDINGS, *depth.FINDINGS, *noise.FINDINGS, *sources.FINDINGS),
        key=lambda finding: finding.section,
    )
)
"""Every finding, in the order of the paper's sections."""


def findings(
    network: str, frames: Mapping[str, pd.DataFrame], groups: Mapping[str, str]
) -> pd.DataFrame:
    """One row per finding: network, section, finding, holds (yes, no, not testable here), number.

    ``frames``: the results of the report's queries, of all networks; ``groups``: dataset -> a, b
    or c (paper section 6.2). ``number`` holds the numbers compared, or names what is missing.
    """
    evidence = Evidence(network, frames, groups)
    rows = []
    for finding in FINDINGS:
        try:
            holds, number = finding.judge(evidence)
            answer = "yes" if holds else "no"
        except NotTestable as lacking:
            answer, number = "not testable here", str(lacking)
        rows.append((network, finding.section, finding.text, answer, number))
    return pd.DataFrame(rows, columns=["network", "section", "finding", "holds", "number"])
