"""The sets of labels of a dataset with several labels an image, read from its index.

``class_name`` of ``images`` and ``embeddings`` is then a text that stands for all labels of an
image (:mod:`kdsspark.datasets.several`). Here each distinct text is a set with a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.datasets import several
from kdsspark.errors import InvariantError
from kdsspark.output import parquet
from kdsspark.output.store import Store
from kdsspark.tables import IMAGE_CLASSES, IMAGES

if TYPE_CHECKING:
    from kdsspark.stats.several.label_sets import LabelSets


@dataclass(frozen=True, eq=False)
class DatasetSets:
    """The sets of a dataset, and the text of each."""

    dataset: str
    sets: LabelSets
    texts: pa.Array

    def numbers(self, texts: pa.ChunkedArray) -> npt.NDArray[np.int32]:
        """The set of each image: int32 [images]. Raises :class:`InvariantError` for other texts."""
        found = pc.index_in(texts, value_set=self.texts)
        if found.null_count:
            raise InvariantError(
                f"dataset {self.dataset}: embedded labels must be as indexed, run the embed stage"
            )
        numbers: npt.NDArray[np.int32] = found.to_numpy()
        return numbers

    def sizes(self, texts: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """The number of images of each class: int64 [classes]."""
        return self.sets.sizes(self.numbers(texts))


def read(store: Store, dataset: str) -> DatasetSets:
    """The sets of the labels that are indexed (driver and executors)."""
    # With Numba, whose import takes a fifth of a second that the other functions do without.
    from kdsspark.stats.several.label_sets import LabelSets

    texts = parquet.read(store, IMAGES, dataset, columns=["class_name"])["class_name"].unique()
    names = [several.names_of(text) for text in texts.to_pylist()]
    classes = {name: n for n, name in enumerate(sorted({n for own in names for n in own}))}
    sets, numbers = LabelSets.of([tuple(classes[n] for n in own) for own in names], len(classes))
    return DatasetSets(dataset, sets, texts.take(pa.array(np.argsort(numbers))))


def class_ids(store: Store, dataset: str) -> dict[str, int]:
    """Name -> ``class_id`` of the indexed classes, in the order of the ids (driver)."""
    table = IMAGE_CLASSES if _overlaps(store, dataset) else IMAGES
    rows = parquet.read(store, table, dataset, columns=["class_id", "class_name"])
    pairs = rows.group_by(["class_id", "class_name"]).aggregate([]).sort_by("class_id")
    return dict(zip(pairs["class_name"].to_pylist(), pairs["class_id"].to_pylist(), strict=True))


def by_class(store: Store, dataset: str, rows: pa.Table) -> pa.Table:
    """Rows of images, with ``image_id`` and ``class_id``: one for each label of an image."""
    if not _overlaps(store, dataset):
        return rows
    labels = parquet.read(store, IMAGE_CLASSES, dataset, columns=["image_id", "class_id"])
    return rows.drop(["class_id"]).join(labels, "image_id", join_type="inner")


def in_words(store: Store, dataset: str) -> Callable[[str], str]:
    """How people read ``class_name`` of an image: names with commas, where there are several."""
    if not _overlaps(store, dataset):
        return str
    return lambda text: ", ".join(several.names_of(text)) or "no label"


def _overlaps(store: Store, dataset: str) -> bool:
    return bool(store.files(IMAGE_CLASSES.partition(dataset)))
