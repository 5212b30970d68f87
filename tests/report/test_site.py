"""The site: every link leads somewhere, nothing is fetched, and browsers find no fault."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from hashlib import blake2b
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from kdsspark.report.data import ReportData
from kdsspark.report.parts.names import slug
from kdsspark.report.site import render
from tests.report.html import CITATION, Page, words
from tests.report.rendered import rendered
from tests.report.synthetic import SCRIPT, VGG_LAYERS, Study, make_report, make_tables
from tests.report.undrawn import without_figures

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
    """Layers and classes of any name; datasets that differ in case."""
    layers = [(name, "other") for name in AWKWARD]
    datasets = {"birds": CLASSES, "Birds": ["a", "b"]}
    with without_figures("png"):
        return rendered(make_report(Study("given", layers, datasets, units=3)))


@pytest.fixture(scope="module")
def bare() -> dict[str, bytes]:
    """Ready-made embeddings; all images of a class failed, and a dataset has one class."""
    study = Study("given", [("x", "other")], {"mono": ["only"], "few": ["a", "b", "lost"]}, units=9)
    tables = make_tables([study])
    lost = (tables["ks"]["dataset"] == "few") & (tables["ks"]["class_id"] == 2)
    tables["ks"] = tables["ks"].assign(ks=tables["ks"]["ks"].mask(lost))
    data = make_report(study, tables=tables, pictures=False)
    unknown = [
        "architecture",
        "weights",
        "crops",
        "precision",
        "activation",
        "pooling",
        "preprocessing",
    ]
    with without_figures("png"):
        networks = [{**data.networks[0], **dict.fromkeys(unknown)}]
        return rendered(replace(data, networks=networks))


@cache
def page_of(text: bytes) -> Page:
    """Read once for all tests."""
    return Page(text.decode())


def pages(files: dict[str, bytes]) -> dict[str, Page]:
    return {name: page_of(text) for name, text in files.items() if name.endswith(".html")}


def targets(name: str, page: Page) -> Iterator[tuple[str, str]]:
    """(file, fragment) of everything within the site that a page links to or shows."""
    for href in [*page.all("href"), *page.all("src")]:
        if href not in (CITATION, "data:,"):
            path, fragment = urldefrag(href)
            joined = posixpath.join(posixpath.dirname(name), unquote(path))
            yield posixpath.normpath(joined) if path else name, fragment


@pytest.mark.parametrize("which", ["files", "awkward", "bare"])
def test_every_link_leads_somewhere(which: str, request: pytest.FixtureRequest) -> None:
    """And every file can be reached from the first page."""
    files = request.getfixturevalue(which)
    site = pages(files)
    ids = {name: Counter(page.all("id")) for name, page in site.items()}
    reached, follow = {"index.html"}, ["index.html"]
    while follow:
        name = follow.pop()
        assert set(ids[name].values()) <= {1}, name
        for target, fragment in targets(name, site[name]):
            assert target in files, f"{name}: {target}"
            assert not fragment or fragment in ids[target], f"{name}: {fragment}"
            if target not in reached:
                reached.add(target)
                follow += [target] if target in site else []
    assert set(files) - reached == set()


@pytest.mark.parametrize("which", ["files", "bare"])
def test_every_unit_in_a_table_leads_to_its_page(
    which: str, request: pytest.FixtureRequest
) -> None:
    """Where it has one."""
    files = request.getfixturevalue(which)
    named = 0
    for name, page in pages(files).items():
        network = next((part for part in ("vgg16", "no-fc", "given") if part in name), None)
        found = {target for target, _ in targets(name, page)}
        for cells, links in zip(page.cells, page.links, strict=True):
            units = re.findall(r"([\w-]+)(?::| \u00b7 )(\d+)\u00a0", " ".join(cells))
            for layer, unit in units:
                path = f"units/{network}/{layer}/{unit}.html"
                assert (path in files) == (f"../../{path}" in links), f"{name}: {path}"
                named += path in found
    assert named


@pytest.mark.parametrize("which", ["files", "awkward", "bare"])
def test_every_picture_has_a_text(which: str, request: pytest.FixtureRequest) -> None:
    """An empty one only beside the name of what it shows, in the same link or heading of a row."""
    for name, page in pages(request.getfixturevalue(which)).items():
        shown = [attrs for tag, attrs in page.tags if tag == "img"]
        assert [attrs for attrs in shown if attrs.get("alt") is None] == []
        drawn = [attrs for tag, attrs in page.tags if tag == "svg"]
        assert [a for a in drawn if a.get("role") != "img" or not a.get("aria-label")] == []
        if name.split("/")[0] not in ("index.html", "units"):
            assert [attrs for attrs in shown if not attrs["alt"]] == [], name


def test_nothing_is_fetched_from_elsewhere(files: dict[str, bytes]) -> None:
    for name, page in pages(files).items():
        tags = [tag for tag, _ in page.tags]
        assert not {"iframe", "object", "base", "form", "style"} & set(tags)
        assert tags.count("script") == 1
        assert tags.count("link") == 2  # the style, and no icon
        outside = {href for href in page.all("href") if ":" in href or href.startswith("//")}
        assert outside <= {CITATION, "data:,"}, name
        assert [src for src in page.all("src") if ":" in src] == []
        handlers = [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
        assert handlers == []
    style = files["style.css"].decode()
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search("fetch|XMLHttp|import|http", files["script.js"].decode())


def test_a_page_is_small(files: dict[str, bytes]) -> None:
    """Two megabytes at most, with all that it shows."""
    for name, page in pages(files).items():
        shown = {posixpath.join(posixpath.dirname(name), src) for src in page.all("src")}
        sizes = [len(files[posixpath.normpath(path)]) for path in shown]
        assert sum(sizes) + len(files[name]) + len(files["style.css"]) < 2e6, name


def test_everything_has_its_page(files: dict[str, bytes], report: ReportData) -> None:
    titles = {name: words(page) for name, page in pages(files).items()}
    for dataset in ("birds", "mono", "wood"):
        assert f"{dataset} with vgg16" in titles[f"datasets/vgg16/{dataset}.html"]
    for layer, _ in VGG_LAYERS:
        assert f"{layer} of vgg16" in titles[f"layers/vgg16/{layer}.html"]
    assert "knot 3 in wood" in titles["classes/vgg16/wood/knot-3-" + digest("knot 3") + ".html"]
    units = {(g.network, f) for g in report.galleries for f in g.units}
    folders = Counter(name.split("/")[0] for name in titles)
    assert folders == {
        "index.html": 1,
        "about.html": 1,
        "paper": 2,
        "datasets": 3 + 1,
        "layers": 15 + 3,
        "classes": 12 + 7 + 1 + 12,
        "units": len(units),
    }


def digest(name: str) -> str:
    return blake2b(name.encode(), digest_size=4).hexdigest()


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


def test_ready_made_embeddings_have_no_network_to_describe(bare: dict[str, bytes]) -> None:
    row = ["given", "ready-made", "\u2013", "1", "9", *["\u2013"] * 5]
    assert row in Page(bare["about.html"].decode()).cells


def test_undefined_numbers_are_dashes(bare: dict[str, bytes]) -> None:
    for name, page in pages(bare).items():
        assert not re.search(r"\b(nan|None|NaN)\b", words(page)), name
    lost = words(Page(bare["classes/given/few/lost.html"].decode()))
    assert "Told by" not in lost
    assert "Classes that share its units" not in lost


PROGRAM = """
import hashlib
from tests.report.rendered import rendered
from tests.report.synthetic import Study, make_report
from tests.report.undrawn import without_figures
with without_figures("png"):
    study = Study("n", [("a", "conv"), ("b", "fc")], {"mono": ["only"]}, units=3)
    files = rendered(make_report(study))
