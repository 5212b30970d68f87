"""The report: data in, the files of a static site out.

Runs on the driver, reads nothing and writes nothing. The pages fetch nothing from elsewhere: style,
script, figures and pictures are files beside them. They work without the script, which sorts and
filters tables. Jinja escapes everything that comes from data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined

from kdsspark.report.data import ReportData, of_network, of_pixels
from kdsspark.report.pages import class_page, dataset, experiment, layer, overview, unit_page
from kdsspark.report.parts import cards, drawing, formats
from kdsspark.report.parts.page import Page
from kdsspark.report.queries import DISAGREEMENTS, QUERIES


def render(data: ReportData, drawn: drawing.Figures) -> Iterator[tuple[str, bytes]]:
    """Relative file name, content: pages, style and script, pictures, and figures with data.

    ``drawn`` are the :func:`figures` of the same data. The last pages show them.
    ``index.html`` leads to all. The names of the others are made by
    :mod:`kdsspark.report.parts.names`, safe for any name of a dataset, layer or class. The same
    data give the same bytes. A name that several pages or galleries share comes several times,
    with the same content. Raises ValueError if a query has no frame.
    """
    missing = [name for name in QUERIES if name not in data.frames]
    if missing:
        raise ValueError(f"frames must hold every query, missing {', '.join(missing)}")
    templates = environment()
    common = {"run": data.run, "queries": QUERIES | {"disagreements": DISAGREEMENTS}}

    def written(pages: Iterable[Page]) -> Iterator[tuple[str, bytes]]:
        for page in pages:
            template, root = templates.get_template(page.template), "../" * page.path.count("/")
            yield page.path, template.render(**common, root=root, **page.values).encode()
            yield from page.files.items()

    for gallery in data.galleries:
        yield from gallery.files.items()
    for name in ("style.css", "script.js"):
        yield name, _text(templates, name)
    yield from written(_pages(data))
    yield from written(_pages_with_figures(data, drawn))


def figures(data: ReportData) -> Iterator[drawing.Wanted]:
    """All figures but those of single features and distances; needs no gallery."""
    for info in data.networks:
        frames = of_network(data.frames, info["name"])
        yield from overview.figures(info["name"], data)
        yield from experiment.figures(info["name"], data)
        for row in formats.rows(frames["thresholds"]):
            yield from dataset.figures(row, frames)


def _text(environment: Environment, name: str) -> bytes:
    return environment.get_template(name).render().encode()


def _pages(data: ReportData) -> Iterator[Page]:
    yield overview.page(data)
    yield overview.about(data)
    for info in data.networks:
        frames = of_network(data.frames, info["name"])
        own = cards.several(data.galleries, info["name"])
        for row in formats.rows(frames["layers"]):
            yield layer.page(info, row, frames, own, data.filters.get(info["name"]))
        for gallery in own:
            yield from (class_page.page(info, gallery, shown) for shown in gallery.classes)
        yield from unit_page.pages(info, own)


def _pages_with_figures(data: ReportData, drawn: drawing.Figures) -> Iterator[Page]:
    yield from overview.paper_pages(data, drawn)
    for info in data.networks:
        frames = of_network(data.frames, info["name"])
        own = cards.several(data.galleries, info["name"])
        for row in formats.rows(frames["thresholds"]):
            yield dataset.page(info, row, frames, own, drawn, of_pixels(data, info))
        yield from experiment.pages(info, data, drawn)


def environment() -> Environment:
    """The templates, which escape what comes from data."""
    environment = Environment(
        loader=PackageLoader("kdsspark", "report/templates"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    printed = (formats.number, formats.signed, formats.duration, formats.span)
    environment.filters.update({function.__name__: function for function in printed})
    return environment
