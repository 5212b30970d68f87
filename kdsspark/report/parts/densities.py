"""Small drawings of a feature's values inside a class and outside (SVG text).

A site has thousands, so they are coarse and made of whole numbers: a unit of x is a bar.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from kdsspark.report.gallery.gallery import Counts

_BARS: Final = 50
_HEIGHT: Final = 40


def densities(total: Counts, inner: Counts, css: str, label: str) -> Markup:
    """The distribution of a class over that of all other images, as two filled steps.

    ``total`` and ``inner``: [bins] numbers of images. Heights are the square roots of shares, so
    that the many zeros of a rectified unit do not flatten the rest.
    """
    shares = [_shares(n) for n in (total - inner, inner)]
    top = max(*(float(s.max()) for s in shares), 1e-9)
    outer, own = (_steps(np.sqrt(share / top)) for share in shares)
    shapes = f'<path class="rest" d="{outer}"/><path class="{css}" d="{own}"/>'
    return _svg("density", len(shares[0]), shapes, label)


def cumulative(total: Counts, inner: Counts, css: str, label: str) -> Markup:
    """The cumulative shares of a class and of all other images, and the largest gap between them.

    The gap is the distance (paper figure 1, equation 3), up to the bins taken together.
    """
    outer, own = (np.cumsum(_shares(n)) for n in (total - inner, inner))
    at = int(np.abs(outer - own).argmax())
    ends = _down(np.array([outer[at], own[at]]))
    shapes = (
        f'<path class="rest" d="{_line(outer)}"/><path class="{css}" d="{_line(own)}"/>'
        f'<path class="gap" d="M{at + 1} {ends[0]}V{ends[1]}"/>'
    )
    return _svg("curves", len(outer), shapes, label)


def _svg(css: str, width: int, shapes: str, label: str) -> Markup:
    return Markup(
        f'<svg class="{css}" role="img" aria-label="{escape(label)}" '
        f'viewBox="0 0 {width} {_HEIGHT}" preserveAspectRatio="none">{shapes}</svg>'
    )


def _shares(counts: Counts) -> npt.NDArray[np.float64]:
    """The share of the images in each bar; so many bins are a bar that there are at most 50."""
    together = -(-len(counts) // _BARS)
    bars = np.add.reduceat(counts, np.arange(0, len(counts), together))
    return np.asarray(bars / max(1, int(bars.sum())))


def _down(heights: npt.NDArray[np.float64]) -> list[int]:
    levels: list[int] = np.rint(_HEIGHT * (1 - heights)).astype(int).tolist()
    return levels


def _steps(heights: npt.NDArray[np.float64]) -> str:
    """A filled outline."""
    levels = [(level, len(list(own))) for level, own in groupby(_down(heights))]
    return f"M0 {_HEIGHT}" + "".join(f"V{level}h{n}" for level, n in levels) + f"V{_HEIGHT}z"


def _line(shares: npt.NDArray[np.float64]) -> str:
    """A line from bar to bar; equal steps are drawn together."""
    levels = [_HEIGHT, *_down(shares)]
    steps = [(step, len(list(own))) for step, own in groupby(b - a for a, b in pairwise(levels))]
    return f"M0 {_HEIGHT}l" + " ".join(f"{n} {n * step}" for step, n in steps)
