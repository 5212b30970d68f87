"""Manifests with several labels an image: which texts stand for them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.config import ImageDataset
from tests.listed import AWKWARD, pairs, refusal


def manifest(path: Path, labels: str = "several") -> ImageDataset:
    return ImageDataset.model_validate(
        {"name": "birds", "path": str(path), "layout": "manifest", "labels": labels}
    )


def csv(path: Path, cells: list[str]) -> ImageDataset:
    rows = {"path": [f"{n}.jpg" for n in range(len(cells))], "label": cells}
    pd.DataFrame(rows).to_csv(path, index=False)
    return manifest(path)


def parquet(path: Path, cells: pa.Array) -> ImageDataset:
    names = pa.array([f"{n}.jpg" for n in range(len(cells))])
    pq.write_table(pa.table({"path": names, "label": cells}), path)
    return manifest(path)


GIVEN: list[list[Any]] = [["dog", "cat"], [], ["cat"], ["two\nlines", *AWKWARD], [7, "b"]]
EXPECTED = [sorted(map(str, names)) for names in GIVEN]
AS_TEXT = [[str(name) for name in names] for names in GIVEN]


def labels_of(dataset: ImageDataset) -> list[Any]:
    return [json.loads(text) for _, text in pairs(dataset)]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_cell_of_csv_is_a_json_array(tmp_path: Path, ascii_only: bool) -> None:
    cells = [json.dumps(names, ensure_ascii=ascii_only) for names in GIVEN]
    assert labels_of(csv(tmp_path / "a.csv", cells)) == EXPECTED


@pytest.mark.parametrize(
    "cells",
    [
        pa.array(AS_TEXT),
        pa.array(AS_TEXT, pa.large_list(pa.string())),
        pa.array(AS_TEXT, pa.list_(pa.large_string())),
        pa.array(AS_TEXT, pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        pa.array([json.dumps(names) for names in GIVEN]),
    ],
    ids=lambda cells: str(cells.type),
)
def test_a_column_of_parquet_holds_lists_or_json(tmp_path: Path, cells: pa.Array) -> None:
    assert labels_of(parquet(tmp_path / "a.parquet", cells)) == EXPECTED


def test_lists_of_integers_are_names(tmp_path: Path) -> None:
    cells = pa.array([[10, 2], []], pa.list_(pa.int64()))
    assert labels_of(parquet(tmp_path / "a.parquet", cells)) == [["10", "2"], []]


def test_the_same_labels_have_the_same_text(tmp_path: Path) -> None:
    texts = [text for _, text in pairs(csv(tmp_path / "a.csv", ['["b","a"]', '[ "a", "b" ]']))]
    assert texts == ['["a", "b"]'] * 2


ARRAY = 'must be a JSON array of names such as ["cat", "dog"], [] for none, got '


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("cat", f"{ARRAY}'cat'"),
        ("", f"{ARRAY}''"),
        ('["cat", "dog", "cat"]', "must name each class once, got 'cat' twice"),
    ],
)
def test_other_cells_are_refused_by_their_row(tmp_path: Path, cell: str, words: str) -> None:
    line = refusal(csv(tmp_path / "a.csv", ['["cat"]', cell]))
    assert line.startswith(f"manifest {tmp_path}/a.csv row 3: label {words}")


LISTS = {
    "null": (pa.array([["cat"], None]), f"row 2: label {ARRAY}''"),
    "null inside": (pa.array([["cat", None]]), f"row 1: label {ARRAY}null in it"),
    "empty inside": (pa.array([["cat", ""]]), "row 1: label must not hold an empty name"),
    "twice": (pa.array([["cat"], ["b", "b"]]), "row 2: label must name each class once, got 'b'"),
    "floats": (pa.array([[1.5]]), f"row 1: label {ARRAY}1.5 in it"),
    "integers": (pa.array([3]), f"row 1: label {ARRAY}'3'"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_other_columns_of_parquet_are_refused(tmp_path: Path, kind: str) -> None:
    cells, words = LISTS[kind]
    line = refusal(parquet(tmp_path / "a.parquet", cells))
    assert line.startswith(f"manifest {tmp_path}/a.parquet {words}")


def test_lists_need_the_key(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", pa.array([["cat"]]))
    line = refusal(manifest(tmp_path / "a.parquet", "one"))
    words = "label must be one name, or labels several, got list<"
    assert line.startswith(f"manifest {tmp_path}/a.parquet: {words}")
