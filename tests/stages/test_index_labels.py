"""Labels from every source: empty ones are refused, similar ones kept apart."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.config import Dataset, EmbeddingsDataset, ImageDataset
from kdsspark.output.output import Output
from kdsspark.stages.index import write_index
from tests.stages.indexes import refusal, touch


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output.at(str(tmp_path / "out"))


def folder(root: Path, labels: list[str]) -> Dataset:
    return touch(root, *(f"{label}/{n}.jpg" for n, label in enumerate(labels)))


def csv_manifest(root: Path, labels: list[str]) -> Dataset:
    lines = "".join(f'{n}.jpg,"{label}"\n' for n, label in enumerate(labels))
    (root / "list.csv").write_text("path,label\n" + lines)
    return ImageDataset(name="birds", path=f"{root}/list.csv", layout="manifest")


def parquet_manifest(root: Path, labels: list[str | None]) -> Dataset:
    paths = [f"{n}.jpg" for n in range(len(labels))]
    pq.write_table(pa.table({"path": paths, "label": labels}), root / "list.parquet")
    return ImageDataset(name="birds", path=f"{root}/list.parquet", layout="manifest")


def huggingface(root: Path, labels: list[str | None]) -> Dataset:
    pq.write_table(pa.table({"image": [b"x"] * len(labels), "label": labels}), root / "h.parquet")
    return ImageDataset(name="birds", path=str(root), layout="huggingface")


def named_huggingface(root: Path, labels: list[str | None]) -> Dataset:
    """Numbers, whose names are in the metadata."""
    features = {"label": {"names": labels, "_type": "ClassLabel"}}
    table = pa.table({"image": [b"x"] * len(labels), "label": range(len(labels))})
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), root / "h.parquet")
    return ImageDataset(name="birds", path=str(root), layout="huggingface")


def shard(root: Path, suffix: str, texts: list[str]) -> Dataset:
    with tarfile.open(root / "s.tar", "w") as tar:
        for n, text in enumerate(texts):
            for name, data in ((f"{n}.jpg", b"x"), (f"{n}.{suffix}", text.encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return ImageDataset(name="birds", path=str(root), layout="webdataset")


def cls(root: Path, labels: list[str]) -> Dataset:
    return shard(root, "cls", labels)


def json_of_shard(root: Path, labels: list[str | None]) -> Dataset:
    return shard(root, "json", [json.dumps({"label": label}) for label in labels])


def listed(root: Path, labels: list[str]) -> Dataset:
    """A published dataset, whose classes are folders."""
    top = root / "101_ObjectCategories"
    touch(top, *(f"{label}/{n}.jpg" for n, label in enumerate(labels)))
    return ImageDataset(name="birds", path=str(root), layout="caltech101")


def embeddings(root: Path, labels: list[str | None]) -> Dataset:
    values = pa.array([[0.5]] * len(labels), pa.list_(pa.float32(), 1))
    pq.write_table(pa.table({"label": labels, "fc": values}), root / "e.parquet")
    return EmbeddingsDataset(name="birds", embeddings=str(root), label="label")


def hive(root: Path, labels: list[str]) -> Dataset:
    """Embeddings whose labels are folders, as Spark's ``partitionBy`` writes them."""
    for n, label in enumerate(labels):
        values = pa.array([[0.5]], pa.list_(pa.float32(), 1))
        (root / f"label={quote(label)}").mkdir()
        pq.write_table(pa.table({"fc": values}), root / f"label={quote(label)}/{n}.parquet")
    return EmbeddingsDataset(name="birds", embeddings=str(root), label="label")


TEXTS = (folder, csv_manifest, cls, listed, hive)


NULLABLE = (parquet_manifest, huggingface, named_huggingface, json_of_shard, embeddings)


NO_FOLDER = (folder, listed)  # no folder has an empty name


@pytest.mark.parametrize(
    ("write", "label"),
    [
        *((write, None) for write in NULLABLE),
        *((write, "") for write in TEXTS + NULLABLE if write not in NO_FOLDER),
        *((write, label) for write in TEXTS + NULLABLE for label in (" ", "\t \u00a0", "\u3000")),
    ],
)
def test_a_label_that_is_empty_is_refused_by_every_source(
    output: Output, tmp_path: Path, write: Callable[[Path, list[Any]], Dataset], label: str | None
) -> None:
    (tmp_path / "data").mkdir()
    line = refusal(output, write(tmp_path / "data", ["a", label, "b"]))
    assert "label" in line or "class" in line
    assert any(word in line for word in ("must not be", "must have", "must be"))
    assert len(line.splitlines()) == 1
    assert output.files("") == []


@pytest.mark.parametrize("write", TEXTS + NULLABLE)
def test_names_that_look_alike_are_kept_apart_and_named(
    output: Output, tmp_path: Path, write: Callable[[Path, list[Any]], Dataset]
) -> None:
    (tmp_path / "data").mkdir()
    labels = ["cat", "Cat", "caf\u00e9", "cafe\u0301"]
    if write is not cls:  # whose space is that of the text file
        labels.append(" cat")
    indexed = write_index(output, write(tmp_path / "data", labels))
    assert indexed.n_classes == len(labels)
    (warning,) = indexed.warnings
    assert warning.startswith("classes whose names differ only in spelling are kept apart: ")
    assert "'cafe\\u0301' and 'caf\\xe9' (Unicode form)" in warning
    assert ("' cat'" in warning) == (" cat" in labels)
    assert str(indexed).endswith(f"\nwarning: dataset birds: {warning}")
