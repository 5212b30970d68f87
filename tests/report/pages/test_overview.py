"""The first page: whole, escaped, and with the numbers of the tables."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from kdsspark.report.data import ReportData
from kdsspark.report.figures import FIGURES
from kdsspark.report.pages import overview
from kdsspark.report.queries import QUERIES
from kdsspark.report.site import render
from tests.report.html import Page, words
from tests.report.synthetic import SCRIPT, Tables


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


def test_one_sentence_says_it_in_numbers(report: ReportData, index: Page) -> None:
    images = report.frames["thresholds"].groupby("network")["n_images"].sum()
    assert f"vgg16: 15 layers, 300 features, 3 datasets, {images['vgg16']} images; beyond t+ =" in (
        words(index)
    )
    assert f"no-fc: 3 layers, 60 features, 1 dataset, {images['no-fc']} images" in words(index)


def test_what_was_not_asked_for_has_no_part(index: Page) -> None:
    for title in ("Where other distances disagree", "figure 1 of the paper", "figure 8 of the"):
        assert title not in words(index)


def test_what_the_output_holds_beyond_the_configuration_is_named(
    report: ReportData, index: Page
) -> None:
    sentence = "The output also holds dataset <gone>, which is not in this configuration."
    small = replace(report, networks=(), beyond=[sentence])  # no network, no figures to draw
    assert sentence in words(Page(render(small)["index.html"].decode()))
    assert "also holds" not in words(index)
