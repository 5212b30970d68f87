"""Small drawings of values inside a class and outside: what their paths say, read back."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from kdsspark.report.parts.densities import cumulative, densities

HEIGHT = 40


def steps(path: str) -> np.ndarray:
    """The height of each bar of a filled outline, as a share of the whole height."""
    start, end = f"M0 {HEIGHT}", f"V{HEIGHT}z"
    assert path.startswith(start)
    assert path.endswith(end)
    parts = re.findall(r"V(\d+)h(\d+)", path)
    assert start + "".join(f"V{y}h{n}" for y, n in parts) + end == path
    return np.concatenate([np.full(int(n), 1 - int(y) / HEIGHT) for y, n in parts])


def line(path: str) -> np.ndarray:
    """The height at the end of each bar of a line, whose moves may be several bars wide."""
    start = f"M0 {HEIGHT}l"
    assert path.startswith(start)
    wide, down = np.array(path.removeprefix(start).split(), int).reshape(-1, 2).T
    ends = np.insert(wide.cumsum(), 0, 0), np.insert(down.cumsum(), 0, 0)
    return -np.interp(np.arange(1, wide.sum() + 1), *ends) / HEIGHT


def drawn(svg: str, css: str) -> ElementTree.Element:
    (path,) = (path for path in ElementTree.fromstring(svg) if path.get("class") == css)
    return path


def shares(counts: np.ndarray, bars: int) -> np.ndarray:
    width = -(-len(counts) // bars)
    values = [counts[i : i + width].sum() for i in range(0, len(counts), width)]
    return np.array(values) / max(1, counts.sum())


@pytest.mark.parametrize("bins", [7, 50, 51, 100, 256])
def test_heights_are_square_roots_of_shares(bins: int) -> None:
    rng = np.random.default_rng(bins)
    inner, outer = rng.poisson(2, bins), rng.poisson(9, bins)
    outer[0] = 5000  # a rectified unit
    svg = densities(inner + outer, inner, "plus", "label")
    wanted = {"rest": shares(outer, 50), "plus": shares(inner, 50)}
    top = max(share.max() for share in wanted.values())
    for css, share in wanted.items():
        found = steps(drawn(svg, css).get("d") or "")
        np.testing.assert_allclose(found, np.sqrt(share / top), atol=0.5 / HEIGHT + 1e-9)
    width = len(wanted["rest"])
    assert width <= 50
    assert ElementTree.fromstring(svg).get("viewBox") == f"0 0 {width} {HEIGHT}"


@pytest.mark.parametrize("shift", [-9, 9])
def test_the_gap_is_where_the_curves_are_farthest_apart(shift: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(25, 5, 400), rng.normal(25 + shift, 5, 90)
    outer, inner = (np.histogram(v, 50, (0, 50))[0] for v in values)
    svg = cumulative(outer + inner, inner, "minus", "label")
    curves = [np.cumsum(n) / n.sum() for n in (outer, inner)]
    for css, curve in zip(("rest", "minus"), curves, strict=True):
        found = line(drawn(svg, css).get("d") or "")
        np.testing.assert_allclose(found, curve, atol=0.5 / HEIGHT + 1e-9)
    at = int(np.abs(curves[0] - curves[1]).argmax())
    gap = re.fullmatch(r"M(\d+) (\d+)V(\d+)", drawn(svg, "gap").get("d") or "")
    assert gap
    x, first, last = map(int, gap.groups())
    assert x == at + 1  # at the end of the bar
    assert [1 - first / HEIGHT, 1 - last / HEIGHT] == pytest.approx(
        [curve[at] for curve in curves], abs=0.5 / HEIGHT
    )
    assert (first < last) == (shift > 0)


@pytest.mark.parametrize("draw", [densities, cumulative])
def test_a_side_without_images_lies_on_the_ground(draw: type) -> None:
    counts = np.array([3, 0, 1])
    for inner in (np.zeros(3, int), counts):
        svg = draw(counts, inner, "plus", 'a <b> "c" & d')
        root = ElementTree.fromstring(svg)
        assert root.get("aria-label") == 'a <b> "c" & d'
        empty = drawn(svg, "plus" if inner is not counts else "rest").get("d") or ""
        read = steps(empty) if draw is densities else line(empty)
        assert (read == 0).all()
        assert len(read) == 3
