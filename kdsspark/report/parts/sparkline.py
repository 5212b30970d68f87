"""Small drawings inside tables: SVG text that the style sheet of the page colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

WIDTH, HEIGHT = 168, 30


def curves(
    x: npt.NDArray[np.float64],
    lines: Mapping[str, npt.NDArray[np.float64]],
    label: str,
    far: float,
    top: float,
) -> Markup:
    """Lines over -far .. far, from 0 to ``top`` (higher values are cut), and an upright at 0.

    ``lines``: CSS class -> heights at ``x``. ``label`` is for screen readers.
    """
    inside = np.abs(x) <= far
    drawn = Markup("")
    for css, heights in lines.items():
        points = " ".join(
            f"{a},{b}"
            for a, b in _bends(
                [f"{_across(a, far):.1f}" for a in x[inside]],
                [f"{_down(b, top):.1f}" for b in heights[inside]],
            )
        )
        drawn += Markup('<polyline class="{}" points="{}"/>').format(css, points)
    return Markup(
        '<svg class="spark" role="img" aria-label="{}" width="{}" height="{}" viewBox="0 0 {} {}">'
        '<path class="axis" d="M{:.1f} 0V{}"/>{}</svg>'
    ).format(escape(label), WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH / 2, HEIGHT, drawn)


def _bends(xs: Sequence[str], ys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The points without those in the midst of a level stretch, which are most of a curve."""
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        if not (0 < i < len(ys) - 1 and ys[i - 1] == y == ys[i + 1]):
            yield x, y


def _across(x: float, far: float) -> float:
    return WIDTH * (x + far) / (2 * far)


def _down(height: float, top: float) -> float:
    return (HEIGHT - 1) * (1 - min(1.0, height / top if top else 0.0)) + 0.5
