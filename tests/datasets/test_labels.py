"""The rules for labels: none is empty, and names that look alike are named in a warning."""

from __future__ import annotations

import pyarrow as pa
import pytest

from kdsspark.datasets.labels import alike, refuse_unusable
from kdsspark.datasets.listing import LISTING
from kdsspark.errors import DatasetError

START = "classes whose names differ only in spelling are kept apart: "


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        ([], None),
        (["a", "b", "ab", "a b", "a-b", "a_b"], None),
        (["1", "01", "1.0"], None),
        (["a b", "a  b"], None),  # space within a name
        (["cat", "Cat"], "'Cat' and 'cat' (case)"),
        (["cat", "CAT", "Cat"], "'CAT' and 'Cat' (case); 'CAT' and 'cat' (case)"),
        (["straße", "STRASSE"], "'STRASSE' and 'straße' (case)"),
        (["cat", " cat"], "' cat' and 'cat' (surrounding space)"),
        (["cat", "cat\n"], "'cat' and 'cat\\n' (surrounding space)"),
        (["cat", "Cat "], "'Cat ' and 'cat' (case, surrounding space)"),
        (["caf\u00e9", "cafe\u0301"], "'cafe\\u0301' and 'caf\\xe9' (Unicode form)"),
        (["\uac00", "\u1100\u1161"], "'\\u1100\\u1161' and '\\uac00' (Unicode form)"),
        (["\uff21", "A"], "'A' and '\\uff21' (Unicode form)"),
        (["x\u00b2", "x2"], "'x2' and 'x\\xb2' (Unicode form)"),
        (["CAF\u00c9", "cafe\u0301"], "'CAF\\xc9' and 'cafe\\u0301' (Unicode form, case)"),
        (["s", "\u017f"], "'s' and '\\u017f' (Unicode form)"),  # long s, by any of two forms
        (["\u732b", "\u72ac"], None),
    ],
)
def test_names_that_look_alike_are_named(names: list[str], pairs: str | None) -> None:
    expected = [] if pairs is None else [START + pairs]
    assert alike(names) == alike(reversed(names)) == expected


def test_of_many_pairs_the_first_are_named() -> None:
    names = [f"{case}{n:02d}" for n in range(8) for case in "aA"]
    shown = "; ".join(f"'A{n:02d}' and 'a{n:02d}' (case)" for n in range(5))
    assert alike(names) == [f"{START}{shown}; 3 more"]


def listing(labels: pa.Array) -> pa.Table:
    names = pa.array([f"/data/{n}.jpg" for n in range(len(labels))])
    return pa.Table.from_arrays([names, names, labels, names], schema=LISTING)


@pytest.mark.parametrize("label", ["a", " a ", "0", "nan", "None", "null", "-", "\u200b", "\0"])
def test_any_visible_text_is_a_label(label: str) -> None:
    refuse_unusable("dataset d", listing(pa.array(["x", label])))


@pytest.mark.parametrize("label", [None, "", " ", "\t\r\n", "\u00a0", "\u2003\u3000"])
def test_labels_without_text_are_refused(label: str | None) -> None:
    with pytest.raises(DatasetError) as caught:
        refuse_unusable("dataset d", listing(pa.array(["x", label, ""])))
    assert str(caught.value) == f"dataset d: /data/1.jpg must have a label, got {label!r}"


def test_a_label_that_is_no_text_is_refused() -> None:
    offsets = pa.array([0, 1, 4], pa.int32()).buffers()[1]
    labels = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"x\xe9t\xe9"))
    with pytest.raises(DatasetError) as caught:
        refuse_unusable("dataset d", listing(labels))
    assert str(caught.value) == (
        r"dataset d: /data/1.jpg must have a class_name in UTF-8, got b'\xe9t\xe9'"
    )
