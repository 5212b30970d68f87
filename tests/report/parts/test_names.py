"""File names: safe, and different for different names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsspark.report.parts import names


@given(st.text(min_size=1), st.text(min_size=1))
def test_slugs_are_safe_and_differ(one: str, other: str) -> None:
    slugs = names.slug(one), names.slug(other)
    for slug in slugs:
        assert re.fullmatch(r"[a-z0-9_][a-z0-9_.-]{0,48}", slug)
    assert (slugs[0] == slugs[1]) == (one == other)


@pytest.mark.parametrize("name", ["conv1_1", "a.b-c", "x" * 40])
def test_safe_names_stay_as_they_are(name: str) -> None:
    assert names.slug(name) == name


def test_paths_are_relative_to_the_report() -> None:
    assert names.dataset_page("vgg16", "birds") == "datasets/vgg16/birds.html"
    assert names.layer_page("vgg16", "fc6") == "layers/vgg16/fc6.html"
    assert names.figure_stem("vgg16", "figure5", "birds") == "figures/vgg16/figure5-birds"
    assert names.data_file("vgg16", "ks", "fc6") == "data/vgg16/ks-fc6.csv"
