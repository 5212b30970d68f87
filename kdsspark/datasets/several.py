"""Several labels an image: how manifests write them, and the one text that stands for each set.

A set of labels is carried as a JSON array of its sorted names: ``["cat", "dog"]``, ``[]`` for
none. Two images have the same text where they have the same labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

_EXAMPLE: Final = 'a JSON array of names such as ["cat", "dog"], [] for none'


def as_text(names: Iterable[str]) -> str:
    """The text of a set of labels."""
    return json.dumps(sorted(names), ensure_ascii=False)


def names_of(text: str) -> list[str]:
    """The labels that a text of :func:`as_text` stands for, sorted."""
    names: list[str] = json.loads(text)
    return names


def understood(cell: str) -> str:
    """The text of the labels that a manifest has for an image.

    Numbers are taken as text, like those of a column with one label an image. Raises ValueError,
    without the name of the column, for a cell that is no array of names, for an empty name, and for
    one that is there twice.
    """
    try:
        given = json.loads(cell)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, list):
        raise ValueError(f"must be {_EXAMPLE}, got {cell!r}")
    names: set[str] = set()
    for label in given:
        if isinstance(label, bool) or not isinstance(label, str | int):
            raise ValueError(f"must be {_EXAMPLE}, got {json.dumps(label)} in it")
        name = str(label)
        if not name.strip():
            raise ValueError(f"must not hold an empty name, got {cell!r}")
        if name in names:
            raise ValueError(f"must name each class once, got {name!r} twice")
        names.add(name)
    return as_text(names)