print([(path, hashlib.sha256(content).hexdigest()) for path, content in files.items()])
"""


@pytest.mark.cluster
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
        next(render(replace(report, frames=frames), {}))


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]

Browse = Callable[..., str]


def write(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def browse(tmp_path: Path, files: dict[str, bytes]) -> Browse:
    """Open a page of the site in Chromium; what it logs must hold no word of the console."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    write(files, tmp_path / "site")

    def open_page(name: str, *flags: str) -> str:
        url = (tmp_path / "site" / name).as_uri()
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *flags, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
        assert "CONSOLE" not in done.stderr, done.stderr
        return done.stdout

    return open_page


WIDTHS = (400, 900, 1400)
SURVEY = """
<!doctype html><title>survey</title>{frames}
<script>
window.addEventListener("load", function () {{
  var found = Array.from(document.querySelectorAll("iframe")).map(function (frame) {{
    var page = frame.contentDocument, root = page.documentElement;
    var broken = Array.from(page.images).filter(function (image) {{
      return image.complete && image.loading !== "lazy" && !image.naturalWidth;
    }});
    return [frame.name, root.clientWidth, root.scrollWidth, broken.length].join(" ");
  }});
  document.body.textContent = found.join("\\n");
}});
</script>
"""


def survey(browse: Browse, folder: Path, names: Iterable[str]) -> list[tuple[str, int, int, int]]:
    """(name, width of the window, width of the page, broken pictures) of pages at all widths."""
    frames = [
        f'<iframe name="{name}" src="{name}" width="{width}" height="900"></iframe>'
        for name in names
        for width in WIDTHS
    ]
    (folder / "survey.html").write_text(SURVEY.format(frames="".join(frames)))
    page = Page(browse("survey.html", "--dump-dom", "--allow-file-access-from-files"))
    lines = (line.split() for line in "".join(page.text).splitlines())
    return [(line[0], *map(int, line[1:])) for line in lines if len(line) == 4]


