"""The map of a dataset's classes: how alike they are to the network (SVG text)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from kdsspark.report.gallery.gallery import Gallery

_LARGEST: Final = 150  # classes; more cannot be read
_SIDE: Final = 560  # pixels of the map, while its cells are from 12 to 32
_LETTER: Final = 6.2  # width of a letter, of 10 pixels
_LONGEST: Final = 28


@dataclass(frozen=True, eq=False)
class ClassMap:
    """The path of the picture, its text, and the file."""

    src: str
    alt: str
    files: Mapping[str, bytes]


def draw(gallery: Gallery, stem: str) -> ClassMap | None:
    """The correlations of the classes, in order; None for fewer than three classes or very many."""
    order = [c for c in gallery.order if c in gallery.by_id]
    if not 3 <= len(order) <= _LARGEST:
        return None
    labels = [gallery.by_id[c].name for c in order]
    short = [n if len(n) <= _LONGEST else n[: _LONGEST - 1] + "\u2026" for n in labels]
    margin = round(_LETTER * max(map(len, short))) + 8
    cell = min(32, max(12, _SIDE // len(order)))
    side = cell * len(order)
    cells: dict[str, list[str]] = {}  # a path for each shade, because cells are up to 22,500
    for i, a in enumerate(order):
        for j, b in enumerate(order):
            value = float(gallery.alike[a, b])
            if i == j or abs(value) < 0.02:
                continue
            shade = f'{"#0b7a5c" if value > 0 else "#b8541a"}" fill-opacity="{abs(value):.2f}'
            square = f"M{margin + j * cell} {i * cell}h{cell}v{cell}h-{cell}z"
            cells.setdefault(shade, []).append(square)
    shades = (f'<path fill="{shade}" d="{"".join(own)}"/>' for shade, own in cells.items())
    texts = [
        Markup('<text x="{}" y="{}">{}</text>').format(margin - 6, i * cell + cell / 2 + 3.5, name)
        for i, name in enumerate(short)
    ]
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{margin + side}" height="{side}" '
        f'viewBox="0 0 {margin + side} {side}" font-family="system-ui, sans-serif" font-size="10" '
        f'text-anchor="end" fill="#333"><rect width="100%" height="100%" fill="#fff"/>'
        + "".join(map(str, texts))
        + "".join(shades)
        + "</svg>"
    )
    pairs = max(
        ((gallery.alike[a, b], a, b) for a in order for b in order if a < b), default=(0, 0, 0)
    )
    names = [gallery.by_id[int(c)].name for c in pairs[1:]]
    alt = f"Correlations of {len(order)} classes; most alike are {names[0]} and {names[1]}"
    return ClassMap(f"{stem}.svg", alt, {f"{stem}.svg": svg.encode()})
