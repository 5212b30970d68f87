"""Ready-made embeddings as ``.npy`` arrays: every way CLIP tools name them, and what is refused."""

import os
import pickle
import tracemalloc
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

from kdsspark.config import EmbeddingsDataset
from kdsspark.datasets import readymade, readymade_npy
from kdsspark.datasets.readymade import Source
from kdsspark.errors import ConfigError, DatasetError, KdssparkError

Values = np.ndarray
CLIP = {
    "img_emb": ("img_emb/img_emb_{}.npy", 5),
    "text_emb": ("text_emb/text_emb_{}.npy", 3),
}


def values(rows: int, width: int, dtype: str = "<f4", seed: int = 0) -> Values:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(dtype)


def save(root: Path, name: str, array: Values) -> None:
    (root / name).parent.mkdir(exist_ok=True, parents=True)
    np.save(root / name, array)


def save_metadata(root: Path, name: str, rows: int) -> None:
    """As clip-retrieval writes it, with a column of classes."""
    (root / name).parent.mkdir(exist_ok=True, parents=True)
    columns = {
        "image_path": [f"{row:09d}" for row in range(rows)],
        "caption": ["a picture"] * rows,
        "class_name": [f"c{row % 3}" for row in range(rows)],
    }
    pq.write_table(pa.table(columns), root / name)


def save_clip(root: Path, sizes: list[int], dtype: str = "<f2") -> dict[str, list[Values]]:
    """The output of clip-retrieval in as many parts as ``sizes``: layer -> its arrays."""
    saved: dict[str, list[Values]] = {layer: [] for layer in CLIP}
    for part, rows in enumerate(sizes):
        save_metadata(root, f"metadata/metadata_{part}.parquet", rows)
        for layer, (name, width) in CLIP.items():
            saved[layer].append(values(rows, width, dtype, seed=width + 100 * part))
            save(root, name.format(part), saved[layer][part])
    return saved


def mine(root: Path | str) -> EmbeddingsDataset:
    return EmbeddingsDataset(name="mine", embeddings=str(root))


def read(source: Source, rows: int = 4) -> dict[str, Values]:
    """Layer -> all values, [rows, units], read through every file in pieces."""
    pieces = [piece for path in source.files for piece in readymade.batches(source, path, rows)]
    for piece in pieces:
        for name, array in piece.items():
            assert array.type.value_type == source.value_types[name]
            assert len(array) <= rows
    return {
        name: np.concatenate([np.array(piece[name].to_pylist()) for piece in pieces])
        for name in source.widths
    }


def index(root: Path | str) -> None:
    """What the index stage reads: no value."""
    list(readymade.listing(readymade.source(mine(root))))


def refusal(root: Path | str, kind: type[KdssparkError] = DatasetError) -> str:
    """What indexing says, after the name of the dataset, without the root."""
    with pytest.raises(KdssparkError) as caught:
        index(root)
    assert caught.type is kind
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert line.startswith("dataset mine: ")
    return line.removeprefix("dataset mine: ").replace(f"{root}/", "")


# -- what is read -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_values_are_those_of_numpy(tmp_path: Path, dtype: str, rows: int) -> None:
    saved = save_clip(tmp_path, [7, 4], dtype)
    source = readymade.source(mine(tmp_path))
    assert source.widths == {"img_emb": 5, "text_emb": 3}
    stored = pa.float64() if dtype.endswith("8") else pa.float32()
    assert source.value_types == {"img_emb": stored, "text_emb": stored}
    for layer, found in read(source, rows).items():
        expected = np.concatenate(saved[layer]).astype(np.float64)
        assert found.tolist() == expected.tolist()


def test_nan_and_infinity_are_values(tmp_path: Path) -> None:
    array = np.array([[np.nan, np.inf], [-np.inf, -0.0]], np.float16)
    save(tmp_path, "fc_0.npy", array)
    save_metadata(tmp_path, "metadata_0.parquet", 2)
    np.testing.assert_array_equal(read(readymade.source(mine(tmp_path)))["fc"], array)


def test_half_and_single_precision_may_be_mixed(tmp_path: Path) -> None:
    saved = save_clip(tmp_path, [2, 2])
    single = values(2, 5)
    save(tmp_path, "img_emb/img_emb_1.npy", single)
    found = read(readymade.source(mine(tmp_path)))["img_emb"]
    assert found.tolist() == [*saved["img_emb"][0].tolist(), *single.tolist()]


