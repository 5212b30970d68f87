"""Ready-made embeddings: every shape of list that Parquet has, and what is refused."""

import os
import pickle
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.config import EmbeddingsDataset
from kdsspark.config.types import RESERVED_LAYERS
from kdsspark.datasets import readymade, readymade_parquet
from kdsspark.datasets.left_out import HIDDEN, NOT_READ, LeftOut
from kdsspark.datasets.listing import LISTING
from kdsspark.datasets.readymade import Source
from kdsspark.errors import ConfigError, DatasetError, KdssparkError

Values = np.ndarray
FLOATS = {"half": np.float16, "single": np.float32, "double": np.float64}


def values(rows: int, width: int, kind: str = "single", seed: int = 0) -> Values:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(FLOATS[kind])


def lists(matrix: Values, shape: str = "list") -> pa.Array:
    flat = pa.array(matrix.ravel())
    if shape == "fixed":
        return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
    offsets = np.arange(0, matrix.size + 1, matrix.shape[1])
    if shape == "large":
        return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), flat)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)


def save(path: Path, columns: dict[str, Any], **options: Any) -> EmbeddingsDataset:
    path.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(pa.table(columns), path, **options)
    return EmbeddingsDataset(name="mine", embeddings=str(path), label="label")


def labels(n: int) -> list[str]:
    return [f"c{row % 3}" for row in range(n)]


def read(source: Source, rows: int = 4) -> dict[str, Values]:
    """Layer -> all values, [rows, units], read through every file in pieces."""
    pieces = [piece for path in source.files for piece in readymade.batches(source, path, rows)]
    for piece in pieces:
        for name, array in piece.items():
            assert pa.types.is_list(array.type)
            assert array.type.value_type == source.value_types[name]
            assert len(array) <= rows
            assert array.offsets[0].as_py() == 0
    return {
        name: np.concatenate([np.array(piece[name].to_pylist()) for piece in pieces])
        for name in source.widths
    }


def read_everything(dataset: EmbeddingsDataset) -> None:
    source = readymade.source(dataset)
    list(readymade.listing(source))
    read(source)


def refusal(dataset: EmbeddingsDataset, kind: type[KdssparkError] = DatasetError) -> str:
    """What reading everything says, after the name of the dataset."""
    with pytest.raises(KdssparkError) as caught:
        read_everything(dataset)
    assert caught.type is kind
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert line.startswith("dataset mine: ")
    return line.removeprefix("dataset mine: ")


# -- what is read -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("shape", ["list", "fixed", "large"])
def test_every_kind_of_list_comes_out_exactly(tmp_path: Path, shape: str, kind: str) -> None:
    wide, narrow = values(11, 5, kind), values(11, 1, kind, seed=1)
    columns = {"label": labels(11), "wide": lists(wide, shape), "narrow": lists(narrow, shape)}
    source = readymade.source(save(tmp_path / "e.parquet", columns, row_group_size=3))
    assert source.widths == {"wide": 5, "narrow": 1}
    stored = pa.float64() if kind == "double" else pa.float32()
    assert source.value_types == {"wide": stored, "narrow": stored}
    found = read(source)
    assert found["wide"].tolist() == wide.astype(np.float64).tolist()
    assert found["narrow"].tolist() == narrow.astype(np.float64).tolist()


@pytest.mark.parametrize("shape", ["list", "fixed", "large"])
def test_lists_that_start_in_the_middle_of_an_array_come_out_right(shape: str) -> None:
    matrix = values(9, 4)
    sliced = lists(matrix, shape).slice(3, 5)
    checked = readymade_parquet.checked("column fc", sliced, 4, pa.float32(), 0)
    assert checked.to_pylist() == matrix[3:8].tolist()
    assert checked.offsets.to_pylist() == [0, 4, 8, 12, 16, 20]


def test_pieces_that_cut_through_row_groups_come_out_right(tmp_path: Path) -> None:
    matrix = values(50, 3)
    columns = {"label": labels(50), "fc": lists(matrix, "fixed")}
    source = readymade.source(save(tmp_path / "e.parquet", columns, row_group_size=7))
    for rows in (1, 3, 10, 100):
        assert read(source, rows)["fc"].tolist() == matrix.tolist()


