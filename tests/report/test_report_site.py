"""The site: every link leads somewhere, nothing is fetched, and browsers find no fault."""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pandas as pd
import pytest

from kdsspark.report import grid
from kdsspark.report.data import ReportData
from kdsspark.report.names import slug
from kdsspark.report.site import render
from tests.report.html import CITATION, Page, words
from tests.report.synthetic import BIRDS, SCRIPT, Study, Tables, make_report

AWKWARD = [
    "a/b",
    "A/B",
    "../../x",
    SCRIPT,
    "n" * 300,
    "\u5c64",
    "$x_{1",
    "a b",
    "a%20b",
    "#?&=",
    "con",
]


@pytest.fixture(scope="module")
def awkward() -> dict[str, bytes]:
    """Layers that may be called anything, and datasets that differ in case only."""
    layers = [(name, "other") for name in AWKWARD]
    study = Study("given", layers, {"birds": BIRDS, "Birds": ["a", "b"]}, units=3)
    return render(make_report(study))


def pages(files: dict[str, bytes]) -> dict[str, Page]:
    return {name: Page(text.decode()) for name, text in files.items() if name.endswith(".html")}


@pytest.mark.parametrize("which", ["files", "awkward"])
def test_every_link_leads_somewhere(which: str, request: pytest.FixtureRequest) -> None:
    files = request.getfixturevalue(which)
    site = pages(files)
    reached = {"index.html"}
    for name, page in site.items():
        ids = page.all("id")
        assert len(ids) == len(set(ids)), name
        for href in [*page.all("href"), *page.all("src")]:
            if href in (CITATION, "data:,"):
                continue
            path, fragment = urldefrag(href)
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(path)))
            target = target if path else name
            assert target in files, f"{name}: {href}"
            if fragment:
                assert fragment in site[target].all("id"), f"{name}: {href}"
            reached.add(target)
    assert reached == set(files)


def test_nothing_is_fetched_from_elsewhere(files: dict[str, bytes]) -> None:
    for name, page in pages(files).items():
        tags = [tag for tag, _ in page.tags]
        assert not {"iframe", "object", "base", "form"} & set(tags)
        assert tags.count("script") == tags.count("link") == 1
        outside = {href for href in page.all("href") if ":" in href or href.startswith("//")}
        assert outside <= {CITATION, "data:,"}, name
        assert not any(":" in src for src in page.all("src"))
        style = re.search(r"<style>(.*?)</style>", files[name].decode(), re.DOTALL)
        assert style
        assert "url(" not in style[1]
        assert "@import" not in style[1]
        assert not any(attribute.startswith("on") for _, attrs in page.tags for attribute in attrs)


def test_every_dataset_and_layer_has_its_page(files: dict[str, bytes]) -> None:
    titles = {name: words(page) for name, page in pages(files).items()}
    for dataset in ("birds", "mono", "wood"):
        assert f"{dataset} by vgg16" in titles[f"datasets/vgg16/{dataset}.html"]
    assert "Layer 15 of 15 (fully connected), 20 features" in titles["layers/vgg16/fc7.html"]
    assert len(titles) == 1 + 3 + 15 + 1 + 3


def test_names_become_safe_and_different_file_names(awkward: dict[str, bytes]) -> None:
    for name in awkward:
        assert re.fullmatch(r"[a-z0-9_./-]+", name)
        assert ".." not in name
        assert max(map(len, name.split("/"))) < 100
    assert len([name for name in awkward if name.startswith("layers/")]) == len(AWKWARD)
    assert len({slug(name).lower() for name in AWKWARD}) == len(AWKWARD)
    assert len({name.lower() for name in awkward}) == len(awkward)
    text = "".join(Page(awkward[f"layers/given/{slug(SCRIPT)}.html"].decode()).text)
    assert f"{SCRIPT} of given" in text
    assert not any(SCRIPT.encode() in page for name, page in awkward.items() if "html" in name)


def test_a_dataset_shows_its_classes(
    files: dict[str, bytes], report: ReportData, tables: Tables
) -> None:
    classes = report.frames["classes"].query("network == 'vgg16' and dataset == 'birds'")
    ks = tables["ks"].query("network == 'vgg16' and dataset == 'birds'")
    page = Page(files["datasets/vgg16/birds.html"].decode())
    rows = {cells[0]: cells for cells in page.cells}
    for row in classes.to_dict("records"):
        _, images, plus, minus, _, highest, lowest = rows[row["class_name"]]
        assert (images, plus, minus) == ("30", str(row["n_plus"]), str(row["n_minus"]))
        own = ks[ks["class_id"] == row["class_id"]].sort_values("ks")
        first, last = own.iloc[0], own.iloc[-1]
        assert highest.startswith(f"{last['layer']}:{last['unit']}\u00a0{last['ks']:.2f},")
        assert lowest.startswith(f"{first['layer']}:{first['unit']}\u00a0\u2212{-first['ks']:.2f},")
    assert [tag for tag, _ in page.tags].count("svg") == 12
    assert "1,000 are significant" in words(page)


