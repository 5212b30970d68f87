"""The first page: whole, escaped, and with the numbers of the tables."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from kdsspark.report.data import ReportData
from kdsspark.report.figures import FIGURES
from kdsspark.report.pages import overview
from kdsspark.report.queries import QUERIES
from kdsspark.report.site import render
from tests.report.html import Page, words
from tests.report.synthetic import SCRIPT, VGG_LAYERS, Study, Tables, make_report


def test_every_figure_is_on_the_page_and_a_file(files: dict[str, bytes], index: Page) -> None:
    names = [name for name in FIGURES if name != "figure8"]  # there are no groups
    stems = [f"figures/{n}/{name}" for n in ("vgg16", "no-fc") for name in names]
    assert index.all("src") == [f"{stem}.svg" for stem in stems]
    for stem in stems:
        assert files[f"{stem}.png"].startswith(b"\x89PNG")
        assert b"<svg" in files[f"{stem}.svg"]
        assert files[f"{stem}.csv"].startswith(b"network,dataset,")
        assert index.all("href").count(f"{stem}.png") == 1
    assert index.all("alt").count("") == 0


def test_groups_bring_figure_8(report: ReportData) -> None:
    frames = {
        network: {name: rows[rows["network"] == network] for name, rows in report.frames.items()}
        for network in ("vgg16", "no-fc")
    }
    groups = {"birds": "b", "mono": "a"}
    drawn = {name: overview.figure_frames(rows, groups) for name, rows in frames.items()}
    assert "figure8" not in drawn["no-fc"]  # it has no fc layers
    rows = drawn["vgg16"]["figure8"]
    assert len(rows) == 200  # mono has no distances, wood no group
    assert set(zip(rows["dataset"], rows["group"], strict=True)) == {("birds", "b")}
    assert "figure8" not in overview.figure_frames(frames["vgg16"], {})


def test_names_are_escaped(files: dict[str, bytes], index: Page) -> None:
    text = files["index.html"].decode()
    assert SCRIPT not in text
    assert SCRIPT in "".join(index.text)
    assert "<b>birds</b>" not in text
    assert "<b>birds</b>" in "".join(index.codes)
    assert "decode: UnidentifiedImageError: no <image>" in words(index)


def test_queries_are_printed_as_they_are(index: Page) -> None:
    for name in ("thresholds", "classes", *(set(FIGURES) & set(QUERIES))):
        assert index.codes.count(QUERIES[name]) == 2, name  # one per network


def test_thresholds_are_formatted(report: ReportData, index: Page) -> None:
    best = report.frames["thresholds"].query("network == 'vgg16' and dataset == 'birds'").iloc[0]
    ratio = best["t_plus"] / math.sqrt(math.log(11) / (2 * 353 / 12))
    assert [
        "birds",
        "353",
        "12",
        "29.4",
        f"{best['t_plus']:.3f}",
        f"{best['davg_plus']:,.0f}",
        f"\u2212{-best['t_minus']:.3f}",
        f"{best['davg_minus']:,.0f}",
        f"{ratio:.2f}",
        "1,000",
    ] in index.cells
    assert ["mono", "30", "1", "30.0", *["\u2013"] * 5, "1,002"] in index.cells
    assert not re.search(r"\b(nan|None|NaN)\b", words(index))


def test_images_and_failures_are_counted(index: Page, tables: Tables) -> None:
    n = len(tables["images"].query("dataset == 'birds'"))
    assert ["vgg16", "birds", str(n), str(n - 7), "7"] in index.cells
    assert ["birds", "decode", "UnidentifiedImageError", "7"] in index.cells


def test_classes_with_the_most_and_the_fewest_features(report: ReportData, index: Page) -> None:
    classes = report.frames["classes"].query("network == 'vgg16' and dataset == 'wood'")
    ordered = classes.sort_values("n_plus", ascending=False)
    (row,) = [cells for cells in index.cells if cells[0] == "wood" and len(cells) == 3]
    for cell, counts in zip(row[1:], (ordered["n_plus"][:3], ordered["n_plus"][-3:]), strict=True):
        assert re.findall(r"\((\d+)\)", cell) == [str(n) for n in counts]


def test_random_weights_are_announced(index: Page) -> None:
    assert "Random weights (no-fc): these numbers show that the software works" in words(index)
    # At the top, in the section of the network, and beside the paper.
    assert words(index).count("Random weights") == 3


def test_fc_is_mentioned_only_where_there_is_one(files: dict[str, bytes]) -> None:
    first, second = files["index.html"].decode().split('<section id="network-no-fc">')
    assert "fully connected layers are shaded" in first
    assert "fully connected layers are shaded" not in second


def test_one_sentence_says_it_in_numbers() -> None:
    study = Study("vgg16", VGG_LAYERS, {"mono": ["only"]}, units=1000)
    text = words(Page(render(make_report(study))["index.html"].decode()))
    assert "15 layers, 15,000 features, 1 dataset, 23 images." in text
    assert "Random weights" not in text


def test_any_class_name_is_shown_unchanged() -> None:
    names = [SCRIPT, "q\"u'o&t</td>e", "\u9ce5 \U0001f426", "a/b=c", "{{ 7 * 7 }}", "\u202eabc"]
    layers = [("clip", "other"), ("dino", "other")]
    data = make_report(Study("given", layers, {"mine": names}, units=5))
    info = dict.fromkeys(("architecture", "weights", "crops", "precision", "activation", "pooling"))
    page = Page(
        render(replace(data, networks=[{**data.networks[0], **info}]))["index.html"].decode()
    )
    text = "".join(page.text)
    assert [name for name in names if name not in text] == []
    # Ready-made embeddings have no network to describe.
    row = ["given", "ready-made", "\u2013", "2", "10", "\u2013", "\u2013", "\u2013", "\u2013"]
    assert row in page.cells


@pytest.mark.parametrize("n_networks", [0, 1])
def test_a_report_without_disagreements_and_chosen_features_has_no_section(
    report: ReportData, n_networks: int
) -> None:
    frames = {
        name: rows[rows["dataset"] == "mono"] if "dataset" in rows else rows
        for name, rows in report.frames.items()
    }
    page = overview.page(replace(report, frames=frames, networks=report.networks[:n_networks]))
    assert (page.path, page.template) == ("index.html", "index.html")
    assert len(page.values["sections"]) == n_networks
    for section in page.values["sections"]:
        assert section["disagreements"] is None
        assert section["feature_classes"] == []
