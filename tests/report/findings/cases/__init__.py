"""For each finding two small tables: one that it follows from, and one that contradicts it.

Each with the number that the finding must state there, worked out by hand from the table.
"""

from __future__ import annotations

from typing import Final

from tests.report.findings.cases import (
    connected,
    depth,
    noise,
    optional,
    shape,
    sources,
    textured,
    units,
)
from tests.report.findings.cases.made import Case

CASES: Final[dict[str, Case]] = {
    name: case
    for module in (optional, units, depth, textured, shape, connected, noise, sources)
    for name, case in module.CASES.items()
}
"""Name of the function that judges -> its tables."""
