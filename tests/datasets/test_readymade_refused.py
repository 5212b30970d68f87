"""Ready-made embeddings that are refused, each with a line that says why."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.config import EmbeddingsDataset
from kdsspark.config.types import RESERVED_LAYERS
from kdsspark.datasets import readymade
from kdsspark.errors import ConfigError, DatasetError
from tests.datasets.columns import Values, labels, lists, refusal, save, values


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
