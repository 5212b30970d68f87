"""The report: numbers in, the files of a small static site out.

Runs on the driver, reads nothing and writes nothing. Pages fetch nothing from elsewhere (styles
are inside, figures are files beside them), work without their one script, which sorts and filters
tables, and everything that comes from data is escaped by Jinja.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from kdsspark.report import formats, names
from kdsspark.report.data import ReportData
from kdsspark.report.disagreements import DISAGREEMENTS
from kdsspark.report.pages import dataset, layer, overview
from kdsspark.report.queries import QUERIES


def render(data: ReportData) -> dict[str, bytes]:
    """Relative file name -> content: ``index.html``, its pages, and figures as SVG, PNG and CSV.

    Pages are ``datasets/<network>/<dataset>.html`` and ``layers/<network>/<layer>.html``, names
    made safe by :func:`kdsspark.report.names.slug`. The same data give the same bytes. Raises
    ValueError if a query has no frame.
    """
    missing = [name for name in QUERIES if name not in data.frames]
    if missing:
        raise ValueError(f"frames must hold every query, missing {', '.join(missing)}")
    files: dict[str, bytes] = {}
    environment = _environment()
    common = {"run": data.run, "queries": QUERIES | {"disagreements": DISAGREEMENTS}}

    def page(template: str, path: str, **values: Any) -> None:
        root = "../" * path.count("/")
        text = environment.get_template(template).render(**common, root=root, **values)
        files[path] = text.encode()

    sections = overview.sections(data, files)
    page("index.html", "index.html", sections=sections, beyond=data.beyond)
    for info in data.networks:
        network, frames = info["name"], overview.of_network(data.frames, info["name"])
        for row in formats.rows(frames["thresholds"]):
            path = names.dataset_page(network, row["dataset"])
            page("dataset.html", path, info=info, **dataset.context(row, frames, files))
        for row in formats.rows(frames["layers"]):
            path = names.layer_page(network, row["layer"])
            page("layer.html", path, info=info, **layer.context(row, frames, files))
    return files


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
