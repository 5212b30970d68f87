"""Features that need not be computed: of bytes that the shard or the output has already (executor).

The features of an image follow from its bytes and the network, on one kind of processor. So they
are taken over bit for bit, and only from the kind of processor that this task has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.images.clock import Clock
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values
from kdsspark.output.names import REUSE
from kdsspark.output.store import Store
from kdsspark.stages.embed.shards import contents

# What a task remembers of the rows it has written: more than a shard of usual size.
_REMEMBERED_BYTES: Final = 1 << 26


@dataclass(frozen=True)
class Features:
    """The features of one image, and what they were computed on."""

    computed_on: str
    layers: Mapping[str, npt.NDArray[np.float32]]  # layer -> [units]


@dataclass
class Known:
    """The features of contents that this task has computed, and of those that the output holds."""

    store: Store
    folder: str  # of the lists of what the output holds; empty: it holds nothing
    computed_on: str  # by the processor of this task
    clock: Clock
    _computed: dict[str, Features] = field(default_factory=dict)
    _bytes: int = 0
    _group: dict[str, Features] = field(default_factory=dict)  # of the row group read last

    def add(self, computed: Mapping[str, Features]) -> None:
        """Remember features, as far as memory is set aside for that."""
        for content, features in computed.items():
            self._bytes += sum(values.nbytes for values in features.layers.values())
            if self._bytes <= _REMEMBERED_BYTES:
                self._computed[content] = features

    def find(self, content: str) -> Features | None:
        """The features of a content, or None where they have to be computed."""
        found = self._computed.get(content) or self._group.get(content)
        return found or (self._held(content) if self.folder else None)

    def _held(self, content: str) -> Features | None:
        with self.clock.time("reuse"):
            return self._read(content)

    def _read(self, content: str) -> Features | None:
        path = contents.file_of(self.store, self.folder, self.computed_on, content)
        if path is None:
            return None
        # What the file has lost since the run began is set aside.
        paths = [path] if path.startswith(f"{REUSE}/") else [path, contents.aside(path)]
        for one in paths:
            group = self._row_group(one, content)
            if content in group:
                self._group = group
                return group[content]
        return None

    def _row_group(self, path: str, content: str) -> dict[str, Features]:
        """Content -> features of the row group that has this content; nothing if none has."""
        first = 0
        try:
            for rows in parquet.row_groups(self.store, path, ["content", "computed_on"]):
                if content in self._ours(rows):
                    last = first + len(rows)
                    groups = parquet.row_groups(self.store, path, None, first, last)
                    return self._features(pa.concat_tables(groups))
                first += len(rows)
        except (OSError, pa.ArrowException):
            pass  # it is being replaced, or out of reach: computing them is always right
        return {}

    def _ours(self, rows: pa.Table) -> dict[str, int]:
        """Content -> row, of the rows that this kind of processor has computed."""
        both = zip(rows["content"].to_pylist(), rows["computed_on"].to_pylist(), strict=True)
        return {content: row for row, (content, on) in enumerate(both) if on == self.computed_on}

    def _features(self, rows: pa.Table) -> dict[str, Features]:
        lists = [column.name for column in rows.schema if pa.types.is_list(column.type)]
        layers = {name: flat_values(rows[name]).reshape(len(rows), -1) for name in lists}
        return {
            content: Features(self.computed_on, {name: layers[name][row] for name in lists})
            for content, row in self._ours(rows).items()
        }
