"""The map of classes: its cells are the correlations, in the order of the classes."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from kdsspark.report.data import ReportData
from kdsspark.report.gallery.gallery import Gallery
from kdsspark.report.parts import class_map
from tests.report.synthetic import SCRIPT

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def gallery(report: ReportData) -> Gallery:
    return next(g for g in report.galleries if (g.network, g.dataset) == ("vgg16", "birds"))


def of_classes(gallery: Gallery, n: int) -> Gallery:
    """With so many classes, which are copies of the first."""
    first = gallery.classes[0]
    classes = [replace(first, class_id=c, name=f"class {c}") for c in range(n)]
    alike = np.full((n, n), 0.5, np.float32)
    return replace(gallery, classes=classes, alike=alike, order=list(range(n)))


def test_cells_are_correlations(gallery: Gallery) -> None:
    drawn = class_map.draw(gallery, "figures/x")
    assert drawn is not None
    assert drawn.src == "figures/x.svg"
    root = ElementTree.fromstring(drawn.files["figures/x.svg"])
    labels = [text.text for text in root.iter(f"{SVG}text")]
    assert labels == [gallery.by_id[c].name for c in gallery.order]
    assert SCRIPT in labels
    assert SCRIPT.encode() not in drawn.files["figures/x.svg"]
    side = float(root.get("height") or 0) / len(labels)
    left = float(root.get("width") or 0) - side * len(labels)
    found = np.zeros((len(labels), len(labels)))
    for shade in root.iter(f"{SVG}path"):
        sign = 1 if shade.get("fill") == "#0b7a5c" else -1
        squares = re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-(\d+)z", shade.get("d") or "")
        for x, y, *sides in squares:
            assert {float(one) for one in sides} == {side}
            row, column = int(float(y) / side), int((float(x) - left) / side)
            found[row, column] = sign * float(shade.get("fill-opacity") or 0)
    want = gallery.alike[np.ix_(gallery.order, gallery.order)] * (1 - np.eye(len(labels)))
    np.testing.assert_allclose(found, np.where(abs(want) < 0.02, 0, want), atol=0.0051)


def test_the_text_names_the_two_that_are_most_alike(gallery: Gallery) -> None:
    drawn = class_map.draw(gallery, "x")
    assert drawn is not None
    apart = gallery.alike - 2 * np.eye(len(gallery.alike))
    a, b = (gallery.by_id[int(c)].name for c in np.unravel_index(apart.argmax(), apart.shape))
    assert drawn.alt == f"Correlations of 12 classes; most alike are {a} and {b}"


@pytest.mark.parametrize(
    ("n", "is_drawn"), [(1, False), (2, False), (3, True), (150, True), (151, False)]
)
def test_few_and_very_many_classes_have_no_map(gallery: Gallery, n: int, is_drawn: bool) -> None:
    assert (class_map.draw(of_classes(gallery, n), "x") is not None) == is_drawn


def test_long_names_are_cut(gallery: Gallery) -> None:
    few = of_classes(gallery, 3)
    long = [replace(shown, name="n" * 60) for shown in few.classes]
    drawn = class_map.draw(replace(few, classes=long), "x")
    assert drawn is not None
    root = ElementTree.fromstring(drawn.files["x.svg"])
    assert {text.text for text in root.iter(f"{SVG}text")} == {"n" * 27 + "\u2026"}
