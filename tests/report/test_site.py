"""The site: every link leads somewhere, nothing is fetched, and browsers find no fault."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from kdsspark.report.data import ReportData
from kdsspark.report.pages.names import slug
from kdsspark.report.site import render
from tests.report.html import CITATION, Page, words
from tests.report.synthetic import SCRIPT, VGG_LAYERS, Study, make_report

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
CLASSES = [SCRIPT, "q\"u'o&t</td>e", "\u9ce5 \U0001f426", "a/b=c", "{{ 7 * 7 }}", "\u202eabc"]


@pytest.fixture(scope="module")
def awkward() -> dict[str, bytes]:
    """Ready-made embeddings with layers and classes of any name; datasets that differ in case."""
    layers = [(name, "other") for name in AWKWARD]
    data = make_report(Study("given", layers, {"birds": CLASSES, "Birds": ["a", "b"]}, units=3))
    unknown = ("architecture", "weights", "crops", "precision", "activation", "pooling")
    return render(replace(data, networks=[{**data.networks[0], **dict.fromkeys(unknown)}]))


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
        assert [src for src in page.all("src") if ":" in src] == []
        style = re.search(r"<style>(.*?)</style>", files[name].decode(), re.DOTALL)
        assert style
        assert "url(" not in style[1]
        assert "@import" not in style[1]
        handlers = [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
        assert handlers == []


def test_every_dataset_and_layer_has_its_page(files: dict[str, bytes]) -> None:
    titles = {name: words(page) for name, page in pages(files).items()}
    for dataset in ("birds", "mono", "wood"):
        assert f"{dataset} with vgg16" in titles[f"datasets/vgg16/{dataset}.html"]
    for layer, _ in VGG_LAYERS:
        assert f"{layer} of vgg16" in titles[f"layers/vgg16/{layer}.html"]
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
    assert [n for n, page in awkward.items() if "html" in n and SCRIPT.encode() in page] == []


def test_any_class_name_is_shown_unchanged(awkward: dict[str, bytes]) -> None:
    page = Page(awkward["datasets/given/birds.html"].decode())
    assert [name for name in CLASSES if [name] not in [cells[:1] for cells in page.cells]] == []


def test_ready_made_embeddings_have_no_network_to_describe(awkward: dict[str, bytes]) -> None:
    row = ["given", "ready-made", "\u2013", "11", "33", "\u2013", "\u2013", "\u2013", "\u2013"]
    assert row in Page(awkward["index.html"].decode()).cells


PROGRAM = """
import hashlib
from kdsspark.report.site import render
from tests.report.synthetic import Study, make_report
files = render(make_report(Study("n", [("a", "conv"), ("b", "fc")], {"mono": ["only"]}, units=3)))
print([(path, hashlib.sha256(content).hexdigest()) for path, content in files.items()])
"""


def test_same_bytes_in_every_process(capsys: pytest.CaptureFixture[str]) -> None:
    """Empty figures are enough here: ``test_canvas.py`` compares others."""
    other = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    exec(PROGRAM, {})
    assert capsys.readouterr().out == other.stdout
    assert "index.html" in other.stdout


def test_a_missing_frame_is_named(report: ReportData) -> None:
    frames = {k: v for k, v in report.frames.items() if k != "davg"}
    with pytest.raises(ValueError, match="missing davg"):
        render(replace(report, frames=frames))


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