@pytest.mark.parametrize(
    ("metadata", "arrays", "layers"),
    [
        # clip-retrieval, for 100 partitions
        (
            ["metadata/metadata_00.parquet", "metadata/metadata_01.parquet"],
            ["img_emb/img_emb_00.npy", "img_emb/img_emb_01.npy"],
            ["img_emb"],
        ),
        # one folder
        (["metadata_0.parquet"], ["y_0.npy", "x_0.npy"], ["x", "y"]),
        (["vit-l/0.parquet"], ["vit-l/0.npy"], ["vit-l"]),
        (["part.7.pq"], ["img.7.npy", "sub/img.7.npy"], ["img", "sub"]),
        # arrays apart, named like their metadata or by numbers only
        (["meta/d.00.parquet", "meta/d.01.parquet"], ["emb/d.00.npy", "emb/d.01.npy"], ["emb"]),
        (["meta/3.parquet"], ["a/3.npy", "b/3.npy"], ["a", "b"]),
        (["meta/3.parquet"], ["emb/a_3.npy", "emb/b_3.npy"], ["a", "b"]),
        (["meta/0.parquet"], ["fc_0.npy"], ["fc"]),
        # one table
        (["labels.parquet"], ["resnet50.npy", "vit_b_32.npy"], ["resnet50", "vit_b_32"]),
    ],
)
def test_layers_are_named_by_folders_or_files(
    tmp_path: Path, metadata: list[str], arrays: list[str], layers: list[str]
) -> None:
    for name in metadata:
        save_metadata(tmp_path, name, 2)
    saved = {name: values(2, 3, seed=seed) for seed, name in enumerate(arrays)}
    for name, array in saved.items():
        save(tmp_path, name, array)
    source = readymade.source(mine(tmp_path))
    assert list(source.widths) == layers
    expected = [row for name in sorted(saved) for row in saved[name].tolist()]
    assert [row for array in read(source).values() for row in array.tolist()] == expected


def test_hidden_and_other_files_are_left_out(tmp_path: Path) -> None:
    save_clip(tmp_path, [2])
    for name in ("_temporary/img_emb_1.npy", ".img_emb_2.npy", "img_emb/_3.npy"):
        save(tmp_path, name, values(1, 1))
    (tmp_path / "notes.npz").touch()
    assert list(readymade.source(mine(tmp_path)).widths) == list(CLIP)


def test_lists_in_the_metadata_are_no_layers(tmp_path: Path) -> None:
    save_clip(tmp_path, [2])
    path = tmp_path / "metadata/metadata_0.parquet"
    pq.write_table(pq.read_table(path).append_column("box", [[[0.5, 1.0]] * 2]), path)
    assert list(readymade.source(mine(tmp_path)).widths) == list(CLIP)


def test_arrays_on_another_file_system(tmp_path: Path) -> None:
    saved = save_clip(tmp_path, [3, 2])
    url = f"memory://{tmp_path.name}/mine"
    fsspec.filesystem("memory").put(f"{tmp_path}/", url, recursive=True)
    source = readymade.source(mine(f"{url}/"))
    uris = [uri for table in readymade.listing(source) for uri in table["uri"].to_pylist()]
    assert uris[-1] == f"{url}/metadata/metadata_1.parquet#1"
    (piece,) = readymade.batches(source, uris[-1].rpartition("#")[0], 10)
    assert piece["img_emb"].to_pylist() == saved["img_emb"][1].tolist()


def test_a_source_travels_to_executors(tmp_path: Path) -> None:
    save_clip(tmp_path, [2])
    source = readymade.source(mine(tmp_path))
    assert pickle.loads(pickle.dumps(source)) == source


def test_a_large_array_is_read_a_few_rows_at_a_time(tmp_path: Path) -> None:
    rows, width = 100_000, 4096  # 1.6 GB of nothing, in a file with holes
    save_metadata(tmp_path, "metadata_0.parquet", rows)
    with (tmp_path / "fc_0.npy").open("wb") as file:
        header = {"shape": (rows, width), "fortran_order": False, "descr": "<f4"}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + rows * width * 4)
    source = readymade.source(mine(tmp_path))
    tracemalloc.start()
    piece = next(readymade.batches(source, source.files[0], 16))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(piece["fc"]) == 16
    assert peak < 8 * 16 * width * 4


# -- rows ---------------------------------------------------------------------------------------


def test_rows_are_named_by_their_metadata(tmp_path: Path) -> None:
    save_clip(tmp_path, [2, 1])
    table = pa.concat_tables(readymade.listing(readymade.source(mine(tmp_path))))
    names = [f"metadata/metadata_{name}" for name in ("0.parquet#0", "0.parquet#1", "1.parquet#0")]
    assert table["path"].to_pylist() == names
    assert table["uri"].to_pylist() == [f"{tmp_path}/{name}" for name in names]
    assert table["class_name"].to_pylist() == ["c0", "c1", "c0"]


def versions(root: Path) -> list[str]:
    tables = list(readymade.listing(readymade.source(mine(root))))
    return [version for table in tables for version in table["version"].to_pylist()]


@pytest.mark.parametrize("name", ["img_emb/img_emb_1.npy", "text_emb/text_emb_1.npy"])
def test_a_changed_array_changes_the_versions_of_its_rows(tmp_path: Path, name: str) -> None:
    save_clip(tmp_path, [2, 2])
    before = versions(tmp_path)
    assert versions(tmp_path) == before
    os.utime(tmp_path / name, ns=(0, 1))
    after = versions(tmp_path)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, False]


# -- what is refused ----------------------------------------------------------------------------

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
