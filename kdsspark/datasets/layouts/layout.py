"""What a layout is: a reader of datasets that lie in one certain way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from kdsspark.config import Dataset
from kdsspark.datasets.listing import Root

Reader = Callable[[Dataset, Root], Iterator[pa.Table]]
"""Lists the images of a dataset at its ``path``, in tables of ``LISTING``.

Raises ConfigError where the path or the split is not what the layout needs, and DatasetError
where a file does not hold what it must.
"""


@dataclass(frozen=True)
class Published:
    """The size of a dataset in the paper's table 2, which may be that of one split."""

    images: int
    classes: int
    split: str | None = None
    note: str = ""  # why the archives hold another number, in a few words


@dataclass(frozen=True)
class Layout:
    """A reader, the splits one may ask it for (None: those that file names tell), and a size."""

    read: Reader
    splits: tuple[str, ...] | None = ()
    published: Published | None = None
