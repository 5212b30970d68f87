"""The ``images`` table of one dataset: every image with its class, in one file (driver)."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kdsspark.config import Config, Dataset, ImageDataset
from kdsspark.datasets import labels, layouts, left_out, listing, readymade, several
from kdsspark.datasets.layouts.layout import Published
from kdsspark.datasets.left_out import Group, LeftOut
from kdsspark.engine.stage import Context, Standing
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.store import Store
from kdsspark.stages import INDEX
from kdsspark.tables import IMAGE_CLASSES, IMAGES, Table
from kdsspark.terminal import Progress

SEVERAL: Final = -1
"""The ``class_id`` of an image that may have several labels."""

_DIGEST: Final = b"kdsspark.digest"  # of the images, in the footer of the table
_LEFT_OUT: Final = b"kdsspark.left_out"  # what the listing did not take, beside the digest


class Labels(NamedTuple):
    """The labels of a dataset with several labels an image."""

    n: int  # of all images
    without: int  # images without a label


@dataclass(frozen=True)
class Indexed:
    """The outcome of indexing one dataset."""

    dataset: str
    n_images: int
    n_classes: int
    published: Published | None = None  # the size that it should have
    left_out: tuple[Group, ...] = ()
    warnings: tuple[str, ...] = ()
    labels: Labels | None = None  # where an image may have several

    def __str__(self) -> str:
        """One line for people, and one for each warning.

        It shows a difference from the published size, and what was left out.
        """
        line = f"dataset {self.dataset}: {self.n_images} images in {self.n_classes} classes"
        if self.labels is not None:
            n, without = self.labels
            line += f", {n} labels, {without} image{'' if without == 1 else 's'} without a label"
        line += self._compared()
        if text := left_out.summary(self.left_out):
            line += f"; left out: {text}"
        return "\n".join([line, *(f"warning: dataset {self.dataset}: {w}" for w in self.warnings)])

    def _compared(self) -> str:
        expected = self.published
        if expected is None:
            return ""
        if (self.n_images, self.n_classes) == (expected.images, expected.classes):
            return ", as published"
        note = f", {expected.note}" if expected.note else ""
        return f"; published: {expected.images} in {expected.classes}{note}"


@dataclass(frozen=True)
class IndexPlan:
    """What the index holds of a dataset. Only a listing of its folder shows what it lacks."""

    n_images: int

    def standing(self, _: Output) -> Standing:
        """All images of the index."""
        return Standing(done=self.n_images)


def plan(output: Output, _: Config, pair: Pair) -> IndexPlan:
    """How many images of a dataset are indexed."""
    return IndexPlan(len(_column(output, pair.dataset, "class_id")))


def run(context: Context) -> None:
    """List every dataset, and print a line for each."""
    datasets, indexed = context.config.datasets, []
    with Progress(INDEX.name, len(datasets), "datasets") as progress:
        for done, dataset in enumerate(datasets, start=1):
            indexed.append(write_index(context.output, dataset))
            progress.show(done)
    print(*indexed, sep="\n", file=sys.stderr)


def write_index(store: Store, dataset: Dataset) -> Indexed:
    """List a dataset and replace its part of ``images`` in one step.

    The listing passes through a temporary file, because ``class_id`` is known only when every
    class name is. Raises :class:`DatasetError` for an empty dataset and for an image listed twice.
    """
    not_taken = LeftOut()
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "listed.parquet"
        classes, digest = _collect(dataset, listed, not_taken)
        groups = not_taken.groups(classes)
        _refuse_none(dataset, listed, classes, groups)
        _refuse_duplicates(dataset, listed)
        kept = {_DIGEST: digest, _LEFT_OUT: json.dumps([group._asdict() for group in groups])}
        schema = IMAGES.schema.with_metadata(kept)
        names, counted = sorted(classes), None
        if dataset.several:
            counted = _write_image_classes(store, dataset, listed, names)
        tables = _with_class_ids(dataset, listed, names)
        rows = parquet.write(store, _path(dataset.name), tables, schema)
    pa.default_memory_pool().release_unused()  # which Arrow would keep, for some millions of images
    warnings = (*left_out.warnings(groups), *labels.alike(classes))
    expected = layouts.expected(dataset)
    return Indexed(dataset.name, rows, len(classes), expected, tuple(groups), warnings, counted)


def _refuse_none(
    dataset: Dataset, listed: Path, classes: Collection[str], groups: Collection[Group]
) -> None:
    if classes:
        return
    if pq.read_metadata(listed).num_rows:
        raise DatasetError(f"dataset {dataset.name}: no image has a label at {dataset.location}")
    text = left_out.summary(groups)
    end = f"; left out: {text}" if text else ""
    raise DatasetError(f"dataset {dataset.name}: no image found at {dataset.location}{end}")


def images(store: Store, dataset: str) -> pa.Table:
    """All rows, each column in one piece, because rows are copied from it a few at a time."""
    columns = (_column(store, dataset, name).combine_chunks() for name in IMAGES.schema.names)
    return pa.table(list(columns), schema=IMAGES.schema)


def image_ids(store: Store, dataset: str) -> pa.ChunkedArray:
    """The ids of all rows, in the order of :func:`images`."""
    return _column(store, dataset, "image_id")


def _column(store: Store, dataset: str, name: str) -> pa.ChunkedArray:
    return parquet.read(store, IMAGES, dataset, columns=[name])[name]


def digest(store: Store, dataset: str) -> str:
    """The digest of the ids, versions and classes of all images, from the footer of the table."""
    return _footer(store, dataset).get(_DIGEST, b"").decode()


def left_out_of(store: Store, dataset: str) -> list[Group]:
    """What the index did not take below the dataset's path; empty where it was never indexed."""
    if not store.exists(_path(dataset)):
        return []
    return [Group(**group) for group in json.loads(_footer(store, dataset).get(_LEFT_OUT, b"[]"))]


