"""A page for every experiment that has rows: what the paper says, a figure, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
import pytest

from kdsspark.query.view_queries import VIEW_QUERIES, reads
from kdsspark.report.data import ReportData
from kdsspark.report.experiment_queries import EXPERIMENT_QUERIES
from kdsspark.report.experiments import PICTURES, SHOWN
from kdsspark.report.figures import FIGURES
from kdsspark.report.pages import experiment
from kdsspark.stages import EXPERIMENTS
from kdsspark.tables import TABLES
from tests.report.html import Page, words
from tests.report.rendered import rendered
from tests.report.synthetic import SCRIPT, make_report, run_on_files
from tests.report.synthetic import Study as MadeUp
from tests.report.undrawn import without_figures
from tests.stages.experiments import studies
from tests.stages.experiments.chosen import seen as of_images

NAMES = [one.name for one in EXPERIMENTS]
OF_NETWORKS = {"sources", "grids", "ablations"}
"""Those that need several networks, or images."""


@pytest.fixture(scope="module")
def frames(
    tmp_path_factory: pytest.TempPathFactory,
    without_spark: None,  # noqa: ARG001
) -> Mapping[str, pd.DataFrame]:
    """The rows of every experiment, run on a small study."""
    study = studies.make(tmp_path_factory.mktemp("experiments"))
    compared = studies.of_networks(tmp_path_factory.mktemp("compared"), "one", "two")
    images = of_images.make_with_parts(tmp_path_factory.mktemp("seen"))
    seen = of_images.with_settings(images, images={"birds": ["a/000.png"]})
    chosen = set(of_images.NAMES)
    rest = set(NAMES) - OF_NETWORKS - chosen
    frames = {}
    for of, some in ((compared, OF_NETWORKS), (seen, chosen), (study, rest)):
        for name in some:
            of.do(f"experiment {name}")
        own = {n: q for n, q in EXPERIMENT_QUERIES.items() if n.partition("/")[0] in some}
        frames |= run_on_files(of.output, own)
    return {name: _of_one_network(rows).assign(rank=1.0) for name, rows in frames.items()}


def _of_one_network(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["network"].isin(rows["network"].head(1))].assign(network="vgg16")


@pytest.fixture(scope="module")
def small() -> ReportData:
    """A report of little but its experiments."""
    return make_report(MadeUp("vgg16", [("a", "conv"), ("b", "fc")], {"birds": ["x", "y"]}, 3))


@pytest.fixture(scope="module")
def data(small: ReportData, frames: Mapping[str, pd.DataFrame]) -> ReportData:
    return replace(small, experiments=dict(frames))


@pytest.fixture(scope="module")
def shown(data: ReportData) -> dict[str, bytes]:
    with without_figures("png"):
        return rendered(data)


def test_every_experiment_is_shown() -> None:
    assert list(SHOWN) == NAMES
    assert list(dict.fromkeys(name.partition("/")[0] for name in EXPERIMENT_QUERIES)) == NAMES
    pictures = [picture for shown in SHOWN.values() for picture in shown.pictures]
    assert len(PICTURES) == len(pictures)  # no two of one name
    assert not set(PICTURES) & set(FIGURES)
    assert all(shown.name == name for name, shown in SHOWN.items())


@pytest.mark.parametrize("name", EXPERIMENT_QUERIES)
def test_queries_read_what_users_have(name: str) -> None:
    named = set(reads(EXPERIMENT_QUERIES[name]))
    assert named <= {*TABLES, *VIEW_QUERIES}
    (tables,) = (one.tables for one in EXPERIMENTS if one.name == name.partition("/")[0])
    assert named & {table.name for table in tables}


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_a_figure_its_data_and_numbers(shown: dict[str, bytes], name: str) -> None:
    page = Page(shown[f"experiments/vgg16/{name}.html"].decode())
    for link in page.all("href"):
        if link.startswith("../../"):
            assert link.removeprefix("../../").partition("#")[0] in shown, link
    text = words(page)
    for picture in SHOWN[name].pictures:
        stem = f"figures/vgg16/experiment-{picture.name}"
        assert f"../../{stem}.svg" in page.all("src")
        assert b"<svg" in shown[f"{stem}.svg"]
        assert shown[f"{stem}.csv"].startswith(b"network,dataset,")
        assert EXPERIMENT_QUERIES[picture.query] in page.codes
        assert all(paragraph in text for paragraph in (picture.title, *picture.text))
    assert SHOWN[name].title in text
    assert all(paragraph in text for paragraph in SHOWN[name].says)
    assert len([row for row in page.cells if row]) > 1


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_of_the_query(frames: Mapping[str, pd.DataFrame], name: str) -> None:
    rows = SHOWN[name].numbers[0].rows(frames)
    assert set(rows["dataset"]) == {"birds"}


def test_pages_lead_to_each_other(shown: dict[str, bytes]) -> None:
    index = Page(shown["index.html"].decode())
    first = Page(shown[f"experiments/vgg16/{NAMES[0]}.html"].decode())
    for name in NAMES:
        assert f"experiments/vgg16/{name}.html" in index.all("href")
        other = f"../../experiments/vgg16/{name}.html"
        assert (other in first.all("href")) == (name != NAMES[0])


def test_without_rows_there_is_no_page(small: ReportData, data: ReportData) -> None:
    assert list(experiment.of("vgg16", data)) == NAMES
    assert experiment.of("vgg16", small) == experiment.of("no-fc", data) == {}


def test_names_of_layers_are_escaped(small: ReportData, frames: Mapping[str, pd.DataFrame]) -> None:
    named = {n: rows.assign(layer=SCRIPT) for n, rows in frames.items() if "layer" in rows}
    with without_figures():
        made = rendered(replace(small, experiments=named))
    pages = [text.decode() for name, text in made.items() if name.startswith("experiments/")]
    assert pages
    for text in pages:
        assert "<script>alert" not in text
        assert SCRIPT in "".join(Page(text).text)
