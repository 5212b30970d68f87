"""The page of one class of one dataset: its images, and the units that tell it."""

from __future__ import annotations

from typing import Any

from kdsspark.report.data import NetworkInfo
from kdsspark.report.gallery.gallery import ClassShown, Gallery
from kdsspark.report.parts import cards, names
from kdsspark.report.parts.page import Page


def page(info: NetworkInfo, gallery: Gallery, shown: ClassShown) -> Page:
    """The page of a class."""
    c = shown.class_id
    neighbours = _neighbours(gallery, c)
    return Page(
        path=names.class_page(gallery.network, gallery.dataset, shown.name),
        template="class.html",
        values={
            "info": info,
            "gallery": gallery,
            "shown": shown,
            "n_images": gallery.n_images or sum(other.n_images for other in gallery.classes),
            "n_features": gallery.ks.shape[1],
            "dataset_page": names.dataset_page(gallery.network, gallery.dataset),
            "sample_tiles": cards.tiles(shown),
            "present": [cards.card(gallery, c, feature) for feature in shown.present],
            "absent": [cards.card(gallery, c, feature) for feature in shown.absent],
            "kin": [_kin(gallery, c, kin) for kin in shown.kin],
            "before": neighbours[0],
            "after": neighbours[1],
        },
        files={},
    )


def _kin(gallery: Gallery, c: int, kin: Any) -> dict[str, Any]:
    return {
        **cards.class_link(gallery, kin.other),
        "tiles": cards.tiles(gallery.by_id[kin.other], 3),
        "n_shared": kin.n_shared,
        "parting": [
            {
                **cards.link(gallery, feature),
                "own": float(gallery.ks[c, feature]),
                "other": float(gallery.ks[kin.other, feature]),
            }
            for feature in (kin.above, kin.below)
            if feature is not None
        ],
    }


def _neighbours(gallery: Gallery, c: int) -> list[dict[str, Any] | None]:
    """The classes before and after, in the order of the map of classes."""
    order = [other for other in gallery.order if other in gallery.by_id]
    at = order.index(c)
    return [
        cards.class_link(gallery, order[i]) if 0 <= i < len(order) else None
        for i in (at - 1, at + 1)
    ]
