"""The CSV of parts, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsspark.errors import DatasetError
from kdsspark.stages.experiments.chosen.parts import read

HEAD = "image,part,x0,y0,x1,y1\n"


def test_rows_are_read_in_their_order_and_other_columns_are_ignored(tmp_path: Path) -> None:
    file = tmp_path / "parts.csv"
    file.write_text(
        '﻿who,part,x0,x1,y0,y1,image\nme,"left, eye",1,3.5,2,4,a/b.jpg\n\nme,nose,0,1,0,1,é\n'
    )
    first, second = read(str(file))
    assert (first.image, first.part, first.box) == ("a/b.jpg", "left, eye", (1, 2, 3.5, 4))
    assert (second.image, second.part, second.box) == ("é", "nose", (0, 0, 1, 1))
    assert first.where == f"{file}, line 2"
    assert second.where == f"{file}, line 4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": must have the columns image, part, x0, y0, x1, y1, lacks image, part, x0, y0"),
        ("image,part,x0,y0,x1\na,b,1,2,3\n", ": must have the columns .*, lacks y1$"),
        (HEAD + "a,b,1,2,3\n", ", line 2: x0, y0, x1, y1 must be .*, got 1, 2, 3, nothing$"),
        (HEAD + "a,b,1,2,3,x\n", r", line 2: .*, got 1, 2, 3, x$"),
        (HEAD + "a,b,1,2,3,nan\n", r", line 2: .*, got 1, 2, 3, nan$"),
        (HEAD + "a,b,1,2,inf,4\n", r", line 2: .*, got 1, 2, inf, 4$"),
        (HEAD + "a,b,-1,2,3,4\n", r", line 2: .*, got -1, 2, 3, 4$"),
        (HEAD + "a,b,0,0,1,1\na,c,3,2,3,4\n", r", line 3: .*, got 3, 2, 3, 4$"),
        (HEAD + "a,b,0,4,3,2\n", r", line 2: .* with 0 <= x0 < x1 and 0 <= y0 < y1, got 0, 4"),
        (HEAD + "a,b,0,0,1,1\na,b,0,0,2,2\n", ", line 3: a must have part 'b' once$"),
    ],
)
def test_a_mistake_is_one_line_that_says_where(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "parts.csv"
    file.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        read(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xfa"])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "parts.csv"
    if content:
        file.write_bytes(content)
    with pytest.raises(DatasetError, match=r"must be a readable CSV of parts: \S"):
        read(str(file))
