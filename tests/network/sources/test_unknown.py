"""The line about an architecture that nobody has."""

from __future__ import annotations

import pytest

from kdsspark.network.sources.unknown import unknown

KNOWN = ["resnet18", "resnet34", "vgg16"]


@pytest.mark.parametrize(
    ("got", "hint"),
    [
        ("resnet81", " (did you mean resnet18, resnet34?)"),  # the closest first
        ("vgg61", " (did you mean vgg16?)"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_names_that_are_close_are_proposed(got: str, hint: str) -> None:
    line = f"architecture: must be a model of ours, got {got!r}{hint}"
    assert str(unknown("a model of ours", got, KNOWN)) == line
