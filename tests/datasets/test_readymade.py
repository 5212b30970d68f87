"""Ready-made embeddings: every shape of list that Parquet has."""

import os
import pickle
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from kdsspark.config import EmbeddingsDataset
from kdsspark.datasets import readymade, readymade_parquet
from kdsspark.datasets.left_out import HIDDEN, NOT_READ, LeftOut
from kdsspark.datasets.listing import LISTING
from tests.datasets.columns import (
    FLOATS,
    labels,
    lists,
    read,
    refusal,
    save,
    values,
)

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
