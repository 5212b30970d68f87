"""The findings of the paper, each held against the tables.

A finding is a small function of :class:`.evidence.Evidence`; each module has those of one kind of
figure. A finding that needs a dataset, group, layer, network or table that is missing is "not
testable here".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from kdsspark.report.findings import (
    connected,
    depth,
    noise,
    optional,
    shape,
    sources,
    textured,
    units,
)
from kdsspark.report.findings.agreement import agreement
from kdsspark.report.findings.evidence import Evidence, Finding, NotTestable

__all__ = ["ANSWERS", "FINDINGS", "findings"]

ANSWERS: Final = ("yes", "no", "not testable here")
"""Whether a finding holds."""

_MODULES: Final = (optional, units, depth, textured, shape, connected, noise, sources)
_BY_SECTION: Final = sorted(
    (finding for module in _MODULES for finding in module.FINDINGS),
    key=lambda finding: finding.section,
)

FINDINGS: Final[tuple[Finding, ...]] = (agreement(_BY_SECTION), *_BY_SECTION)
"""Every finding, in the order of the paper's sections."""


def findings(
    network: str, frames: Mapping[str, pd.DataFrame], groups: Mapping[str, str]
) -> pd.DataFrame:
    """One row per finding: network, section, finding, paper, holds, number.

    ``frames``: those of the report (:class:`kdsspark.report.data.ReportData`), of all networks;
    ``groups``: dataset -> a, b or c (paper section 6.2). ``paper`` is the paper's own value,
    ``holds`` one of ``ANSWERS``. ``number`` has the numbers compared, or says what is missing:
    "because ...".
    """
    evidence = Evidence(network, frames, groups)
    yes, no, not_testable = ANSWERS
    rows = []
    for finding in FINDINGS:
        try:
            holds, number = finding.judge(evidence)
            answer = yes if holds else no
        except NotTestable as lacking:
            answer, number = not_testable, f"because {lacking}"
        rows.append((network, finding.section, finding.text, finding.published, answer, number))
    columns = ["network", "section", "finding", "paper", "holds", "number"]
    return pd.DataFrame(rows, columns=columns)
