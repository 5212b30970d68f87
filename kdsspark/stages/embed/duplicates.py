"""Table ``duplicates``: embedded images whose files are byte-identical.

The same picture in two classes, or in two datasets, distorts the distances. A work item looks
through a range of the content hashes, in the embeddings of every dataset. There is one for every
four million images, so that a task holds no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.stage import Context
from kdsspark.engine.work import run_items
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.names import ItemName, Pair, stem
from kdsspark.output.output import Output
from kdsspark.output.store import Store
from kdsspark.stages import EMBED
from kdsspark.tables import DUPLICATES, EMBEDDINGS, IMAGES

_KIND: Final = DUPLICATES.name
"""As receipts are filed."""

_IMAGES_OF_A_RANGE: Final = 4_000_000

_SHARED: Final = {
    "in_class": ["content", "dataset", "class_id", "class_name"],
    "in_dataset": ["content", "dataset"],
    "in_all": ["content"],
}
"""Column -> what the images have in common that it counts."""


@dataclass(frozen=True, kw_only=True)
class ContentRange(WorkItem):
    """The ``number``-th of ``of`` equal ranges of hashes, in the datasets of all ``pairs``."""

    output: Output
    pairs: tuple[Pair, ...]  # each dataset once
    number: int
    of: int

    @property
    def part(self) -> str:
        """The name of its files."""
        return f"part-{self.number:04d}-of-{self.of:04d}"

    def covers(self, contents: pa.ChunkedArray) -> pa.ChunkedArray:
        """Which hashes lie in it; false for null. Two bytes tell: hashes are spread evenly."""
        first, last = (f"{(1 << 16) * n // self.of:04x}" for n in (self.number, self.number + 1))
        found = pc.greater_equal(contents, first)
        if self.number + 1 < self.of:
            found = pc.and_(found, pc.less(contents, last))
        return pc.fill_null(found, False)


# -- driver --------------------------------------------------------------------------------------


def find(context: Context) -> None:
    """Write ``duplicates`` of every dataset, as embedded by the first network that embeds it.

    Nothing is done where these embeddings have been looked through already.
    """
    output, pairs = context.output, _first_pairs(context)
    embedded = [r for pair in pairs for r in EMBED.receipts(output).of(pair).values()]
    n_images = sum(receipt.counts["embedded"] for receipt in embedded)
    n_ranges = max(1, -(-n_images // _IMAGES_OF_A_RANGE))
    digest = fingerprint(sorted((receipt.item, receipt.digest) for receipt in embedded))
    ranges = [
        ContentRange(
            name=ItemName(f"all/{number:04d}-of-{n_ranges:04d}"),
            digest=digest,
            output=output,
            pairs=pairs,
            number=number,
            of=n_ranges,
        )
        for number in range(n_ranges)
    ]
    _prune(output, ranges)
    run_items(context.session, output.receipts(_KIND), ranges, find_in_range, "ranges")


def _first_pairs(context: Context) -> tuple[Pair, ...]:
    """Each dataset with the first network that embeds it."""
    found: dict[str, Pair] = {}
    for pair in context.pairs:
        found.setdefault(pair.dataset, pair)
    return tuple(found.values())


def _prune(output: Output, ranges: Sequence[ContentRange]) -> None:
    """Remove what was found when there were more ranges, or fewer."""
    receipts = output.receipts(_KIND)
    for item in receipts.all().keys() - {one.name for one in ranges}:
        receipts.remove(item)
    parts = {one.part for one in ranges}
    for pair in ranges[0].pairs:
        folder = DUPLICATES.partition(pair.dataset)
        output.clean(folder)
        for path in output.files(folder):
            if stem(path) not in parts:
                output.remove(path)


def summary(context: Context) -> list[str]:
    """A line for each dataset that has byte-identical images, by what was found last.

    ``dataset birds: 12 byte-identical images (3 across classes, 1 across datasets)``.
    """
    found: Counter[str] = Counter()
    for receipt in context.output.receipts(_KIND).all().values():
        found.update(receipt.counts)
    lines = []
    for dataset in dict.fromkeys(pair.dataset for pair in context.pairs):
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


def find_in_range(work: ContentRange) -> Outcome:
    """Write the parts of one range of hashes, also empty ones, so that the table can be read."""
    twins = _counted(_twins(work))
    counts: dict[str, int] = {}
    for dataset in (pair.dataset for pair in work.pairs):
        rows = twins.filter(pc.equal(twins["dataset"], dataset))
        rows = rows.join(_uris(work.output, dataset, rows["image_id"]), "image_id").sort_by(
            [(name, "ascending") for name in ("content", "class_id", "image_id")]
        )
        path = DUPLICATES.part(work.part, dataset)
        parquet.write(work.output, path, rows.drop("dataset"), DUPLICATES.schema)
        for kind, number in zip(_KINDS, _numbers(rows), strict=True):
            counts[f"{dataset} {kind}"] = number
    return Outcome(counts)


def _numbers(rows: pa.Table) -> tuple[int, int, int]:
    in_class, in_dataset, in_all = (rows[name] for name in _SHARED)
    across_classes = pc.sum(pc.greater(in_dataset, in_class)).as_py() or 0
    across_datasets = pc.sum(pc.greater(in_all, in_dataset)).as_py() or 0
    return len(rows), across_classes, across_datasets


def _twins(work: ContentRange) -> pa.Table:
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


def _read(work: ContentRange, columns: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    """Dataset and rows of the range, file by file."""
    for pair in work.pairs:
        for path in work.output.files(EMBEDDINGS.partition(*pair)):
            rows = parquet.read_file(work.output, path, columns)
            yield pair.dataset, rows.filter(work.covers(rows["content"]))


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
