"""Small drawings in tables: where their points lie."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from kdsspark.report.parts import sparkline


def test_points_lie_between_the_ends_and_below_the_top() -> None:
    x = np.array([-2.0, -1.0, 0.0, 1.0])
    lines = {"true": np.array([9.0, 0.0, 5.0, 20.0])}
    svg = ElementTree.fromstring(sparkline.curves(x, lines, "a < b", far=1.0, top=10.0))
    assert svg.get("aria-label") == "a < b"
    line = svg.find("polyline")
    assert line is not None
    assert line.get("class") == "true"
    points = [tuple(map(float, point.split(","))) for point in (line.get("points") or "").split()]
    middle, bottom, top = sparkline.WIDTH / 2, sparkline.HEIGHT - 0.5, 0.5
    # The first point is outside, the last is higher than the top.
    assert points == [(0, bottom), (middle, (bottom + top) / 2), (sparkline.WIDTH, top)]


def test_level_stretches_keep_their_ends() -> None:
    x = np.linspace(-1, 1, 9)
    heights = np.array([0, 0, 0, 4, 4, 4, 4, 7, 0], float)
    svg = ElementTree.fromstring(sparkline.curves(x, {"true": heights}, "", far=1.0, top=10.0))
    line = svg.find("polyline")
    assert line is not None
    points = [tuple(map(float, point.split(","))) for point in (line.get("points") or "").split()]
    kept = [0, 2, 3, 6, 7, 8]
    want = [
        (sparkline.WIDTH * i / 8, (sparkline.HEIGHT - 1) * (1 - heights[i] / 10) + 0.5)
        for i in kept
    ]
    np.testing.assert_allclose(points, want, atol=0.051)


def test_lines_without_height_lie_on_the_ground() -> None:
    svg = sparkline.curves(np.array([0.0]), {"true": np.array([0.0])}, "", far=1.0, top=0.0)
    assert f"{sparkline.WIDTH / 2:.1f},{sparkline.HEIGHT - 0.5:.1f}" in svg
