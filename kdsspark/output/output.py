"""The output folder of a study: a store that knows where everything in it lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kdsspark.output.names import COLUMNS, Pair, stem
from kdsspark.output.receipts import Receipts
from kdsspark.output.store import Store

_PLANS: Final = "_plans"
_NETWORKS: Final = "_networks"


class Output(Store):
    """The output folder of a study (driver and executors).

    Tables lie where :class:`kdsspark.tables.Table` says. The other files and folders, whose names
    begin with ``_`` so that Spark and pyarrow skip them, are named here. Paths are relative to
    the output and use ``/``.
    """

    def receipts(self, stage: str) -> Receipts:
        """The receipts of one kind of work item."""
        return Receipts(self, stage)

    def plans(self, stage: str, pair: Pair | None = None) -> str:
        """The folder of the rows of each shard that a stage works on; without a pair, of all."""
        return f"{_PLANS}/{stage}/{pair}" if pair else f"{_PLANS}/{stage}"

    def plan_files(self) -> Iterator[tuple[str, Pair]]:
        """The files below :meth:`plans`, each with its pair."""
        for path in self.all_files(_PLANS):
            _, _, network, dataset, *_ = path.split("/")
            yield path, Pair(network, dataset)

    def networks(self) -> list[str]:
        """The names of all prepared networks."""
        return [stem(path) for path in self.files(_NETWORKS) if path.endswith(".json")]

    def beside(self, kind: str, pair: Pair, part: str | None = None) -> str:
        """The folder of internal files of one kind of a pair, or one Parquet file in it."""
        folder = f"{kind}/network={pair.network}/dataset={pair.dataset}"
        return folder if part is None else f"{folder}/{part}.parquet"

    def columns(self, pair: Pair, part: str) -> str:
        """One scratch file of ``measure``."""
        return f"{self.beside(COLUMNS, pair)}/{part}.bin"

    @property
    def looks(self) -> str:
        """The record of what ``kdsspark look`` was asked for."""
        return "_looks.json"

    def network(self, name: str) -> str:
        """The record of a prepared network."""
        return f"{_NETWORKS}/{name}.json"

    def weights(self, name: str, digest: str) -> str:
        """The tensors of a prepared network."""
        return f"{_NETWORKS}/{name}-{digest}.safetensors"
