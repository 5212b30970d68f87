"""What pages are made of: files of parts, and CSV that loses no digit."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from kdsspark.report.parts.page import Page, Part, csv, files_of


def test_files_of_all_parts() -> None:
    parts = Part({}, {"a": b"1"}), Page({}, {"b": b"2"}, path="b.html", template="b.html")
    assert files_of(*parts) == {"a": b"1", "b": b"2"}
    assert files_of() == {}


def test_csv_is_exact() -> None:
    frame = pd.DataFrame({"x": [0.1, 1 / 3, np.nan, 1e-300], "name": ["\u5c64", 'a"b', ",", "\n"]})
    read = pd.read_csv(io.BytesIO(csv(frame)), float_precision="round_trip")
    pd.testing.assert_frame_equal(read, frame)
    assert csv(frame).startswith(b"x,name\n0.1,")


def test_pictures_are_left_out_of_the_csv() -> None:
    frame = pd.DataFrame({"a": [1, 2], "picture": [b"\x89PNG", None], "name": [None, "x"]})
    assert csv(frame) == b"a,name\n1,\n2,x\n"
