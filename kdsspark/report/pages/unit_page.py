"""The page of one unit: what excites it, and which classes it tells in every dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kdsspark.report.data import NetworkInfo
from kdsspark.report.gallery.choice import extremes
from kdsspark.report.gallery.gallery import Gallery, UnitShown
from kdsspark.report.parts import cards, names
from kdsspark.report.parts.page import Page

_CLASSES: Final = 5  # at each end of a dataset


def pages(info: NetworkInfo, galleries: Sequence[Gallery]) -> Iterator[Page]:
    """The page of every unit that is drawn for some dataset; ``galleries`` are of one network."""
    drawn: dict[int, list[Gallery]] = {}
    for gallery in galleries:
        for feature in gallery.units:
            drawn.setdefault(feature, []).append(gallery)
    features = sorted(drawn)
    for before, feature, after in zip([-1, *features], features, [*features[1:], -1], strict=False):
        own = drawn[feature]
        yield _page(info, own, feature, [_beside(own[0], feature, f) for f in (before, after)])


def _page(
    info: NetworkInfo, galleries: Sequence[Gallery], feature: int, beside: Sequence[Any]
) -> Page:
    unit = galleries[0].units[feature]
    return Page(
        path=names.unit_page(info["name"], unit.layer.name, unit.unit),
        template="unit.html",
        values={
            "info": info,
            "unit": unit,
            "feature": feature,
            "layer_page": names.layer_page(info["name"], unit.layer.name),
            "corpora": _corpora(galleries, feature),
            "datasets": [_dataset(gallery, gallery.units[feature]) for gallery in galleries],
            "beside": beside,
        },
        files={},
    )


def _corpora(galleries: Sequence[Gallery], feature: int) -> list[dict[str, Any]]:
    """The patches of each reference corpus, once."""
    found = {gallery.units[feature].corpus: gallery.units[feature] for gallery in galleries}
    return [
        {
            "name": corpus,
            "patches": cards.patches(unit),
            "from": cards.origins(unit),
            "projections": unit.projections,
            "n": unit.n,
            "dead": cards.dead(unit),
            "active": None if unit.n is None else cards.percent(unit.n_active or 0, unit.n),
        }
        for corpus, unit in found.items()
    ]


def _dataset(gallery: Gallery, unit: UnitShown) -> dict[str, Any]:
    column = gallery.ks[:, unit.feature]
    known = np.array([shown.class_id for shown in gallery.classes])
    high, low = ([int(known[i]) for i in end] for end in extremes(column[known], _CLASSES))

    def row(c: int) -> dict[str, Any]:
        q = None if gallery.q is None else float(gallery.q[c, unit.feature])
        ks = float(column[c])
        shown = gallery.by_id[c]
        return {
            **cards.class_link(gallery, c, ks),
            "css": cards.css(ks),
            "q": q,
            "rank": int(gallery.ranks[c, unit.feature]),
            "tiles": cards.tiles(shown, 1),
        }

    ends = [end[0] for end in (high, low) if end]
    return {
        "name": gallery.dataset,
        "page": names.dataset_page(gallery.network, gallery.dataset),
        "high": [row(c) for c in high],
        "low": [row(c) for c in low],
        "curves": [cards.curves(gallery, unit, c) for c in ends if c in unit.inner],
        "n_plus": _n_above(column[known], gallery.t_plus),
        "n_minus": _n_above(-column[known], None if gallery.t_minus is None else -gallery.t_minus),
        "n_classes": len(known),
    }


def _n_above(values: npt.NDArray[np.float32], threshold: float | None) -> int:
    return 0 if threshold is None else int((values > threshold).sum())


def _beside(gallery: Gallery, feature: int, other: int) -> dict[str, Any] | None:
    """Another unit that is drawn for some dataset, if it is of the same layer; -1 is none."""
    if other < 0 or gallery.unit_of(other)[0] != gallery.unit_of(feature)[0]:
        return None
    return cards.unit_link(gallery, other)