def test_nan_and_infinity_are_values(tmp_path: Path) -> None:
    matrix = np.array([[np.nan, np.inf], [-np.inf, -0.0]], np.float32)
    source = readymade.source(
        save(tmp_path / "e.parquet", {"label": ["a", "b"], "fc": lists(matrix)})
    )
    np.testing.assert_array_equal(read(source)["fc"], matrix)


def test_other_columns_are_left_out(tmp_path: Path) -> None:
    columns = {
        "path": ["1.jpg"], "ids": [[1, 2]], "score": [0.5], "names": [["a"]],
        "fc": lists(values(1, 3)), "label": ["a"],
    }  # fmt: skip
    assert readymade.source(save(tmp_path / "e.parquet", columns)).widths == {"fc": 3}


def test_layers_keep_the_order_of_the_first_file(tmp_path: Path) -> None:
    one, two = lists(values(2, 3)), lists(values(2, 2, seed=1))
    save(tmp_path / "d/a.parquet", {"label": ["x", "y"], "one": one, "two.b": two})
    save(tmp_path / "d/b.parquet", {"two.b": two, "one": one, "label": ["x", "y"]})
    source = readymade.source(
        EmbeddingsDataset(name="mine", embeddings=f"{tmp_path}/d", label="label")
    )
    assert list(source.widths) == ["one", "two.b"]
    assert read(source)["two.b"].tolist() == values(2, 2, seed=1).tolist() * 2


def test_half_and_single_precision_may_be_mixed(tmp_path: Path) -> None:
    half, single = values(2, 3, "half"), values(2, 3, "single")
    save(tmp_path / "d/a.parquet", {"label": ["x", "y"], "fc": lists(half)})
    save(tmp_path / "d/b.parquet", {"label": ["x", "y"], "fc": lists(single, "large")})
    source = readymade.source(
        EmbeddingsDataset(name="mine", embeddings=f"{tmp_path}/d", label="label")
    )
    assert read(source)["fc"].tolist() == [*half.astype(np.float32).tolist(), *single.tolist()]


def test_a_source_travels_to_executors(tmp_path: Path) -> None:
    dataset = save(tmp_path / "e.parquet", {"label": ["a"], "fc": lists(values(1, 3))})
    source = readymade.source(dataset)
    assert pickle.loads(pickle.dumps(source)) == source


# -- files --------------------------------------------------------------------------------------


def test_all_files_below_a_folder_but_for_hidden_and_empty_ones(tmp_path: Path) -> None:
    root = tmp_path / "_d.x"
    good = {"label": ["a"], "fc": lists(values(1, 3))}
    for name in ("b.parquet", "sub/a.PARQUET", "c.snappy.pq"):
        save(root / name, good)
    for name in ("_temporary/a.parquet", ".a.parquet", "sub/_a.parquet"):
        save(root / name, {"other": [1]})
    empty = pa.table(good).schema.empty_table()
    save(root / "a.parquet", {name: empty[name] for name in empty.column_names})
    (root / "_SUCCESS").touch()
    (root / "notes.txt").write_text("x")
    source = readymade.source(EmbeddingsDataset(name="mine", embeddings=str(root), label="label"))
    names = ("a.parquet", "b.parquet", "c.snappy.pq", "sub/a.PARQUET")
    assert source.files == tuple(f"{root}/{name}" for name in names)
    found = LeftOut()
    readymade.source(source.dataset, found)
    assert found.groups(()) == [(None, "", HIDDEN, 4), (None, ".txt", NOT_READ, 1)]
    assert len(read(source)["fc"]) == 3
    assert sum(len(table) for table in readymade.listing(source)) == 3


def test_a_file_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "d/a.parquet", {"label": ["a"], "fc": lists(values(1, 3))})
    Path(os.fsdecode(os.fsencode(tmp_path / "d") + b"/\xff.parquet")).touch()
    line = refusal(EmbeddingsDataset(name="mine", embeddings=f"{tmp_path}/d", label="label"))
    assert "cannot be read: file names must be valid UTF-8, got '" in line


def test_one_file_may_have_any_name(tmp_path: Path) -> None:
    dataset = save(tmp_path / "_embeddings::1", {"label": ["a"], "fc": lists(values(1, 3))})
    assert readymade.source(dataset).files == (dataset.embeddings,)


