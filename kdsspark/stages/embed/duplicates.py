"""Table ``duplicates``: embedded images whose files are byte-identical.

The same picture in two classes, or in two datasets, makes distances look other than they are. A
unit looks through a range of the content hashes, in the embeddings of every dataset; there is one
for every four million images, so that a task holds no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from kdsspark.engine import work as units
from kdsspark.engine.work import Outcome, Unit
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet, receipts
from kdsspark.output.store import Store
from kdsspark.tables import DUPLICATES, EMBEDDINGS, IMAGES

STAGE: Final = "duplicates"
"""As receipts are filed."""

_IMAGES_OF_A_RANGE: Final = 4_000_000

_SHARED: Final = {
    "in_class": ["content", "dataset", "class_id"],
    "in_dataset": ["content", "dataset"],
    "in_all": ["content"],
}
"""Column -> what the images have in common that it counts."""


@dataclass(frozen=True)
class Range:
    """The ``number``-th of ``of`` equal ranges of hashes, in all datasets (dataset -> network)."""

    store: Store
    networks: Mapping[str, str]
    number: int
    of: int

    @property
    def unit(self) -> str:
        """The name of its work unit."""
        return f"all/{self.number:04d}-of-{self.of:04d}"

    def part(self, dataset: str) -> str:
        """Its file of a dataset."""
        return f"{DUPLICATES.partition(dataset)}/part-{self.number:04d}-of-{self.of:04d}.parquet"

    def covers(self, contents: pa.ChunkedArray) -> pa.ChunkedArray:
        """Which hashes lie in it; false for null. Two bytes tell: hashes are spread evenly."""
        first, last = (f"{(1 << 16) * n // self.of:04x}" for n in (self.number, self.number + 1))
        found = pc.greater_equal(contents, first)
        if self.number + 1 < self.of:
            found = pc.and_(found, pc.less(contents, last))
        return pc.fill_null(found, False)


# -- driver --------------------------------------------------------------------------------------


def find(session: SparkSession, store: Store, networks: Mapping[str, str]) -> None:
    """Write ``duplicates`` of the datasets, as embedded by the networks they are mapped to.

    Nothing is done where these embeddings have been looked through already.
    """
    embedded = [
        receipt
        for dataset, network in networks.items()
        for receipt in receipts.read(store, receipts.EMBED, f"{network}/{dataset}").values()
    ]
    n_images = sum(receipt.counts["embedded"] for receipt in embedded)
    n_ranges = max(1, -(-n_images // _IMAGES_OF_A_RANGE))
    ranges = [Range(store, dict(networks), number, n_ranges) for number in range(n_ranges)]
    _prune(store, ranges)
    digest = fingerprint(sorted((receipt.unit, receipt.digest) for receipt in embedded))
    work = [Unit(one.unit, digest, one) for one in ranges]
    units.run(session, store, STAGE, work, find_in_range, "ranges")


def _prune(store: Store, ranges: Sequence[Range]) -> None:
    """Remove what was found when there were more ranges, or fewer."""
    for unit in set(receipts.read(store, STAGE)) - {one.unit for one in ranges}:
        receipts.remove(store, STAGE, unit)
    for dataset in ranges[0].networks:
        folder = DUPLICATES.partition(dataset)
        store.clean(folder)
        for path in set(store.files(folder)) - {one.part(dataset) for one in ranges}:
            store.remove(path)


def summary(store: Store, datasets: Sequence[str]) -> list[str]:
    """A line for each dataset that has byte-identical images, by what was found last.

    ``dataset birds: 12 byte-identical images (3 across classes, 1 across datasets)``.
    """
    found: Counter[str] = Counter()
    for receipt in receipts.read(store, STAGE).values():
        found.update(receipt.counts)
    lines = []
    for dataset in datasets:
        identical, *across = (found[f"{dataset} {kind}"] for kind in _KINDS)
        kinds = zip(across, _KINDS[1:], strict=True)
        noted = ", ".join(f"{n:,} {kind}" for n, kind in kinds if n)
        if identical:
            images = "image" if identical == 1 else "images"
            line = f"dataset {dataset}: {identical:,} byte-identical {images}"
            lines.append(f"{line} ({noted})" if noted else line)
    return lines


_KINDS: Final = ("identical", "across classes", "across datasets")


# -- executor ------------------------------------------------------------------------------------


def find_in_range(work: Range) -> Outcome:
    """Write the parts of one range of hashes, also empty ones, so that the table can be read."""
    twins = _counted(_twins(work))
    counts: dict[str, int] = {}
    for dataset in work.networks:
        rows = twins.filter(pc.equal(twins["dataset"], dataset))
        rows = rows.join(_uris(work.store, dataset, rows["image_id"]), "image_id").sort_by(
            [(name, "ascending") for name in ("content", "class_id", "image_id")]
        )
        parquet.write(work.store, work.part(dataset), rows.drop("dataset"), DUPLICATES.schema)
        for kind, number in zip(_KINDS, _numbers(rows), strict=True):
            counts[f"{dataset} {kind}"] = number
    return Outcome(counts)


def _numbers(rows: pa.Table) -> tuple[int, int, int]:
    in_class, in_dataset, in_all = (rows[name] for name in _SHARED)
    across_classes = pc.sum(pc.greater(in_dataset, in_class)).as_py() or 0
    across_datasets = pc.sum(pc.greater(in_all, in_dataset)).as_py() or 0
    return len(rows), across_classes, across_datasets


def _twins(work: Range) -> pa.Table:
    """All rows of the range whose content is there twice: first which contents, then the rows."""
    contents = pa.concat_tables([t for _, t in _read(work, ["content"])] or [_EMPTY])["content"]
    counts = pa.Table.from_struct_array(pc.value_counts(contents))
    repeated = counts.filter(pc.greater(counts["counts"], 1))["values"].combine_chunks()
    columns = ["image_id", "class_id", "class_name", "content"]
    found = [_EMPTY]
    if len(repeated):
        for dataset, rows in _read(work, columns):
            twins = rows.filter(pc.is_in(rows["content"], repeated))
            found.append(twins.append_column("dataset", pa.repeat(dataset, len(twins))))
    return pa.concat_tables(found)


_EMPTY: Final = pa.schema(
    [
        *(EMBEDDINGS.schema.field(n) for n in ("image_id", "class_id", "class_name", "content")),
        pa.field("dataset", pa.string()),
    ]
).empty_table()


def _read(work: Range, columns: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    """Dataset and rows of the range, file by file."""
    for dataset, network in work.networks.items():
        for path in work.store.files(EMBEDDINGS.partition(network, dataset)):
            rows = parquet.read_file(work.store, path, columns)
            yield dataset, rows.filter(work.covers(rows["content"]))


def _counted(twins: pa.Table) -> pa.Table:
    for column, keys in _SHARED.items():
        counts = twins.group_by(keys).aggregate([([], "count_all")])
        twins = twins.join(counts.rename_columns([*keys, column]), keys)
    return twins


def _uris(store: Store, dataset: str, ids: pa.ChunkedArray) -> pa.Table:
    """``image_id`` and ``uri`` of some images of a dataset."""
    columns, ids = ["image_id", "uri"], ids.combine_chunks()
    found = [pa.schema([IMAGES.schema.field(name) for name in columns]).empty_table()]
    for path in store.files(IMAGES.partition(dataset)) if len(ids) else ():
        for rows in parquet.row_groups(store, path, columns):
            found.append(rows.filter(pc.is_in(rows["image_id"], ids)))
    return pa.concat_tables(found)