def _footer(store: Store, dataset: str) -> dict[bytes, bytes]:
    return parquet.schema(store, _path(dataset)).metadata or {}


def _path(dataset: str, table: Table = IMAGES) -> str:
    return table.part("part-0", dataset)


def image_id(dataset: str, path: str) -> str:
    """128 bits of BLAKE2b over the dataset's name and the image's path below its root, in hex."""
    return hashlib.blake2b(f"{dataset}\0{path}".encode(), digest_size=16).hexdigest()


def _collect(dataset: Dataset, target: Path, not_taken: LeftOut) -> tuple[set[str], str]:
    """Write the listing. Returns class names, and a digest of what sets images apart."""
    where = f"dataset {dataset.name}"
    classes: set[str] = set()
    digest = hashlib.blake2b(digest_size=16)
    schema = listing.LISTING.append(pa.field("image_id", pa.string(), nullable=False))
    with pq.ParquetWriter(target, schema) as writer:
        for table in _listed(dataset, not_taken):
            labels.refuse_unusable(where, table)
            ids = [image_id(dataset.name, path) for path in table["path"].to_pylist()]
            writer.write_table(table.append_column(schema.field("image_id"), [ids]))
            classes.update(_names(dataset, table))
            for values in (ids, table["version"].to_pylist(), table["class_name"].to_pylist()):
                digest.update("\0".join([*values, ""]).encode())
    return classes, digest.hexdigest()


def _names(dataset: Dataset, table: pa.Table) -> Iterator[str]:
    """The names of classes in a part of the listing."""
    for text in pc.unique(table["class_name"]).to_pylist():
        yield from several.names_of(text) if dataset.several else (text,)


def _listed(dataset: Dataset, not_taken: LeftOut) -> Iterator[pa.Table]:
    if isinstance(dataset, ImageDataset):
        return layouts.images(dataset, not_taken)
    return readymade.listing(readymade.source(dataset, not_taken))


def _refuse_duplicates(dataset: Dataset, listed: Path) -> None:
    for column in ("path", "uri"):  # several paths may lead to one file
        names = pq.read_table(listed, columns=[column])[column]
        if pc.count_distinct(names).as_py() == len(names):
            continue
        counts = pa.Table.from_struct_array(pc.value_counts(names))
        repeated = counts.filter(pc.greater(counts["counts"], 1))["values"]
        raise DatasetError(
            f"dataset {dataset.name}: {dataset.location} must name every image "
            f"once, got {len(repeated)} repeated, first {repeated[0].as_py()}"
        )


def _batches(listed: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(listed) as file:
        for batch in file.iter_batches(batch_size=listing.BATCH):
            yield pa.Table.from_batches([batch])


def _with_class_ids(dataset: Dataset, listed: Path, classes: list[str]) -> Iterator[pa.Table]:
    names = pa.array(classes, pa.string())
    for table in _batches(listed):
        if dataset.several:
            ids = pa.repeat(pa.scalar(SEVERAL, pa.int32()), len(table))
        else:
            ids = pc.index_in(table["class_name"], value_set=names)
        yield table.append_column("class_id", ids).select(IMAGES.schema.names)


def _write_image_classes(
    store: Store, dataset: Dataset, listed: Path, classes: list[str]
) -> Labels:
    """Write the part of ``image_classes``, and count."""
    names, found = pa.array(classes, pa.string()), Counter[bool]()

    def tables() -> Iterator[pa.Table]:
        for table in _batches(listed):
            lists = [several.names_of(text) for text in table["class_name"].to_pylist()]
            found.update(bool(own) for own in lists)
            numbers = [row for row, own in enumerate(lists) for _ in own]
            flat = pa.array([name for own in lists for name in own], pa.string())
            columns = {
                "image_id": table["image_id"].take(pa.array(numbers, pa.int64())),
                "class_id": pc.index_in(flat, value_set=names),
                "class_name": flat,
            }
            yield pa.table(columns)

    path = _path(dataset.name, IMAGE_CLASSES)
    n = parquet.write(store, path, tables(), IMAGE_CLASSES.schema)
    return Labels(n, found[False])