def test_embeddings_on_another_file_system(tmp_path: Path) -> None:
    save(tmp_path / "e.parquet", {"label": ["a", "b"], "fc": lists(values(2, 3))})
    url = f"memory://{tmp_path.name}/mine"
    data = (tmp_path / "e.parquet").read_bytes()
    fsspec.filesystem("memory").pipe_file(f"{url}/e.parquet", data)
    source = readymade.source(EmbeddingsDataset(name="mine", embeddings=f"{url}/", label="label"))
    (table,) = readymade.listing(source)
    assert table["uri"].to_pylist() == [f"{url}/e.parquet#0", f"{url}/e.parquet#1"]
    path = table["uri"][0].as_py().rpartition("#")[0]
    (piece,) = readymade.batches(source, path, 10)
    assert piece["fc"].to_pylist() == values(2, 3).tolist()


# -- rows ---------------------------------------------------------------------------------------


def test_rows_are_named_by_file_and_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readymade, "BATCH", 2)
    for name in ("b", "a"):
        save(tmp_path / f"d/{name}.parquet", {"label": labels(3), "fc": lists(values(3, 2))})
    source = readymade.source(
        EmbeddingsDataset(name="mine", embeddings=f"{tmp_path}/d", label="label")
    )
    tables = list(readymade.listing(source))
    assert [len(table) for table in tables] == [2, 1, 2, 1]
    table = pa.concat_tables(tables)
    assert table.schema == LISTING
    names = [f"{file}.parquet#{row}" for file in "ab" for row in range(3)]
    assert table["path"].to_pylist() == names
    assert table["uri"].to_pylist() == [f"{tmp_path}/d/{name}" for name in names]
    assert table["class_name"].to_pylist() == ["c0", "c1", "c2"] * 2
    assert len(set(table["version"].to_pylist())) <= 2


def test_rows_may_bring_their_own_ids(tmp_path: Path) -> None:
    columns = {"label": ["a", "b"], "image_id": [7, 8], "fc": lists(values(2, 2))}
    (table,) = readymade.listing(readymade.source(save(tmp_path / "e.parquet", columns)))
    assert table["path"].to_pylist() == ["7", "8"]
    assert table["uri"].to_pylist() == [f"{tmp_path}/e.parquet#0", f"{tmp_path}/e.parquet#1"]


@pytest.mark.parametrize(
    ("column", "names"),
    [
        (pa.array([3, 12], pa.int16()), ["3", "12"]),
        (pa.array([3, 12], pa.uint64()), ["3", "12"]),
        (pa.array(["a b", "é"], pa.large_string()), ["a b", "é"]),
        (pa.array(["a b", "é"], pa.string_view()), ["a b", "é"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
)
def test_labels_are_strings_or_integers(tmp_path: Path, column: pa.Array, names: list[str]) -> None:
    dataset = save(tmp_path / "e.parquet", {"label": column, "fc": lists(values(2, 2))})
    (table,) = readymade.listing(readymade.source(dataset))
    assert table["class_name"].to_pylist() == names


def test_labels_may_be_folders(tmp_path: Path) -> None:
    names = ["a b", "a%2Fb%3Dc", "café", "1+1", "007"]
    for name in names:
        save(tmp_path / f"d/split=x/label={name}/part-0.parquet", {"fc": lists(values(1, 2))})
    save(tmp_path / "d/whole.parquet", {"label": ["own"], "fc": lists(values(1, 2))})
    source = readymade.source(
        EmbeddingsDataset(name="mine", embeddings=f"{tmp_path}/d", label="label")
    )
    table = pa.concat_tables(readymade.listing(source))
    assert sorted(table["class_name"].to_pylist()) == [
        "007", "1+1", "a b", "a/b=c", "café", "own",
    ]  # fmt: skip
    first = "split=x/label=007/part-0.parquet#0"
    assert table["path"][0].as_py() == first
    assert table["uri"][0].as_py() == f"{tmp_path}/d/{first}"
    assert len(read(source)["fc"]) == 6


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([0.5] * 6), "column label: must be strings or integers, got double"),
        (pa.array([b"a"] * 6), "column label: must be strings or integers, got binary"),
        (pa.array(["a"] * 5 + [None]), "column label row 5: must not be null"),
        (pa.array([1] * 5 + [None]), "column label row 5: must not be null"),
    ],
)
def test_labels_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: pa.Array, words: str
) -> None:
    monkeypatch.setattr(readymade, "BATCH", 2)
    dataset = save(tmp_path / "e.parquet", {"label": column, "fc": lists(values(6, 2))})
    assert refusal(dataset) == f"{tmp_path}/e.parquet {words}"


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("label=__HIVE_DEFAULT_PARTITION__", "column label: must not be null"),
        ("other=a", "must have the label column label, got fc"),
        (
            "label=%FF",
            "is not readable Parquet: Partition segment was not valid UTF-8 "
            "after URL decoding: %FF",
        ),
    ],
)
def test_folders_of_labels_are_refused(tmp_path: Path, folder: str, words: str) -> None:
    save(tmp_path / f"d/{folder}/e.parquet", {"fc": lists(values(1, 2))})
    dataset = EmbeddingsDataset(name="mine", embeddings=f"{tmp_path}/d", label="label")
    kind = ConfigError if "label column" in words else DatasetError
    assert refusal(dataset, kind) == f"{tmp_path}/d/{folder}/e.parquet {words}"


