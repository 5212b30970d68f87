"""CSV files in other encodings, and files that end inside quotes."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsspark.datasets.layouts import csv_text
from kdsspark.errors import DatasetError

LOCAL = fsspec.filesystem("file")
TEXT = "path,label\n1.jpg,été\n2.jpg,x\n"


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        csv_text.refuse_damaged("list", LOCAL, str(path))
    return str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-16", "got UTF-16"),
        ("utf-32", "got UTF-32"),
        ("utf-16-le", "got b'p\\x00a\\x00' at the start"),
        ("utf-16-be", "got b'\\x00p\\x00a' at the start"),
        ("utf-32-be", "got b'\\x00\\x00\\x00p' at the start"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, encoding: str, words: str) -> None:
    line = refusal(tmp_path / "list.csv", TEXT.encode(encoding))
    assert line == f"list must be UTF-8, {words}"


@pytest.mark.parametrize("mark", ["\ufeff", "\ufffe"])
def test_marks_of_utf_16_are_known_in_either_order(tmp_path: Path, mark: str) -> None:
    data = (mark + TEXT).encode("utf-16-be")
    assert refusal(tmp_path / "list.csv", data) == "list must be UTF-8, got UTF-16"


@pytest.mark.parametrize(
    "text", ["", TEXT, f"\ufeff{TEXT}", 'a,"b"\n', 'a,"b ""c"" d"\n', 'a,"b\n\nc"\n', 'a,5" disk\n']
)
def test_whole_files_pass(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text, newline="")
    csv_text.refuse_damaged("list", LOCAL, str(path))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('path,label\n1.jpg,"a', 2),
        ('path,label\n1.jpg,"a\n', 2),
        ('path,label\n"1.jpg","a\n2.jpg,b\n3.jpg,c\n', 2),
        ('path,label\n"1\n.jpg","a"\n2.jpg,"b""\n', 4),
        ('path,"label\n1.jpg,a\n', 1),
        ('path,label\n1.jpg,"' + "x" * 200_000 + "\n", 2),  # more than Python's csv takes at once
    ],
)
def test_an_open_quote_is_named_by_its_line(tmp_path: Path, text: str, line: int) -> None:
    assert refusal(tmp_path / "list.csv", text.encode()) == (
        f"list must end every quoted value, got an open quote in the row that begins on line {line}"
    )


@given(st.lists(st.lists(st.text(st.sampled_from('a",\n ')), min_size=2), min_size=1))
def test_whatever_is_written_as_csv_passes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_text(text.getvalue(), newline="")
    csv_text.refuse_damaged("list", LOCAL, str(path))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (pa.ArrowInvalid("column #1: invalid UTF8 data"), "list must be UTF-8, got line 2 with "),
        (pa.ArrowInvalid("Expected 2 columns, got 3"), "Expected 2 columns, got 3"),
    ],
)
def test_the_first_line_of_another_encoding_is_shown(
    tmp_path: Path, error: Exception, message: str
) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(TEXT.encode("latin-1"))
    with pytest.raises((DatasetError, pa.ArrowInvalid)) as caught:  # noqa: SIM117
        with csv_text.utf8("list", LOCAL, str(path)):
            raise error
    assert str(caught.value).startswith(message)
    if isinstance(caught.value, DatasetError):
        assert str(caught.value).endswith(r"with b'\xe9t\xe9'")
