"""The report: data in, the files of a small static site out.

Runs on the driver, reads nothing and writes nothing. The pages fetch nothing from elsewhere: styles
are inside, figures are files beside them. They work without their one script, which sorts and
filters tables. Jinja escapes everything that comes from data.
"""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined

from kdsspark.report.data import ReportData, of_network
from kdsspark.report.pages import dataset, formats, layer, overview
from kdsspark.report.pages.page import Page, files_of
from kdsspark.report.queries import DISAGREEMENTS, QUERIES


def render(data: ReportData) -> dict[str, bytes]:
    """Relative file name -> content: ``index.html``, its pages, and figures as SVG, PNG and CSV.

    The other pages are ``datasets/<network>/<dataset>.html`` and ``layers/<network>/<layer>.html``;
    :func:`kdsspark.report.pages.names.slug` makes the names safe. The same data give the same
    bytes. Raises ValueError if a query has no frame.
    """
    missing = [name for name in QUERIES if name not in data.frames]
    if missing:
        raise ValueError(f"frames must hold every query, missing {', '.join(missing)}")
    environment = _environment()
    common = {"run": data.run, "queries": QUERIES | {"disagreements": DISAGREEMENTS}}
    pages = list(_pages(data))
    texts = {
        page.path: environment.get_template(page.template)
        .render(**common, root="../" * page.path.count("/"), **page.values)
        .encode()
        for page in pages
    }
    return files_of(*pages) | texts


def _pages(data: ReportData) -> Iterator[Page]:
    yield overview.page(data)
    for info in data.networks:
        frames = of_network(data.frames, info["name"])
        for row in formats.rows(frames["thresholds"]):
            yield dataset.page(info, row, frames)
        for row in formats.rows(frames["layers"]):
            yield layer.page(info, row, frames)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("kdsspark", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=formats.number, duration=formats.duration, span=formats.span)
    return environment
