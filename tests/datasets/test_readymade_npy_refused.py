"""Arrays that are refused, each with a line that says why."""

import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsspark.datasets import readymade, readymade_npy
from kdsspark.errors import ConfigError, DatasetError
from tests.datasets.arrays import Values, mine, refusal, save, save_clip, save_metadata, values

WHOLE = values(4, 5, "<f2")


HEADER = 128  # bytes


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def appended(path: Path) -> None:
    with path.open("ab") as file:
        np.save(file, WHOLE)


def version_3(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"NUMPY\1", b"NUMPY\3", 1))


def saved_as(array: Values) -> Callable[[Path], None]:
    return lambda path: np.save(path, array)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (saved_as(WHOLE.astype("i1")), "must hold float16, float32, float64, got int8"),
        (saved_as(WHOLE.astype("c8")), "must hold float16, float32, float64, got complex64"),
        (saved_as(WHOLE.view("V2")), "must hold float16, float32, float64, got void16"),
        (saved_as(WHOLE[:, 0]), "must have the shape [rows, width], got [4]"),
        (saved_as(WHOLE[None]), "must have the shape [rows, width], got [1, 4, 5]"),
        (saved_as(WHOLE[:0]), "must have the shape [rows, width], got [0, 5]"),
        (saved_as(WHOLE[:, :0]), "must have the shape [rows, width], got [4, 0]"),
        (
            saved_as(np.asfortranarray(WHOLE)),
            "must be stored row by row (C order), got Fortran order",
        ),
        (
            saved_as(WHOLE[:3]),
            "must have 4 rows as metadata/metadata_1.parquet has, got 3",
        ),
        (saved_as(WHOLE[:, :4]), "must have 5 values a row, got 4"),
        (saved_as(WHOLE.astype("<f8")), "must hold float16 or float32, got float64"),
        (truncated, f"must have {HEADER + 40} bytes for 4 x 5 float16, got {HEADER + 37}"),
        (appended, f"must have {HEADER + 40} bytes for 4 x 5 float16, got {2 * HEADER + 80}"),
        (
            version_3,
            "is not a readable .npy file: format version must be 1.0 or 2.0, got 3.0",
        ),
        (
            lambda path: path.write_bytes(b""),
            "is not a readable .npy file: EOF: reading magic string, expected 8 bytes got 0",
        ),
        (
            lambda path: path.write_bytes(path.read_bytes()[:20]),
            "is not a readable .npy file: EOF: reading array header, expected 118 bytes got 10",
        ),
    ],
)
def test_arrays_are_refused(tmp_path: Path, change: Callable[[Path], None], words: str) -> None:
    save_clip(tmp_path, [4, 4])
    change(tmp_path / "img_emb/img_emb_1.npy")
    assert refusal(tmp_path) == f"img_emb/img_emb_1.npy {words}"


def test_float64_arrays_stay_so_in_all_files(tmp_path: Path) -> None:
    save_clip(tmp_path, [2, 2], "<f8")
    save(tmp_path, "img_emb/img_emb_1.npy", values(2, 5))
    assert refusal(tmp_path) == "img_emb/img_emb_1.npy must hold float64, got float32"


def test_an_executor_refuses_an_array_that_changed_since(tmp_path: Path) -> None:
    save_clip(tmp_path, [4])
    source = readymade.source(mine(tmp_path))
    save(tmp_path, "img_emb/img_emb_0.npy", values(3, 5))
    with pytest.raises(DatasetError, match=r"img_emb_0\.npy must have 4 rows .* got 3"):
        list(readymade.batches(source, source.files[0], 10))
    (tmp_path / "img_emb/img_emb_0.npy").unlink()
    with pytest.raises(DatasetError, match=r"img_emb_0\.npy is not a readable \.npy file"):
        list(readymade.batches(source, source.files[0], 10))


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    save_clip(tmp_path, [1])
    bomb = np.array([[Bomb(tmp_path / "exploded")]], dtype=object)
    np.save(tmp_path / "img_emb/img_emb_0.npy", bomb, allow_pickle=True)
    words = "must hold float16, float32, float64, got object"
    assert refusal(tmp_path) == f"img_emb/img_emb_0.npy {words}"
    (tmp_path / "img_emb/img_emb_0.npy").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert "img_emb/img_emb_0.npy is not a readable .npy file: " in refusal(tmp_path)
    assert not (tmp_path / "exploded").exists()


@given(st.integers(0, HEADER - 1), st.binary(min_size=1, max_size=6))
@settings(max_examples=200)
def test_a_damaged_header_is_refused_or_harmless(start: int, damage: bytes) -> None:
    fs = fsspec.filesystem("memory")
    with fs.open("/damaged.npy", "wb") as file:
        np.save(file, WHOLE)
    data = bytearray(fs.cat_file("/damaged.npy"))
    data[start : start + len(damage)] = damage
    fs.pipe_file("/damaged.npy", bytes(data))
    with (
        suppress(DatasetError),
        readymade_npy.opened(fs, "/damaged.npy", "damaged") as array,
    ):
        assert array.read(0, array.rows).shape == (array.rows, array.width)


def without(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            without("img_emb/img_emb_1.npy"),
            "metadata/metadata_1.parquet must have the array img_emb/img_emb_1.npy, got none",
        ),
        (
            without("metadata/metadata_1.parquet"),
            "img_emb/img_emb_1.npy must have Parquet metadata of number 1, got none",
        ),
        (
            lambda root: save_metadata(root, "metadata/other_1.parquet", 2),
            "metadata must have different numbers, got metadata/metadata_1.parquet, "
            "metadata/other_1.parquet",
        ),
        (
            lambda root: save(root, "img_emb/mean.npy", WHOLE),
            "img_emb/mean.npy must have Parquet metadata of no number, got none",
        ),
        (
            lambda root: [save(root, f"dataset/x_{part}.npy", WHOLE) for part in (0, 1)],
            "layers of .npy files: names must not be those of columns, got 'dataset'",
        ),
        (
            lambda root: [save(root, f"more/img_emb/{part}.npy", WHOLE) for part in (0, 1)],
            "layers of .npy files: names must differ by more than case, got 'img_emb', 'img_emb'",
        ),
        (
            lambda root: save_metadata(root, "metadata/metadata_0.parquet", 0),
            "img_emb/img_emb_0.npy must have 0 rows as metadata/metadata_0.parquet has, got 2",
        ),
        (
            lambda root: pq.write_table(
                pa.table({"x": [1, 2]}), root / "metadata/metadata_0.parquet"
            ),
            "metadata/metadata_0.parquet must have the label column class_name, got x",
        ),
        (
            lambda root: (root / "metadata/metadata_1.parquet").write_bytes(b""),
            "metadata/metadata_1.parquet is not readable Parquet: Parquet file size is 0 bytes",
        ),
    ],
)
def test_folders_are_refused(tmp_path: Path, change: Callable[[Path], Any], words: str) -> None:
    save_clip(tmp_path, [2, 2])
    change(tmp_path)
    kind = ConfigError if "label column" in words else DatasetError
    assert refusal(tmp_path, kind) == words


@pytest.mark.parametrize("below", ["", "/img_emb_0.npy"])
def test_arrays_without_metadata_are_refused(tmp_path: Path, below: str) -> None:
    save(tmp_path, "img_emb_0.npy", WHOLE)
    where = f"{tmp_path}{below}"
    assert refusal(where, ConfigError) == (
        f"embeddings {where} must be a Parquet file or a folder of some, "
        f"found .npy without Parquet metadata"
    )
