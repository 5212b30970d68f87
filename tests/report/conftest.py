"""Synthetic reports, made once."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from kdsspark.report.data import ReportData
from tests.report.html import Page
from tests.report.rendered import rendered
from tests.report.synthetic import BIRDS, VGG_LAYERS, Study, Tables, make_report, make_tables
from tests.report.undrawn import without_figures


@pytest.fixture(scope="session")
def studies() -> tuple[Study, Study]:
    """VGG16 over three datasets, one of a single class; and random weights without fc."""
    classes = {"birds": BIRDS, "wood": [f"knot {i}" for i in range(7)], "mono": ["only"]}
    layers = [(f"stage{i}", "conv") for i in range(3)]
    second = Study("no-fc", layers, {"birds": BIRDS}, dead=0.4, random=True)
    return Study("vgg16", VGG_LAYERS, classes), second


@pytest.fixture(scope="session")
def tables(studies: tuple[Study, Study]) -> Tables:
    return make_tables(studies)


@pytest.fixture(scope="session")
def report(studies: tuple[Study, Study], tables: Tables) -> ReportData:
    return make_report(*studies, tables=tables)


@pytest.fixture(scope="session")
def files(report: ReportData) -> dict[str, bytes]:
    """The whole site of the synthetic report; figures are no PNG, which no page shows."""
    with without_figures("png"):
        return rendered(report)


@pytest.fixture(scope="session")
def index(files: dict[str, bytes]) -> Page:
    """The first page of the synthetic report."""
    return Page(files["index.html"].decode())


@pytest.fixture(scope="session")
def papers(files: dict[str, bytes]) -> dict[str, Page]:
    """Network -> its page of the paper's figures and findings."""
    return {name: Page(files[f"paper/{name}.html"].decode()) for name in ("vgg16", "no-fc")}


@pytest.fixture(scope="session")
def about(files: dict[str, bytes]) -> Page:
    """The page of what was run."""
    return Page(files["about.html"].decode())


@pytest.fixture(scope="session")
def frame(report: ReportData) -> Callable[[str], pd.DataFrame]:
    """The rows of VGG16 in the result of a query."""

    def of_vgg(name: str) -> pd.DataFrame:
        rows = report.frames[name]
        return rows[rows["network"] == "vgg16"]

    return of_vgg
