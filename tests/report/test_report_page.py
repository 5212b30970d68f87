"""The first page: whole, valid, self-contained, escaped, and the same every time."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from kdsspark.report.data import ReportData
from kdsspark.report.figures import FIGURES
from kdsspark.report.formats import noise_scale
from kdsspark.report.queries import QUERIES
from kdsspark.report.site import render
from tests.report.html import Page, words
from tests.report.synthetic import SCRIPT, VGG_LAYERS, Study, make_report


@pytest.fixture(scope="module")
def page(files: dict[str, bytes]) -> Page:
    return Page(files["index.html"].decode())


def test_every_figure_is_on_the_page_and_a_file(files: dict[str, bytes], page: Page) -> None:
    names = [name for name in FIGURES if name != "figure8"]  # there are no groups
    stems = [f"figures/{n}/{name}" for n in ("vgg16", "no-fc") for name in names]
    assert page.all("src") == [f"{stem}.svg" for stem in stems]
    for stem in stems:
        assert files[f"{stem}.png"].startswith(b"\x89PNG")
        assert b"<svg" in files[f"{stem}.svg"]
        assert files[f"{stem}.csv"].startswith(b"network,dataset,")
        assert page.all("href").count(f"{stem}.png") == 1
    assert all(page.all("alt"))


def test_groups_bring_figure_8(report: ReportData) -> None:
    files = render(replace(report, groups={"birds": "b", "mono": "a"}))
    assert "figures/vgg16/figure8.svg" in files
    data = files["figures/vgg16/figure8.csv"].decode().splitlines()
    assert len(data) == 1 + 200  # mono has no pairs, wood no group
    assert "figures/no-fc/figure8.svg" not in files


def test_names_are_escaped(files: dict[str, bytes], page: Page) -> None:
    text = files["index.html"].decode()
    assert SCRIPT not in text
    assert SCRIPT in "".join(page.text)
    assert "<b>birds</b>" not in text
    assert "<b>birds</b>" in "".join(page.codes)
    assert "decode: UnidentifiedImageError: no <image>" in words(page)


def test_any_class_name_is_shown_unchanged() -> None:
    names = [SCRIPT, "q\"u'o&t</td>e", "\u9ce5 \U0001f426", "a/b=c", "{{ 7 * 7 }}", "\u202eabc"]
    layers = [("clip", "other"), ("dino", "other")]
    data = make_report(Study("given", layers, {"mine": names}, units=5))
    text = "".join(Page(render(data)["index.html"].decode()).text)
    for name in names:
        assert name in text


def test_queries_are_printed_as_they_are(page: Page) -> None:
    for name in ("thresholds", "classes", *(set(FIGURES) & set(QUERIES))):
        assert page.codes.count(QUERIES[name]) == 2, name  # one per network


def test_same_bytes_every_time() -> None:
    study = Study("n", [("a", "conv"), ("b", "fc")], {"d": ["x", "y"]}, units=3)
    assert render(make_report(study)) == render(make_report(study))


def test_thresholds_are_formatted(report: ReportData, page: Page) -> None:
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


def test_noise_scale_against_the_paper() -> None:
    """Table 3: t+ lies at 0.9 to 1.6 times the scale, for all eleven datasets."""
    paper = [(50, 0.150), (59, 0.185), (63, 0.176), (80, 0.141), (91, 0.148), (100, 0.123)]
    paper += [(120, 0.101), (120, 0.112), (199, 0.115), (172, 0.110), (250, 0.072)]
    ratios = [t_plus / noise_scale(n) for n, t_plus in paper]
    assert min(ratios) > 0.9
    assert max(ratios) < 1.6
    assert math.exp(-2 * 50 * noise_scale(50) ** 2) == pytest.approx(1 / 11)


def test_random_weights_are_announced(page: Page) -> None:
    assert "Random weights (no-fc): the numbers show that the machinery works" in words(page)
    # At the top, in the network's section, and beside the paper.
    assert words(page).count("Random weights") == 3


def test_one_sentence_says_it_in_numbers() -> None:
    study = Study("vgg16", VGG_LAYERS, {"mono": ["only"]}, units=1000)
    text = words(Page(render(make_report(study))["index.html"].decode()))
    assert "15 layers, 15,000 features, 1 dataset, 23 images." in text
    assert "Random weights" not in text


def test_fc_is_mentioned_only_where_there_is_one(files: dict[str, bytes]) -> None:
    first, second = files["index.html"].decode().split('<section id="network-no-fc">')
    assert "fully connected layers are shaded" in first
    assert "fully connected layers are shaded" not in second


def test_ready_made_embeddings_have_no_network_to_describe() -> None:
    data = make_report(Study("given", [("clip", "other")], {"mine": ["a", "b"]}, units=4))
    info = dict.fromkeys(("architecture", "weights", "crops", "precision", "activation", "pooling"))
    data = replace(data, networks=[{**data.networks[0], **info}])
    row = ["given", "ready-made", "\u2013", "1", "4", "\u2013", "\u2013", "\u2013", "\u2013"]
    assert row in Page(render(data)["index.html"].decode()).cells


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.25, "4.2 s"),
        (59.96, "60 s"),
        (60, "1 min 0 s"),
        (192, "3 min 12 s"),
        (18420, "5 h 7 min"),
    ],
)
def test_duration(report: ReportData, seconds: float, text: str) -> None:
    bare = replace(report, networks=[], run={**report.run, "duration_s": seconds})
    assert f"from {text} of computing, with" in words(Page(render(bare)["index.html"].decode()))


def test_a_missing_frame_is_named(report: ReportData) -> None:
    frames = {k: v for k, v in report.frames.items() if k != "davg"}
    with pytest.raises(ValueError, match="missing davg"):
        render(replace(report, frames=frames))
