"""The ``images`` table of one dataset: every image with its class, in one file (driver)."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kdsspark.config import Config, Dataset
from kdsspark.datasets import layouts, listing, readymade
from kdsspark.datasets.layouts.layout import Published
from kdsspark.engine.stage import Context, Standing
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.store import Store
from kdsspark.stages import INDEX
from kdsspark.tables import IMAGES
from kdsspark.terminal import Progress

_DIGEST: Final = b"kdsspark.digest"  # of the images, in the footer of the table


@dataclass(frozen=True)
class Indexed:
    """What an index run found in one dataset."""

    dataset: str
    n_images: int
    n_classes: int
    published: Published | None = None  # what it should have found

    def __str__(self) -> str:
        """One line for people; a difference from the published size is shown."""
        found = f"dataset {self.dataset}: {self.n_images} images in {self.n_classes} classes"
        expected = self.published
        if expected is None:
            return found
        if (self.n_images, self.n_classes) == (expected.images, expected.classes):
            return f"{found}, as published"
        note = f", {expected.note}" if expected.note else ""
        return f"{found}; published: {expected.images} in {expected.classes}{note}"


@dataclass(frozen=True)
class IndexPlan:
    """What the index holds of a dataset; only listing its folder tells what it lacks."""

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
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "listed.parquet"
        classes, digest = _collect(dataset, listed)
        if not classes:
            raise DatasetError(
                f"dataset {dataset.name}: no image found at {dataset.path or dataset.embeddings}"
            )
        _refuse_duplicates(dataset, listed)
        schema = IMAGES.schema.with_metadata({_DIGEST: digest})
        tables = _with_class_ids(listed, sorted(classes))
        rows = parquet.write(store, _path(dataset.name), tables, schema)
    pa.default_memory_pool().release_unused()  # which Arrow would keep, for some millions of images
    return Indexed(dataset.name, rows, len(classes), layouts.expected(dataset))


def images(store: Store, dataset: str) -> pa.Table:
    """All rows, each column in one piece: much is copied from it, some rows at a time."""
    columns = (_column(store, dataset, name).combine_chunks() for name in IMAGES.schema.names)
    return pa.table(list(columns), schema=IMAGES.schema)


def image_ids(store: Store, dataset: str) -> pa.ChunkedArray:
    """Of all rows, in the order of :func:`images`."""
    return _column(store, dataset, "image_id")


def _column(store: Store, dataset: str, name: str) -> pa.ChunkedArray:
    return parquet.read(store, IMAGES, dataset, columns=[name])[name]


def digest(store: Store, dataset: str) -> str:
    """Of the ids, versions and classes of all images, as the footer of the table has it."""
    metadata = parquet.schema(store, _path(dataset)).metadata or {}
    return str(metadata.get(_DIGEST, b"").decode())


def _path(dataset: str) -> str:
    return IMAGES.part("part-0", dataset)


def image_id(dataset: str, path: str) -> str:
    """128 bits of BLAKE2b over the dataset's name and the image's path below its root, in hex."""
    return hashlib.blake2b(f"{dataset}\0{path}".encode(), digest_size=16).hexdigest()


def _collect(dataset: Dataset, target: Path) -> tuple[set[str], str]:
    """Write the listing; the names of the classes, and a digest of what images are told by."""
    if dataset.ready_made:
        tables = readymade.listing(readymade.source(dataset))
    else:
        tables = layouts.images(dataset)
    classes: set[str] = set()
    told = hashlib.blake2b(digest_size=16)
    schema = listing.LISTING.append(pa.field("image_id", pa.string(), nullable=False))
    with pq.ParquetWriter(target, schema) as writer:
        for table in tables:
            ids = [image_id(dataset.name, path) for path in table["path"].to_pylist()]
            writer.write_table(table.append_column(schema.field("image_id"), [ids]))
            classes.update(pc.unique(table["class_name"]).to_pylist())
            for values in (ids, table["version"].to_pylist(), table["class_name"].to_pylist()):
                told.update("\0".join([*values, ""]).encode())
    return classes, told.hexdigest()


def _refuse_duplicates(dataset: Dataset, listed: Path) -> None:
    for column in ("path", "uri"):  # one file may be given by several paths
        names = pq.read_table(listed, columns=[column])[column]
        if pc.count_distinct(names).as_py() == len(names):
            continue
        counts = pa.Table.from_struct_array(pc.value_counts(names))
        repeated = counts.filter(pc.greater(counts["counts"], 1))["values"]
        raise DatasetError(
            f"dataset {dataset.name}: {dataset.path or dataset.embeddings} must name every image "
            f"once, got {len(repeated)} repeated, first {repeated[0].as_py()}"
        )


def _with_class_ids(listed: Path, classes: list[str]) -> Iterator[pa.Table]:
    names = pa.array(classes, pa.string())
    with pq.ParquetFile(listed) as file:
        for batch in file.iter_batches(batch_size=listing.BATCH):
            table = pa.Table.from_batches([batch])
            ids = pc.index_in(table["class_name"], value_set=names)
            yield table.append_column("class_id", ids).select(IMAGES.schema.names)
