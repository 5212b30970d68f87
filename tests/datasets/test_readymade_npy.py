"""Ready-made embeddings as ``.npy`` arrays: every way CLIP tools name them."""

import os
import pickle
import tracemalloc
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.datasets import readymade
from tests.datasets.arrays import (
    CLIP,
    mine,
    read,
    save,
    save_clip,
    save_metadata,
    values,
)

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