@pytest.mark.parametrize("which", ["files", "awkward"])
def test_browsers_find_no_fault(
    which: str, browse: Browse, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Pages of every kind, on a telephone, a tablet and a screen: they fit, pictures are there."""
    site = request.getfixturevalue(which)
    write(site, tmp_path / "site")
    kinds = {name.split("/")[0]: name for name in sorted(site) if name.endswith(".html")}
    found = survey(browse, tmp_path / "site", kinds.values())
    assert len(found) == 7 * len(WIDTHS)
    assert [row for row in found if row[1] != row[2] or row[3]] == []


def test_a_fault_would_be_found(browse: Browse, tmp_path: Path) -> None:
    path = tmp_path / "site" / "index.html"
    text = path.read_text()
    wide = '<p style="width:2000px;max-width:none"><img src="gone.png" alt=""></p></body>'
    path.write_text(text.replace("</body>", wide))
    found = survey(browse, tmp_path / "site", ["index.html"])
    assert [(page > 2000 > window, broken) for _, window, page, broken in found] == [(True, 1)] * 3
    path.write_text(text.replace("</body>", "<script>nothing()</script></body>"))
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


def test_numbers_are_sorted_as_people_write_them(browse: Browse, tmp_path: Path) -> None:
    values = ["1,234", "999", "\u22122.5", "b 10", "\u2013", "+0.1", "b 9"]
    rows = "".join(f"<tr><td>{value}</td></tr>" for value in values)
    (tmp_path / "site" / "table.html").write_text(
        f'<!doctype html><meta charset="utf-8"><title>t</title><div><div><table class="sortable">'
        f"<thead><tr><th>x</th></tr></thead><tbody>{rows}</tbody></table></div></div>"
        '<script src="script.js"></script>'
        "<script>document.querySelector('thead button').click()</script>",
        encoding="utf-8",
    )
    page = Page(browse("table.html", "--dump-dom"))
    found = [row[0] for row in page.cells[1:]]
    assert found[:4] == ["\u22122.5", "+0.1", "999", "1,234"]
    assert set(found[4:]) == {"\u2013", "b 9", "b 10"}
    assert found.index("b 9") < found.index("b 10")
