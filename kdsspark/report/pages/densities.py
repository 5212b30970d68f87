"""Small drawings of a feature's values inside a class and outside (SVG text)."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from kdsspark.report.gallery.gallery import Counts

_BARS: Final = 50
WIDTH: Final = 100
HEIGHT: Final = 30


def densities(total: Counts, inner: Counts, css: str, label: str) -> Markup:
    """The distribution of a class over that of all other images, as two filled steps.

    ``total`` and ``inner``: [bins] numbers of images. Heights are the square roots of shares, so
    that the many zeros of a rectified unit do not flatten the rest.
    """
    outer, own = _heights(total - inner), _heights(inner)
    top = max(float(outer.max(initial=0)), float(own.max(initial=0)), 1e-9)
    return _svg(
        label,
        Markup('<path class="rest" d="{}"/><path class="{}" d="{}"/>').format(
            _steps(outer / top), css, _steps(own / top)
        ),
    )


def cumulative(total: Counts, inner: Counts, css: str, label: str) -> Markup:
    """The cumulative shares of a class and of all other images, and the largest gap between them.

    The gap is the distance (paper figure 1, equation 3).
    """
    lines = [np.cumsum(n) / max(1, int(n.sum())) for n in (total - inner, inner)]
    at = int(np.abs(lines[0] - lines[1]).argmax())
    x = WIDTH * (at + 1) / len(inner)
    ends = [HEIGHT * (1 - float(line[at])) for line in lines]
    shown = [
        Markup('<path class="{}" d="{}"/>').format(*item)
        for item in (
            ("rest", _line(lines[0])),
            (css, _line(lines[1])),
            ("gap", f"M{x:.1f} {ends[0]:.1f}V{ends[1]:.1f}"),
        )
    ]
    return _svg(label, Markup("").join(shown), "curves")


def _svg(label: str, shapes: Markup, css: str = "density") -> Markup:
    return Markup(
        '<svg class="{}" role="img" aria-label="{}" viewBox="0 0 {} {}" '
        'preserveAspectRatio="none">{}</svg>'
    ).format(css, escape(label), WIDTH, HEIGHT, shapes)


def _heights(counts: Counts) -> npt.NDArray[np.float64]:
    """Square roots of shares, bins taken together to at most 50 bars."""
    together = -(-len(counts) // _BARS)
    padded = np.pad(counts, (0, -len(counts) % together)).reshape(-1, together).sum(1)
    shares = padded / max(1, int(counts.sum()))
    return np.asarray(np.sqrt(shares))


def _steps(heights: npt.NDArray[np.float64]) -> str:
    """A filled outline; whole numbers, for a page has many."""
    step = WIDTH / len(heights)
    points = [f"M0 {HEIGHT}"]
    for n, height in enumerate(heights):
        points.append(f"V{round(HEIGHT * (1 - height))}H{round(step * (n + 1))}")
    return "".join([*points, f"V{HEIGHT}Z"])


def _line(shares: npt.NDArray[np.float64]) -> str:
    step = WIDTH / len(shares)
    points = [f"{step * (n + 1):.0f} {HEIGHT * (1 - share):.1f}" for n, share in enumerate(shares)]
    return f"M0 {HEIGHT}L" + "L".join(points)
