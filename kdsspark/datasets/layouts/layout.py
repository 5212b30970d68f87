"""A layout: how to read datasets whose files lie in one certain way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from kdsspark.config import ImageDataset
from kdsspark.datasets.left_out import LeftOut
from kdsspark.datasets.listing import Root

Reader = Callable[[ImageDataset, Root, LeftOut], Iterator[pa.Table]]
"""Lists the images of a dataset at its ``path``, in tables of ``LISTING``.

Counts the files that it does not take in the third argument, by the time the listing ends. Raises
ConfigError where the path or the split is not what the layout needs, and DatasetError where a file
does not hold what it must.
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
    """A reader, the splits that it knows (None: those in the names of files), and a size.

    ``background``: a folder of images that is a class only if the configuration asks for it.
    """

    read: Reader
    splits: tuple[str, ...] | None = ()
    published: Published | None = None
    background: str | None = None
