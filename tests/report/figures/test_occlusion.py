"""What the panels of the occlusion figure show, read back from matplotlib."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure

from kdsspark.report.figures import canvas
from kdsspark.report.figures.occlusion import Example, occlusion

SIZE, SIDE, STRIDE = 80, 32, 16
PLACES = 4


def example(n_classes: int) -> Example:
    rng = np.random.default_rng(n_classes)
    likeliest = rng.integers(0, n_classes, (PLACES, PLACES))
    likeliest[0, :n_classes] = np.arange(min(n_classes, PLACES))
    image, projection = rng.integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    return Example(
        image,
        projection,
        "$true$",
        "fire9",
        unit=17,
        side=SIDE,
        stride=STRIDE,
        activation=rng.uniform(0, 4, (PLACES, PLACES)),
        plain_activation=4.0,
        probability=rng.uniform(0, 0.8, (PLACES, PLACES)),
        plain_probability=0.8,
        likeliest=likeliest,
        names={c: f"class {c}" for c in range(12)},
    )


def values(found: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    assert found is not None
    return found


@pytest.fixture
def figure() -> Figure:
    return occlusion([example(1), example(3), example(12)])


def panels(figure: Figure) -> np.ndarray:
    """[rows, 5] without the bars of colours."""
    drawn = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    return np.array(drawn, object).reshape(-1, 5)


def test_values_stand_where_the_middle_of_their_square_lay(figure: Figure) -> None:
    for row, shown in zip(panels(figure), (example(1), example(3), example(12)), strict=True):
        for ax, expected in ((row[1], shown.activation), (row[3], values(shown.probability))):
            (drawn,) = ax.images
            np.testing.assert_array_equal(drawn.get_array(), expected)
            left, right, bottom, top = drawn.get_extent()
            cell = (right - left) / PLACES
            middles = left + cell * (np.arange(PLACES) + 0.5)
            np.testing.assert_allclose(middles, STRIDE * np.arange(PLACES) + (SIDE - 1) / 2)
            assert (left, right) == (top, bottom)
            assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, SIZE - 0.5), (SIZE - 0.5, -0.5))


def test_classes_are_named_and_many_are_grey(figure: Figure) -> None:
    rows = panels(figure)
    for row, n_classes in zip(rows, (1, 3, 12), strict=True):
        shown = example(n_classes)
        legend = row[4].get_legend()
        assert legend is not None
        texts = [text.get_text() for text in legend.get_texts()]
        n = len(np.unique(values(shown.likeliest)))
        assert len(texts) == (n if n <= 5 else 6)
        assert ("others" in texts) == (n > 5)
        numbers = np.asarray(row[4].images[0].get_array())
        for i, text in enumerate(texts[:5]):
            own = values(shown.likeliest) == int(text.removeprefix("class "))
            np.testing.assert_array_equal(numbers == i, own)


def test_the_outline_is_where_the_probability_is_lowest(figure: Figure) -> None:
    for row, n_classes in zip(panels(figure), (1, 3, 12), strict=True):
        (square,) = row[0].patches
        lowest = values(example(n_classes).probability)
        y, x = np.unravel_index(lowest.argmin(), lowest.shape)
        assert square.get_xy() == (STRIDE * x - 0.5, STRIDE * y - 0.5)
        assert (square.get_width(), square.get_height()) == (SIDE, SIDE)


def test_without_a_classifier_the_outline_is_where_the_map_is_lowest() -> None:
    alone = replace(example(3), probability=None, plain_probability=None, likeliest=None)
    (row,) = panels(occlusion([alone]))
    (square,) = row[0].patches
    y, x = np.unravel_index(alone.activation.argmin(), alone.activation.shape)
    assert square.get_xy() == (STRIDE * x - 0.5, STRIDE * y - 0.5)
    for ax in row[3:]:
        assert [text.get_text() for text in ax.texts] == ["no classifier"]
        assert not ax.images


def test_a_class_that_is_not_that_of_the_image_is_named() -> None:
    (row,) = panels(occlusion([replace(example(3), probability_of="terrier")]))
    assert row[3].get_xlabel() == "0.80 unoccluded\nterrier"
    assert row[0].get_xlabel() == "$true$"


def test_it_is_drawn(figure: Figure) -> None:
    assert canvas.png(figure).startswith(b"\x89PNG")
