"""The first page: whole, escaped, and with the numbers of the tables."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from kdsspark.report.data import ComputedOn, ReportData
from kdsspark.report.figures import FIGURES
from kdsspark.report.pages import overview
from kdsspark.report.parts.names import slug
from kdsspark.report.queries import QUERIES
from tests.report.html import Page, words
from tests.report.rendered import rendered
from tests.report.synthetic import SCRIPT, Tables


def test_every_figure_is_on_the_page_and_a_file(
    files: dict[str, bytes], papers: dict[str, Page]
) -> None:
    names = [name for name in FIGURES if name != "figure8"]  # there are no groups
    for network, page in papers.items():
        stems = [f"figures/{network}/{name}" for name in names]
        shown = [src for src in page.all("src") if "pictures" not in src]
        assert shown == [*(f"../{stem}.svg" for stem in stems), "../script.js"]
        for stem in stems:
            assert f"{stem}.png" in files
            assert b"<svg" in files[f"{stem}.svg"]
            assert files[f"{stem}.csv"].startswith(b"network,dataset,")
            assert page.all("href").count(f"../{stem}.png") == 1
        assert page.all("alt").count("") == 0


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


def test_names_are_escaped(files: dict[str, bytes], about: Page) -> None:
    pages = [text.decode() for name, text in files.items() if name.endswith(".html")]
    assert [text for text in pages if SCRIPT in text] == []
    assert "<b>birds</b>" not in files["about.html"].decode()
    assert SCRIPT in "".join(Page(files["datasets/vgg16/birds.html"].decode()).text)
    assert "<b>birds</b>" in "".join(about.codes)
    assert "decode: UnidentifiedImageError: no <image>" in words(about)


def test_queries_are_printed_as_they_are(papers: dict[str, Page]) -> None:
    for name in ("thresholds", "classes", *(set(FIGURES) & set(QUERIES))):
        assert [page.codes.count(QUERIES[name]) for page in papers.values()] == [1, 1], name


def test_thresholds_are_formatted(report: ReportData, papers: dict[str, Page]) -> None:
    page = papers["vgg16"]
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
    ] in page.cells
    assert ["mono", "30", "1", "30.0", *["\u2013"] * 5, "1,002"] in page.cells
    assert not re.search(r"\b(nan|None|NaN)\b", words(page))


def test_the_first_page_has_the_thresholds_too(report: ReportData, index: Page) -> None:
    best = report.frames["thresholds"].query("network == 'vgg16' and dataset == 'birds'").iloc[0]
    plus = [f"{best['t_plus']:.3f}", f"{best['davg_plus']:,.0f}"]
    minus = [f"\u2212{-best['t_minus']:.3f}", f"{best['davg_minus']:,.0f}"]
    assert ["birds", "353", "12", *plus, *minus] in index.cells
    assert ["mono", "30", "1", *["\u2013"] * 4] in index.cells
    assert not re.search(r"\b(nan|None|NaN)\b", words(index))


def test_images_and_failures_are_counted(index: Page, about: Page, tables: Tables) -> None:
    n = len(tables["images"].query("dataset == 'birds'"))
    assert ["vgg16", "birds", str(n), str(n - 7), "7"] in about.cells
    assert ["birds", "decode", "UnidentifiedImageError", "7"] in about.cells
    assert "14 images could not be read" in words(index)  # seven by each network


def test_classes_with_the_most_and_the_fewest_features(
    report: ReportData, papers: dict[str, Page]
) -> None:
    classes = report.frames["classes"].query("network == 'vgg16' and dataset == 'wood'")
    ordered = classes.sort_values("n_plus", ascending=False)
    rows = papers["vgg16"].cells
    (row,) = [cells for cells in rows if cells[0] == "wood" and len(cells) == 3]
    for cell, counts in zip(row[1:], (ordered["n_plus"][:3], ordered["n_plus"][-3:]), strict=True):
        assert re.findall(r"\((\d+)\)", cell) == [str(n) for n in counts]


def test_random_weights_are_announced(files: dict[str, bytes], index: Page) -> None:
    assert "Random weights (no-fc): these numbers show that the software works" in words(index)
    pages = {name: text for name, text in files.items() if "/no-fc/" in name or "/vgg16/" in name}
    for name, text in pages.items():
        if name.endswith(".html"):
            assert (b"Random weights:" in text) == ("/no-fc/" in name), name


def test_fc_is_mentioned_only_where_there_is_one(papers: dict[str, Page]) -> None:
    assert "fully connected layers are shaded" in words(papers["vgg16"])
    assert "fully connected layers are shaded" not in words(papers["no-fc"])


def test_one_sentence_says_it_in_numbers(report: ReportData, index: Page) -> None:
    images = report.frames["thresholds"].groupby("network")["n_images"].sum()
    assert f"15 layers, 300 units, 3 datasets, {images['vgg16']} images; beyond t+ = " in (
        words(index)
    )
    assert f"3 layers, 60 units, 1 dataset, {images['no-fc']} images; beyond t+ =" in words(index)
    assert "12 classes, t+" in words(index)
    assert "1 class " in words(index)


def test_the_first_page_shows_the_classes_that_units_tell_best(
    report: ReportData, index: Page
) -> None:
    gallery = next(g for g in report.galleries if (g.network, g.dataset) == ("vgg16", "wood"))
    upper = [f for f in gallery.units if 3 * gallery.layer_of[f] >= 15]
    shown = {c.class_id: [f for f in c.present if f in upper] for c in gallery.classes}
    best = {c: max(gallery.ks[c, f] for f in own) for c, own in shown.items() if own}
    names = [gallery.by_id[c].name for c in sorted(best, key=lambda c: -best[c])[: overview._BEST]]
    links = [href for href in index.all("href") if href.startswith("classes/vgg16/wood/")]
    want = [f"classes/vgg16/wood/{slug(name)}.html" for name in names]
    assert list(dict.fromkeys(links)) == want


def test_what_was_not_asked_for_has_no_part(papers: dict[str, Page]) -> None:
    for title in ("Where other distances disagree", "figure 1 of the paper", "figure 8 of the"):
        assert title not in words(papers["vgg16"])


def test_what_embeddings_were_computed_on_is_told(report: ReportData, about: Page) -> None:
    kinds = [
        ComputedOn(network="vgg16", dataset="birds", computed_on=kind, images=n)
        for kind, n in (("a <processor>", 4000), ("unknown", 3))
    ]
    other = replace(report, networks=(), computed_on=kinds, mixtures=["birds mixes them."])
    made = rendered(other)
    told = Page(made["about.html"].decode())
    for row in (["vgg16", "birds", "a <processor>", "4,000"], ["vgg16", "birds", "unknown", "3"]):
        assert row in told.cells
    assert "birds mixes them." in words(told)
    assert "computed on" not in words(about)


def test_what_the_output_holds_beyond_the_configuration_is_named(
    report: ReportData, index: Page
) -> None:
    sentence = "The output also holds dataset <gone>, which is not in this configuration."
    small = replace(report, networks=(), beyond=[sentence])  # no network, no figures to draw
    made = rendered(small)
    assert [sentence in words(Page(made[f"{n}.html"].decode())) for n in ("index", "about")] == [
        True,
        True,
    ]
    assert "also holds" not in words(index)