@pytest.mark.parametrize("column", ["label", "image_id"])
def test_columns_of_one_name_are_refused(tmp_path: Path, column: str) -> None:
    names = ["label", "image_id", "fc", column]
    arrays = [pa.array(["a"]), pa.array(["1"]), lists(values(1, 2)), pa.array(["b"])]
    pq.write_table(pa.table(arrays, names=names), tmp_path / "e.parquet")
    dataset = EmbeddingsDataset(name="mine", embeddings=f"{tmp_path}/e.parquet", label="label")
    assert refusal(dataset) == f"{tmp_path}/e.parquet must have one column {column}, got 2"


def test_ids_are_refused(tmp_path: Path) -> None:
    columns = {"label": ["a", "b"], "image_id": ["7", None], "fc": lists(values(2, 2))}
    line = refusal(save(tmp_path / "e.parquet", columns))
    assert line == f"{tmp_path}/e.parquet column image_id row 1: must not be null"


RAGGED = [[1.0, 2.0]] * 7


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([*RAGGED, [1.0]], "row 7: must have 2 values, got 1"),
        ([*RAGGED, []], "row 7: must have 2 values, got 0"),
        ([*RAGGED, None], "row 7: must have 2 values, got null"),
        ([*RAGGED, [1.0, None]], "row 7: value 1 must not be null"),
        ([None, *RAGGED], "row 0: must be a list of values, got null"),
        ([[], *RAGGED], "row 0: must be a list of values, got an empty list"),
    ],
)
def test_rows_are_refused(tmp_path: Path, column: list[Any], words: str) -> None:
    array = pa.array(column, pa.list_(pa.float32()))
    dataset = save(tmp_path / "e.parquet", {"label": labels(8), "fc": array})
    assert refusal(dataset) == f"{tmp_path}/e.parquet column fc {words}"


