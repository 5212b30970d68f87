"""What the report draws of one network and dataset, chosen from the distances (arithmetic)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kdsspark.report.gallery import choice
from kdsspark.report.gallery.choice import Distances, Kin, Layers

KIN: Final = 5
"""Other classes on the page of a class."""

OF_A_LAYER: Final = 2
"""Units of one layer among those of a class."""

SHEET: Final = 256
"""Units on the sheet of a layer, at most."""

_AT_LENGTH: Final = 3
_HIGHEST_OF_A_LAYER: Final = 5  # drawn for the page of the layer


@dataclass(frozen=True, eq=False)
class Chosen:
    """Features and classes by number. ``present`` and ``absent``: per class, best first."""

    present: Sequence[Sequence[int]]
    absent: Sequence[Sequence[int]]
    drawn: Sequence[int]  # features, each once
    kin: Sequence[Sequence[Kin]]
    alike: Distances
    order: Sequence[int]
    sheets: Sequence[Sequence[int]]  # per layer, the most selective features first


def choose(
    ks: Distances,
    layers: Layers,
    thresholds: tuple[float | None, float | None],
    n_units: int,
    more: Sequence[int] = (),
    at_length: Collection[int] = (),
) -> Chosen:
    """Choose ``n_units`` units of each class, two of three by presence, and what goes with them.

    ``ks``: float32 [classes, features]; ``thresholds``: t+ and t-; ``more``: further features;
    ``at_length``: classes that get three times as many units.
    """
    times = [_AT_LENGTH if c in at_length else 1 for c in range(len(ks))]
    n_present = max(1, round(n_units * 2 / 3))
    n_absent = max(1, n_units - n_present)

    def strongest(values: Distances, n: int) -> list[list[int]]:
        rows = zip(values, times, strict=True)
        return [choice.strongest(own, layers, n * k, OF_A_LAYER * k) for own, k in rows]

    present, absent = strongest(ks, n_present), strongest(-ks, n_absent)
    sheets = _sheets(ks, layers)
    best = [feature for sheet in sheets for feature in sheet[:_HIGHEST_OF_A_LAYER]]
    every = [f for own in (*present, *absent, best, more) for f in own]
    drawn = sorted(set(every))
    t_plus, t_minus = (2 if t is None else t for t in thresholds)  # 2: beyond all distances
    alike = choice.likeness(ks)
    return Chosen(
        present,
        absent,
        drawn,
        choice.kin(ks, t_plus, -abs(t_minus), drawn, KIN),
        alike,
        choice.in_order(alike),
        sheets,
    )


def _sheets(ks: Distances, layers: Layers) -> list[list[int]]:
    """For each layer its features by the highest distance of any class."""
    best = ks.max(axis=0) if len(ks) else np.zeros(len(layers), np.float32)
    order = np.lexsort((np.arange(len(best)), -best))
    return [
        [int(f) for f in order[layers[order] == depth][:SHEET]] for depth in range(layers.max() + 1)
    ]
