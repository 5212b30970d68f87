"""How the files of a report replace those of an earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kdsspark.output.output import Output
from kdsspark.stages.report import files


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output.at(str(tmp_path))


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The folder, with a report in it."""
    (tmp_path / "report/old").mkdir(parents=True)
    (tmp_path / "report/index.html").write_text("first")
    (tmp_path / "report/old/a.webp").write_text("a")
    return tmp_path / "report"


def test_files_are_written_and_others_removed(output: Output, report: Path) -> None:
    files.replace(output, iter([("index.html", b"second"), ("b/c.webp", b"c"), ("b/c.webp", b"c")]))
    there = {str(path.relative_to(report)): path.read_text() for path in report.rglob("*.*")}
    assert there == {"index.html": "second", "b/c.webp": "c"}
    assert files.count(output) == 2


def test_the_first_page_is_the_last_file(output: Output, report: Path) -> None:
    def made() -> Iterator[tuple[str, bytes]]:
        yield "index.html", b"second"
        for n in range(100):
            yield f"{n}.csv", b"x"

    files.replace(output, made())
    first = (report / "index.html").stat().st_mtime_ns
    assert first >= max(path.stat().st_mtime_ns for path in report.glob("*.csv"))


def test_what_cannot_be_drawn_leaves_the_first_page(output: Output, report: Path) -> None:
    def broken() -> Iterator[tuple[str, bytes]]:
        yield "index.html", b"second"
        yield "b.csv", b"x"
        raise ValueError("no such frame")

    with pytest.raises(ValueError, match="no such frame"):
        files.replace(output, broken())
    assert (report / "index.html").read_text() == "first"
    assert (report / "old/a.webp").exists()


def test_what_cannot_be_written_leaves_the_first_page(output: Output, report: Path) -> None:
    (report / "b").write_text("a file, where a folder should be")
    with pytest.raises(OSError, match="b"):
        files.replace(output, iter([("index.html", b"second"), ("b/c.csv", b"x")]))
    assert (report / "index.html").read_text() == "first"
