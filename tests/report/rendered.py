"""The files of a report, drawn in this process."""

from __future__ import annotations

from kdsspark.report import site
from kdsspark.report.data import ReportData
from kdsspark.report.parts.drawing import drawn_beside


def rendered(data: ReportData) -> dict[str, bytes]:
    """Relative file name -> content; a name that comes again must have the same content."""
    files: dict[str, bytes] = {}
    with drawn_beside(site.figures(data), 0) as drawn:
        for name, content in site.render(data, drawn):
            assert files.setdefault(name, content) == content, name
    return files
