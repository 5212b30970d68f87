"""The names that an output files things under: pairs and work items."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Final, NamedTuple

RANGES: Final = "_ranges"
"""The folder of the range of every feature over each shard."""

SUMMARIES: Final = "_summaries"
"""The folder of counts of the distances of each slice, from ``measure`` to ``summarize``."""

BEST: Final = "_exemplars"
"""The folder of the images of each shard that excite each unit most."""

GRIDS: Final = "_grids"
"""The folder of the maps of each shard, pooled over grids."""

MAPS: Final = "_maps"
"""The folder of the whole maps of each shard."""

WINDOWS: Final = "_windows"
"""The folder of the features of the windows of each shard's images."""

REUSE: Final = "_reuse"
"""The folder of what ``embed`` looks for features in that it need not compute again."""

COLUMNS: Final = "_columns"
"""The folder of scratch files of ``measure``, in column order."""


def stem(path: str) -> str:
    """The name of a file without folder and ending: ``ks/dataset=a/x-1.parquet`` -> ``x-1``."""
    return posixpath.splitext(posixpath.basename(path))[0]


def partition_values(path: str) -> dict[str, str]:
    """The values that folders give a file: ``ks/dataset=a/x.parquet`` -> ``{"dataset": "a"}``."""
    return dict(folder.split("=", 1) for folder in path.split("/")[:-1] if "=" in folder)


_AND: Final = "+"  # no name of a network or a dataset has it


def side_by_side(networks: Iterable[str]) -> str:
    """The name of several networks together: ``vgg16+alexnet``."""
    return _AND.join(networks)


def networks_in(name: str) -> list[str]:
    """The networks that a name made by :func:`side_by_side` has."""
    return name.split(_AND)


class ItemName(str):
    """The stable name of a work item, and the path of its receipt: ``vgg16/birds/shard-12ab``."""

    __slots__ = ()

    @property
    def part(self) -> str:
        """The last piece, which also names the files that the item writes: ``shard-12ab``."""
        return self.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """All but the last piece: ``vgg16/birds``."""
        return self.rpartition("/")[0]

    @property
    def pair(self) -> Pair:
        """The pair that it covers, or a part of."""
        network, dataset = self.split("/")[:2]
        return Pair(network, dataset)


class Pair(NamedTuple):
    """One network and one dataset: what an embedding is of, and most tables are filed under."""

    network: str
    dataset: str

    def __str__(self) -> str:
        return f"{self.network}/{self.dataset}"

    @property
    def name(self) -> ItemName:
        """The name of a work item that covers the whole pair."""
        return ItemName(self)

    def item(self, part: str) -> ItemName:
        """The name of a work item that covers a part of the pair: a shard, a slice of a layer."""
        return ItemName(f"{self}/{part}")
