"""The one text that stands for a set of labels, and what manifests may have for it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsspark.datasets import several
from tests.listed import AWKWARD

ARRAY = 'must be a JSON array of names such as ["cat", "dog"], [] for none, got '
REFUSED = {
    "cat": f"{ARRAY}'cat'",
    "['cat', 'dog']": f"{ARRAY}\"['cat', 'dog']\"",
    '"cat"': f"{ARRAY}'\"cat\"'",
    '{"cat": 1}': f"{ARRAY}'{{\"cat\": 1}}'",
    '["cat", 1.5]': f"{ARRAY}1.5 in it",
    '["cat", true]': f"{ARRAY}true in it",
    '["cat", null]': f"{ARRAY}null in it",
    '[["cat"]]': f'{ARRAY}["cat"] in it',
    "[" * 9999: ARRAY,
    '["cat", " "]': 'must not hold an empty name, got \'["cat", " "]\'',
    '["cat", "dog", "cat"]': "must name each class once, got 'cat' twice",
    '["1", 1]': "must name each class once, got '1' twice",
    "": f"{ARRAY}''",
}


@settings(max_examples=30)
@given(st.lists(st.text(), unique=True))
def test_the_order_of_labels_does_not_matter_and_no_name_changes(names: list[str]) -> None:
    text = several.as_text(names)
    assert json.loads(text) == several.names_of(text) == sorted(names)
    assert several.as_text(names[::-1]) == several.as_text(sorted(names)) == text


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_cell_becomes_the_text_of_its_labels(ascii_only: bool) -> None:
    cell = json.dumps([*AWKWARD, 7], ensure_ascii=ascii_only)
    assert several.understood(cell) == several.as_text([*AWKWARD, "7"])
    assert several.understood(" [ ] ") == "[]"


@pytest.mark.parametrize("cell", REFUSED, ids=lambda cell: cell[:20])
def test_other_cells_are_refused(cell: str) -> None:
    with pytest.raises(ValueError) as caught:
        several.understood(cell)
    assert str(caught.value).startswith(REFUSED[cell])