def test_a_null_among_lists_of_fixed_size_is_refused(tmp_path: Path) -> None:
    for bad, words in (
        (None, "must have 2 values, got null"),
        ([1.0, None], "value 1 must not be null"),
    ):
        array = pa.array([*RAGGED, bad], pa.list_(pa.float32(), 2))
        dataset = save(tmp_path / "e.parquet", {"label": labels(8), "fc": array})
        assert f"{tmp_path}/e.parquet column fc row 7: {words}" in refusal(dataset)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"class": ["a"], "fc": [[1.0]]}, "must have the label column label, got class, fc"),
        (
            {"label": ["a"], "x": [1.0], "ids": [[1]]},
            "must have a column of fixed-length lists of floats, got label string, x double, "
            "ids list<element: int64>",
        ),
        *(
            (
                {"label": ["a"], name: [[1.0]]},
                f"list columns: names must not be those of columns, got '{name}'",
            )
            for name in [*sorted(RESERVED_LAYERS), "Dataset", "CLASS_ID"]
        ),
        (
            {"label": ["a"], "fc6": [[1.0]], "FC6": [[1.0]]},
            "list columns: names must differ by more than case, got 'fc6', 'FC6'",
        ),
    ],
)
def test_columns_are_refused(tmp_path: Path, columns: dict[str, Any], words: str) -> None:
    kind = ConfigError if "label column" in words else DatasetError
    assert refusal(save(tmp_path / "e.parquet", columns), kind) == f"{tmp_path}/e.parquet {words}"


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"fc": values(1, 3)}, "column fc row 0: must have 2 values, got 3"),
        ({"fc6": values(1, 2)}, "must have the layers fc float32, got fc6 float32"),
        (
            {"fc": values(1, 2), "fc6": values(1, 2)},
            "must have the layers fc float32, got fc float32, fc6 float32",
        ),
        ({"fc": values(1, 2, "double")}, "must have the layers fc float32, got fc float64"),
    ],
)
def test_files_that_differ_are_refused(
    tmp_path: Path, second: dict[str, Values], words: str
) -> None:
    save(tmp_path / "d/a.parquet", {"label": ["a"], "fc": lists(values(1, 2))})
    columns = {"label": ["a"], **{name: lists(matrix) for name, matrix in second.items()}}
    save(tmp_path / "d/b.parquet", columns)
    dataset = EmbeddingsDataset(name="mine", embeddings=f"{tmp_path}/d", label="label")
    assert refusal(dataset) == f"{tmp_path}/d/b.parquet {words}"


def test_layers_that_differ_are_told_when_indexing(tmp_path: Path) -> None:
    save(tmp_path / "d/a.parquet", {"label": ["a"], "fc": lists(values(1, 2))})
    save(tmp_path / "d/b.parquet", {"label": ["a"], "fc": pa.array([[1, 2]])})
    source = readymade.source(
        EmbeddingsDataset(name="mine", embeddings=f"{tmp_path}/d", label="label")
    )
    words = (
        r"b\.parquet must have a column of fixed-length lists of floats, got .* fc list<.*int64>"
    )
    with pytest.raises(DatasetError, match=words):
        list(readymade.listing(source))


def test_files_without_rows_may_have_any_columns(tmp_path: Path) -> None:
    for name in ("a", "c"):
        save(tmp_path / f"d/{name}.parquet", {"x": pa.array([], pa.null())})
    dataset = save(tmp_path / "d/b.parquet", {"label": ["a"], "fc": lists(values(1, 2))})
    dataset = dataset.model_copy(update={"embeddings": f"{tmp_path}/d"})
    source = readymade.source(dataset)
    assert sum(len(table) for table in readymade.listing(source)) == 1


def test_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    empty = pa.table({"label": pa.array([], pa.string()), "fc": lists(values(0, 2))})
    save(path, {name: empty[name] for name in empty.column_names})
    dataset = EmbeddingsDataset(name="mine", embeddings=str(path), label="label")
    assert refusal(dataset) == f"{path} has no rows"
    path.write_bytes(b"")
    assert refusal(dataset).startswith(f"{path} is not readable Parquet: ")
    path.write_text("label,fc\na,1\n")
    assert refusal(dataset).startswith(f"{path} is not readable Parquet: ")


def test_a_damaged_page_is_told_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    columns = {"label": labels(5000), "fc": lists(values(5000, 4))}
    dataset = save(path, columns, use_dictionary=False, compression="zstd")
    data = bytearray(path.read_bytes())
    data[200 : len(data) // 2] = b"\xff" * (len(data) // 2 - 200)
    path.write_bytes(data)
    assert refusal(dataset).startswith(f"{path} is not readable Parquet: ")


@pytest.mark.parametrize(
    ("name", "found"), [("absent", "none"), ("empty", "none"), ("others", "1 hidden, 1 .txt")]
)
def test_no_file_is_refused(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "notes.txt").touch()
    (tmp_path / "others" / "_a.parquet").touch()
    where = tmp_path / name
    line = refusal(EmbeddingsDataset(name="mine", embeddings=str(where)), ConfigError)
    expected = f"embeddings {where} must be a Parquet file or a folder of some, found {found}"
    assert line == expected


def test_an_unknown_file_system_is_named() -> None:
    line = refusal(EmbeddingsDataset(name="mine", embeddings="nosuch://x"), ConfigError)
    assert line.startswith("embeddings nosuch://x cannot be read: Protocol not known")
