"""The images that excite each unit most: ranked, merged, kept in files (arithmetic on arrays).

Merging gives the same result for any cut of the images and in any order, because ties go to the
smaller image_id and byte-identical images count once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

PLACE: Final = ("y", "x", "view", "x0", "y0", "x1", "y1")
"""What is known of the place of a maximum, as the columns of ``exemplars``."""

NONE: Final = -1
"""Stands for no image, and for a place that is not known."""

SCHEMA: Final = pa.schema(
    [
        pa.field("image_id", pa.dictionary(pa.int32(), pa.string())),  # null: fewer images
        pa.field("content", pa.dictionary(pa.int32(), pa.string())),
        pa.field("activation", pa.float64(), nullable=False),
        *(pa.field(name, pa.int32(), nullable=False) for name in PLACE),
        pa.field("n_active", pa.int64(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
    ]
)
"""The rows of a file: unit after unit over the whole embedding, ``top`` rows each."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """The ``top`` images of each unit, best first.

    ``image``: int32 [units, top], positions in ``ids``, -1 where there are fewer images.
    ``activation``: float64 [units, top], -inf there. ``place``: int32 [units, top, 7], the columns
    of :data:`PLACE`. ``contents``: the hash of each image's bytes, null if unknown. ``n_active``:
    int64 [units], how many of all ``n`` images have an activation above 0; copies count.
    """

    ids: Sequence[str]
    contents: Sequence[str | None]
    image: npt.NDArray[np.int32]
    activation: npt.NDArray[np.float64]
    place: npt.NDArray[np.int32]
    n_active: npt.NDArray[np.int64]
    n: int

    def merge(self, other: Ranking) -> Ranking:
        """The best of both."""
        ids = sorted({*self.ids, *other.ids})
        contents = dict(zip(self.ids, self.contents, strict=True))
        contents |= dict(zip(other.ids, other.contents, strict=True))
        return ranked(
            ids,
            [contents[image_id] for image_id in ids],
            np.concatenate([_renumbered(self, ids), _renumbered(other, ids)], axis=1),
            np.concatenate([self.activation, other.activation], axis=1),
            np.concatenate([self.place, other.place], axis=1),
            self.image.shape[1],
            self.n_active + other.n_active,
            self.n + other.n,
        )


def of_images(
    ids: Sequence[str],
    contents: Sequence[str | None],
    activation: npt.NDArray[np.floating],
    place: npt.NDArray[np.int32],
    top: int,
) -> Ranking:
    """Rank images, at least one, by activation [images, units]; ``place`` is [images, units, 7].

    Activations that are not finite are left out.
    """
    order = np.argsort(np.array(ids))
    values = np.ascontiguousarray(activation[order].T, np.float64)
    image = np.where(np.isfinite(values), np.arange(len(ids), dtype=np.int32), np.int32(NONE))
    return ranked(
        [ids[i] for i in order],
        [contents[i] for i in order],
        image.astype(np.int32),
        np.where(image == NONE, -np.inf, values),
        place[order].swapaxes(0, 1),
        top,
        (values > 0).sum(1),
        len(ids),
    )


def of_none(n_units: int, top: int) -> Ranking:
    """No image is ranked; the neutral element of :meth:`Ranking.merge`."""
    image = np.full((n_units, top), NONE, np.int32)
    place = np.full((n_units, top, len(PLACE)), NONE, np.int32)
    values = np.full(image.shape, -np.inf)
    return Ranking([], [], image, values, place, np.zeros(n_units, np.int64), 0)


def ranked(
    ids: Sequence[str],
    contents: Sequence[str | None],
    image: npt.NDArray[np.int32],
    activation: npt.NDArray[np.float64],
    place: npt.NDArray[np.int32],
    top: int,
    n_active: npt.NDArray[np.int64],
    n: int,
) -> Ranking:
    """The ``top`` of candidates [units, candidates, ...]; ``ids`` are sorted."""
    order = np.lexsort((image, -activation), axis=1)[:, : _enough(contents, top)]
    again = _seen_before(np.take_along_axis(image, order, 1), _codes(ids, contents))
    none = again | (np.take_along_axis(image, order, 1) == NONE)
    kept = _padded(np.argsort(none, axis=1, kind="stable"), top)
    none = np.take_along_axis(none, kept, 1) | (np.arange(top) >= order.shape[1])
    order = np.take_along_axis(order, kept, 1)
    image = np.where(none, np.int32(NONE), np.take_along_axis(image, order, 1))
    activation = np.where(none, -np.inf, np.take_along_axis(activation, order, 1))
    place = np.take_along_axis(place, order[..., None], 1)
    place = np.where(none[..., None], np.int32(NONE), place)
    used = np.unique(image[image != NONE])
    found = np.where(none, np.int32(NONE), np.searchsorted(used, image).astype(np.int32))
    return Ranking(
        [ids[i] for i in used],
        [contents[i] for i in used],
        found,
        activation,
        place,
        n_active,
        n,
    )


def _enough(contents: Sequence[str | None], top: int) -> int:
    """So many candidates have ``top`` different contents, if there are so many."""
    known = [content for content in contents if content is not None]
    return top + len(known) - len(set(known))


def _codes(ids: Sequence[str], contents: Sequence[str | None]) -> npt.NDArray[np.int32]:
    """A number for each image, the same for equal contents."""
    numbers: dict[str, int] = {}
    keys = (content or f"id {i}" for i, content in zip(ids, contents, strict=True))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int32)


def _seen_before(
    image: npt.NDArray[np.int32], codes: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """Where a unit has the content of an image already, at a better place."""
    code = np.where(image == NONE, np.int32(NONE), codes[image]) if len(codes) else image
    again = np.zeros(code.shape, bool)
    if codes.size and len(np.unique(codes)) < codes.size:
        for column in range(1, code.shape[1]):
            again[:, column] = (code[:, :column] == code[:, [column]]).any(1)
    return np.asarray(again & (image != NONE))


def _padded(order: npt.NDArray[np.int64], top: int) -> npt.NDArray[np.int64]:
    """The first ``top`` columns; the last one again where there are fewer."""
    return order[:, np.minimum(np.arange(top), order.shape[1] - 1)]


def _renumbered(ranking: Ranking, ids: Sequence[str]) -> npt.NDArray[np.int32]:
    """The images of a ranking as positions in ``ids``."""
    if not ranking.ids:
        return ranking.image
    positions = {image_id: i for i, image_id in enumerate(ids)}
    new = np.array([positions[i] for i in ranking.ids], np.int32)
    return np.where(ranking.image == NONE, np.int32(NONE), new[ranking.image])


def to_table(ranking: Ranking) -> pa.Table:
    """The rows of a file, as :data:`SCHEMA` has them."""
    image = pa.array(ranking.image.ravel(), mask=ranking.image.ravel() == NONE)
    names = (
        # Encoded first, because Parquet takes no null within a dictionary.
        pa.array(list(values), pa.string()).dictionary_encode().take(image)
        for values in (ranking.ids, ranking.contents)
    )
    place = ranking.place.reshape(-1, len(PLACE))
    n_active = np.repeat(ranking.n_active, ranking.image.shape[1])
    columns = [*names, ranking.activation.ravel(), *(place[:, n] for n in range(len(PLACE)))]
    columns += [n_active, np.full_like(n_active, ranking.n)]
    return pa.Table.from_arrays([pa.array(column) for column in columns], schema=SCHEMA)


def from_table(rows: pa.Table, top: int) -> Ranking:
    """The inverse of :func:`to_table`."""
    ids, contents = (rows[name].combine_chunks() for name in ("image_id", "content"))
    image = ids.indices.fill_null(NONE).to_numpy().astype(np.int32)
    codes, first = np.unique(image, return_index=True)
    known = codes != NONE
    positions = np.cumsum(known, dtype=np.int32) - 1
    image = np.where(image == NONE, np.int32(NONE), positions[np.searchsorted(codes, image)])
    named = pa.array(first[known])
    place = np.stack([rows[name].to_numpy() for name in PLACE], axis=-1)
    return Ranking(
        ids.take(named).to_pylist(),
        contents.take(named).to_pylist(),
        image.reshape(-1, top),
        rows["activation"].to_numpy().reshape(-1, top),
        place.reshape(-1, top, len(PLACE)),
        rows["n_active"].to_numpy()[::top],
        rows["n"][0].as_py(),
    )
