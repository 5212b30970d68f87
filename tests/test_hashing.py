"""Fingerprints against ``hashlib`` over JSON that is written by hand."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from kdsspark.hashing import fingerprint

CANONICAL: list[tuple[Any, str]] = [
    ("ab", '"ab"'),
    (None, "null"),
    (True, "true"),
    (1, "1"),
    (1.5, "1.5"),
    ([], "[]"),
    ([1, "a", None], '[1,"a",null]'),
    ((1, 2), "[1,2]"),
    ({"b": [1, 2], "a": {"d": 0, "c": 1}}, '{"a":{"c":1,"d":0},"b":[1,2]}'),
    ("\u00e9\u732b", '"\\u00e9\\u732b"'),
    ('a"\\', '"a\\"\\\\"'),
]


@pytest.mark.parametrize(("value", "text"), CANONICAL, ids=lambda value: repr(value))
def test_it_is_the_hash_of_the_canonical_json(value: Any, text: str) -> None:
    expected = hashlib.blake2b(text.encode("ascii"), digest_size=8).hexdigest()
    assert fingerprint(value) == expected
    assert len(expected) == 16


def test_it_stays_or_every_output_would_be_done_anew() -> None:
    assert fingerprint("ab") == "284a2095566eb9e7"  # printf '"ab"' | b2sum --length 64


def test_keys_have_no_order_and_lists_have_one() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])


def test_what_differs_has_another_fingerprint() -> None:
    values: list[Any] = [1, "1", 1.0, True, None, "", [], {}, [1], [[1]], {"1": 1}, {"a": None}]
    assert len({fingerprint(value) for value in values}) == len(values)


@pytest.mark.parametrize("value", [{1, 2}, b"x", object()], ids=["set", "bytes", "object"])
def test_what_is_no_plain_data_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        fingerprint(value)
