"""Parquet files with images in them: names from the metadata, rows read by row group."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.datasets.layouts import huggingface
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.images import decoding as images
from tests.archives import dataset, jpeg, put, refusal, rows
from tests.listed import left_out

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ["tench, Tinca tinca", "a b", "Ω/x"]


def metadata(names: list[str]) -> dict[bytes, bytes]:
    """What ``datasets`` writes beside the schema."""
    label = {"names": names, "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, "label": label}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def pictures(n: int, seed: int = 0) -> pa.Array:
    values = [{"bytes": jpeg(seed + i), "path": f"{i}.jpg"} for i in range(n)]
    return pa.array(values, STRUCT)


def save(
    path: Path, labels: pa.Array | list[object], names: list[str] | None = None, seed: int = 0,
    group: int = 2, image: pa.Array | None = None,
) -> None:  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pictures(len(labels), seed) if image is None else image
    table = pa.table({"image": image, "label": labels})
    if names is not None:
        table = table.replace_schema_metadata(metadata(names))
    pq.write_table(table, path, row_group_size=group)


def pairs(path: Path, split: str | None = None) -> dict[str, str]:
    return {row["path"]: row["class_name"] for row in rows(dataset("huggingface", path, split))}


def test_numbers_are_named_by_the_metadata(tmp_path: Path) -> None:
    save(tmp_path / "data/train-00000-of-00002.parquet", [2, 0, 0], NAMES)
    save(tmp_path / "data/train-00001-of-00002.parquet", [1], NAMES)
    put(tmp_path, "README.md", "._x.parquet", data=b"x")
    assert pairs(tmp_path) == {
        "data/train-00000-of-00002.parquet#0": NAMES[2],
        "data/train-00000-of-00002.parquet#1": NAMES[0],
        "data/train-00000-of-00002.parquet#2": NAMES[0],
        "data/train-00001-of-00002.parquet#0": NAMES[1],
    }


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pa.array(["a", "b c"]), ["a", "b c"]),
        (pa.array(["a", "b c"], pa.large_string()), ["a", "b c"]),
        (pa.array(["a", "b c"]).dictionary_encode(), ["a", "b c"]),
        (pa.array([3, 10], pa.int64()), ["3", "10"]),
        (pa.array([3, 10], pa.uint8()), ["3", "10"]),
    ],
)
def test_labels_without_names(tmp_path: Path, labels: pa.Array, names: list[str]) -> None:
    save(tmp_path / "a.parquet", labels)
    assert pairs(tmp_path) == {f"a.parquet#{row}": name for row, name in enumerate(names)}


def test_what_is_no_parquet_is_left_out(tmp_path: Path) -> None:
    save(tmp_path / "data/a.parquet", ["x"])
    put(tmp_path, "README.md", "data/1.jpg", "data/.x", "data/b.arrow", data=b"x")
    assert left_out(dataset("huggingface", tmp_path)) == [
        (None, "", "hidden", 1),
        (None, ".arrow", "not read", 1),
        (None, ".jpg", "not read", 1),
        (None, ".md", "not read", 1),
    ]
    assert left_out(dataset("huggingface", tmp_path / "data/a.parquet")) == []


def test_one_file_may_be_the_dataset(tmp_path: Path) -> None:
    save(tmp_path / "a.parquet", ["x"])
    assert pairs(tmp_path / "a.parquet") == {"a.parquet#0": "x"}


def test_rows_are_counted_through_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface, "BATCH", 2)
    save(tmp_path / "a.parquet", ["a", "b", "c", "d", "e"], group=3)
    assert pairs(tmp_path) == {f"a.parquet#{row}": name for row, name in enumerate("abcde")}
    save(tmp_path / "a.parquet", ["a", "b", "c", None], group=3)
    line = refusal(dataset("huggingface", tmp_path), DatasetError)
    assert line.endswith("row 3: label must be a class, got None")


def test_splits_are_told_by_file_names(tmp_path: Path) -> None:
    save(tmp_path / "data/train-00000-of-00001.parquet", [0], NAMES)
    save(tmp_path / "data/test-00000-of-00001.parquet", [-1], NAMES)  # -1: not labelled
    assert list(pairs(tmp_path, "train")) == ["data/train-00000-of-00001.parquet#0"]
    assert "which have train, test, got 'validation'" in refusal(
        dataset("huggingface", tmp_path, "validation"), ConfigError
    )
    assert left_out(dataset("huggingface", tmp_path, "train")) == [
        (None, ".parquet", "not in this split", 1)
    ]
    assert "row 0: label must be one of 0 .. 2, got -1" in refusal(
        dataset("huggingface", tmp_path), DatasetError
    )


KINDS: dict[str, Callable[[list[bytes]], pa.Array]] = {
    "struct": lambda data: pa.array([{"bytes": d, "path": None} for d in data], STRUCT),
    "struct, path first": lambda data: pa.array(
        [{"path": "x.jpg", "bytes": d} for d in data],
        pa.struct([("path", pa.string()), ("bytes", pa.large_binary())]),
    ),
    "binary": lambda data: pa.array(data, pa.binary()),
    "large binary": lambda data: pa.array(data, pa.large_binary()),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("group", [1, 3, 100])
def test_rows_are_read_as_they_were_written(tmp_path: Path, kind: str, group: int) -> None:
    contents = [jpeg(seed) for seed in range(7)]
    for number, part in enumerate((contents[:4], contents[4:])):
        path = tmp_path / f"{number} #1.parquet"
        save(path, ["x"] * len(part), group=group, image=KINDS[kind](part))
    found = rows(dataset("huggingface", tmp_path))
    for order in (found, found[::-1], found[::2] + found[1::2]):
        for row in order:
            number, position = row["path"].split(" #1.parquet#")
            assert images.read(row["uri"]) == contents[4 * int(number) + int(position)]


def test_files_on_other_file_systems(tmp_path: Path) -> None:
    save(tmp_path / "a.parquet", ["x", "y", "z"])
    url = f"memory://{tmp_path.name}/hf"
    fsspec.filesystem("memory").pipe_file(f"{url}/a.parquet", (tmp_path / "a.parquet").read_bytes())
    found = rows(dataset("huggingface", url))
    assert [row["uri"] for row in found] == [f"{url}/a.parquet#{row}" for row in range(3)]
    assert [images.read(row["uri"]) for row in found] == [jpeg(row) for row in range(3)]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"img": ["x"], "label": [1]}, "got img string, label int64"),
        ({"image": ["x.jpg"], "label": [1]}, "got image string, label int64"),
        ({"image": [{"path": "x"}], "label": [1]}, "must have the columns image (a struct with "),
        ({"image": [b"x"], "label": [0.5]}, "got image binary, label double"),
        ({"image": [b"x"]}, "and label (strings or integers), got image binary"),
    ],
)
def test_other_columns_are_refused(tmp_path: Path, columns: dict[str, object], words: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    line = refusal(dataset("huggingface", tmp_path), DatasetError)
    assert line.startswith(f"dataset set: {tmp_path}/a.parquet must have the columns image ")
    assert words in line


@pytest.mark.parametrize("column", ["image", "label"])
def test_a_column_that_comes_twice_is_refused(tmp_path: Path, column: str) -> None:
    table = pa.table([[b"x"], ["a"], [b"x"]], names=["image", "label", column])
    pq.write_table(table, tmp_path / "a.parquet")
    line = refusal(dataset("huggingface", tmp_path), DatasetError)
    assert line == f"dataset set: {tmp_path}/a.parquet must have one column {column}, got 2"


@pytest.mark.parametrize(
    ("labels", "names", "words"),
    [
        ([0, 1, 3], NAMES, "row 2: label must be one of 0 .. 2, got 3"),
        ([0, None], NAMES, "row 1: label must be one of 0 .. 2, got None"),
        ([0, None], None, "row 1: label must be a class, got None"),
        (["a", "b", None], NAMES, "row 2: label must be a class, got None"),
        ([0, 1], ["crane", "crane"], "names of classes must be different"),
    ],
)
def test_labels_that_are_refused(
    tmp_path: Path, labels: list[object], names: list[str] | None, words: str
) -> None:
    save(tmp_path / "a.parquet", labels, names)
    assert words in refusal(dataset("huggingface", tmp_path), DatasetError)


def test_files_must_agree_on_the_names(tmp_path: Path) -> None:
    save(tmp_path / "a.parquet", [0], NAMES)
    save(tmp_path / "b.parquet", [0], NAMES[::-1])
    line = refusal(dataset("huggingface", tmp_path), DatasetError)
    assert line.endswith("b.parquet must have the class names of the files before it")


@pytest.mark.parametrize("content", [b"", b"not Parquet"])
def test_what_is_no_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    line = refusal(dataset("huggingface", tmp_path), DatasetError)
    assert line.startswith(f"dataset set: {tmp_path}/a.parquet is not readable Parquet: ")


def test_broken_metadata_is_named(tmp_path: Path) -> None:
    table = pa.table({"image": [b"x"], "label": [0]})
    for value in (b"{", b"[]", b'{"info": 3}'):
        broken = table.replace_schema_metadata({b"huggingface": value})
        pq.write_table(broken, tmp_path / "a.parquet")
        line = refusal(dataset("huggingface", tmp_path), DatasetError)
        assert "metadata huggingface: must name features: " in line
