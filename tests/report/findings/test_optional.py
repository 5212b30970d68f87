"""Findings that need tables made on request: what keeps them from being tested."""

from __future__ import annotations

import pytest

from kdsspark.report.findings import optional
from kdsspark.report.findings.evidence import Evidence, NotTestable
from tests.report.findings.cases.optional import CASES
from tests.report.findings.tables import NETWORK
from tests.report.worlds import GROUPS


def test_probes_of_two_methods_are_not_compared() -> None:
    rows = CASES["fc_classifies"].holds["probed"]
    other = rows.assign(method=rows["method"].where(rows["kind"] == "conv", "SGD"))
    with pytest.raises(NotTestable, match="probe used other methods for fc layers"):
        optional.fc_classifies.judge(Evidence(NETWORK, {"probed": other}, GROUPS))
