"""However a dataset's place is spelled, its index is the same: ids, locations and versions."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from kdsspark.config import Dataset, EmbeddingsDataset, ImageDataset
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages import index
from kdsspark.stages.embed.shards import sharding
from kdsspark.tables import IMAGES
from tests.studies import write_embeddings

SPELLINGS = [
    "{name}",
    "{name}/",
    "./{name}",
    "./{name}/.",
    "data/../{name}",
    "{here}/{name}",
    "{here}//{name}",
    "file://{here}/{name}",
    "file:{here}/{name}",
]
PLACES = ["data", "list.csv", "shards", "mine"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a folder of images, a manifest, tar shards and embeddings."""
    folder = tmp_path / "here"
    for name in ("a/1.jpg", "b/2.jpg"):
        (folder / "data" / name).parent.mkdir(parents=True)
        (folder / "data" / name).write_bytes(b"x")
    rows = f"data/a/1.jpg,a\n{folder}/data/b/2.jpg,b\n"  # relative, and absolute
    (folder / "list.csv").write_text(f"path,label\n{rows}")
    (folder / "x.cls").write_text("a")
    (folder / "shards").mkdir()
    with tarfile.open(folder / "shards" / "0.tar", "w") as tar:
        tar.add(folder / "data" / "a" / "1.jpg", "x.jpg")
        tar.add(folder / "x.cls", "x.cls")
    values = np.zeros((4, 2), np.float32)
    write_embeddings(folder / "mine" / "x.parquet", {"l": values}, list("abab"))
    monkeypatch.chdir(folder)
    return folder


def dataset(name: str, place: str) -> Dataset:
    if name == "mine":
        return EmbeddingsDataset(name="set", embeddings=place)
    layout = {"data": "folder", "list.csv": "manifest", "shards": "webdataset"}[name]
    return ImageDataset(name="set", path=place, layout=layout)


def indexed(output: Output, made: Dataset) -> tuple[pa.Table, str]:
    index.write_index(output, made)
    return parquet.read(output, IMAGES, "set"), index.digest(output, "set")


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_index_is_the_same(here: Path, tmp_path: Path, name: str, spelling: str) -> None:
    plain = indexed(Output.at(str(tmp_path / "plain")), dataset(name, str(here / name)))
    other = dataset(name, spelling.format(here=here, name=name))
    rows, digest = indexed(Output.at(str(tmp_path / "other")), other)
    assert len(rows) == {"data": 2, "list.csv": 2, "shards": 1, "mine": 4}[name]
    assert rows.equals(plain[0])
    assert digest == plain[1]
    if name == "mine":  # whose shards are named by where their files are
        assert sharding.assign_files(rows).names == sharding.assign_files(plain[0]).names


@pytest.mark.parametrize("listed", ["data/a/1.jpg", "{here}/data/a/1.jpg"])
def test_an_image_of_a_manifest_has_one_id(here: Path, tmp_path: Path, listed: str) -> None:
    (here / "list.csv").write_text(f"path,label\n{listed.format(here=here)},a\n")
    rows, _ = indexed(Output.at(str(tmp_path / "out")), dataset("list.csv", "data/../list.csv"))
    assert rows["image_id"].to_pylist() == [index.image_id("set", "data/a/1.jpg")]
    assert rows["uri"].to_pylist() == [f"{here}/data/a/1.jpg"]