def test_long_tables_are_capped_and_complete_as_csv() -> None:
    names = [f"class {i:03d}" for i in range(grid.SHOWN + 30)]
    study = Study("n", [("a", "conv")], {"many": names}, units=2, per_class=5)
    files = render(make_report(study))
    page = Page(files["datasets/n/many.html"].decode())
    shown = [cells[0] for cells in page.cells if cells[0].startswith("class ")]
    assert len(shown) == grid.SHOWN
    assert "The first and the last 100 of 230 rows" in words(page)
    listed = pd.read_csv(pd.io.common.BytesIO(files["data/n/classes-many.csv"]))
    assert set(listed["class_name"]) == set(names)
    assert shown[0] == listed["class_name"].iloc[0]
    assert shown[-1] == listed["class_name"].iloc[-1]


def test_a_layer_shows_every_dataset(files: dict[str, bytes], tables: Tables) -> None:
    page = Page(files["layers/vgg16/fc6.html"].decode())
    layers = tables["layers"].query("network == 'vgg16' and layer == 'fc6' and dataset == 'wood'")
    kept = layers.set_index(["labels", "sign"])["kept"]
    (row,) = [cells for cells in page.cells if cells[0] == "wood" and len(cells) == 7]
    chance = kept["shuffled", "+"] + kept["shuffled", "-"]
    shares = [kept["true", "+"], kept["true", "-"], chance]
    assert row[3:6] == [f"{100 * share:.1f} %" for share in shares]
    (empty,) = [cells for cells in page.cells if cells[0] == "mono" and len(cells) == 7]
    assert empty[1:6] == ["\u2013"] * 5
    pairs = [cells for cells in page.cells if cells[0] == "wood" and len(cells) == 4]
    assert len(pairs) == 10
    ks = tables["ks"].query("network == 'vgg16' and layer == 'fc6' and dataset == 'wood'")["ks"]
    assert pairs[0][3] == f"+{ks.max():.3f}"


def test_the_papers_datasets_stand_beside_it() -> None:
    study = Study("vgg16", [("conv1_1", "conv"), ("fc6", "fc")], {"Wood": ["a", "b"]}, units=3)
    files = render(replace(make_report(study), groups={"Wood": "c"}))
    cells = Page(files["index.html"].decode()).cells
    (table2,) = [row for row in cells if row[:3] == ["Wood", "53", "438"]]
    assert table2[3] == "\u2212385"
    assert ["conv1_1", "3", "64"] in cells
    assert ["conv1_2", "\u2013", "64"] in cells
    assert any(row[:2] == ["paper, table 3 without imagenet", "t+"] for row in cells)
    findings = pd.read_csv(pd.io.common.BytesIO(files["data/vgg16/findings.csv"]))
    assert set(findings["holds"]) == {"yes", "no", "not testable here"}


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]

Browse = Callable[..., str]


@pytest.fixture
def browse(tmp_path: Path, files: dict[str, bytes]) -> Browse:
    """Open a page of the site in Chromium; what it logs must hold no word of the console."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    for name, content in files.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def open_page(name: str, *flags: str) -> str:
        url = (tmp_path / "site" / name).as_uri()
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *flags, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
        assert "CONSOLE" not in done.stderr, done.stderr
        return done.stdout

    return open_page


@pytest.mark.parametrize(
    "name", ["index.html", "datasets/vgg16/birds.html", "layers/no-fc/stage1.html"]
)
def test_browsers_find_no_fault(browse: Browse, tmp_path: Path, name: str) -> None:
    shot = tmp_path / "shot.png"
    browse(name, f"--screenshot={shot}", "--window-size=1100,1600")
    assert shot.read_bytes().startswith(b"\x89PNG")


def test_a_fault_would_be_found(browse: Browse, tmp_path: Path) -> None:
    path = tmp_path / "site" / "index.html"
    path.write_text(path.read_text().replace("</body>", "<script>nothing()</script></body>"))
    with pytest.raises(AssertionError, match="nothing is not defined"):
        browse("index.html", "--dump-dom")


def test_tables_can_be_sorted_with_a_script_and_read_without(
    browse: Browse, tmp_path: Path
) -> None:
    name = "datasets/vgg16/birds.html"
    path = tmp_path / "site" / name
    before = [row[2] for row in Page(path.read_text()).cells if len(row) == 7 and row[2].isdigit()]
    clicks = (
        "<script>var b = document.querySelectorAll('table.sortable thead button')[2];"
        "b.click();</script></body>"
    )
    path.write_text(path.read_text().replace("</body>", clicks))
    after = browse(name, "--dump-dom")
    sorted_ = [row[2] for row in Page(after).cells if len(row) == 7 and row[2].isdigit()]
    assert before == sorted(before, key=int, reverse=True)
    assert sorted_ == sorted(before, key=int)
    assert len(set(before)) > 1
