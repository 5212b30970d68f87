"""Sets of labels read from an index that is written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from kdsspark.errors import InvariantError
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages import label_sets
from kdsspark.tables import IMAGE_CLASSES, IMAGES

CLASSES = ["bird", "cat", "dog"]
LABELS = [["cat"], ["cat", "dog"], [], ["bird", "dog"], ["cat"], ["cat", "dog"]]
"""Of each image; its id is its position."""


def _write(output: Output, dataset: str, names: list[str], class_ids: list[int]) -> None:
    rows = [
        {"image_id": str(n), "uri": "", "class_id": class_id, "class_name": name, "version": ""}
        for n, (name, class_id) in enumerate(zip(names, class_ids, strict=True))
    ]
    parquet.write_rows(output, IMAGES.part("part-0", dataset), rows, IMAGES)


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """Dataset ``many`` has several labels an image, ``one`` has one."""
    found = Output.at(str(tmp_path))
    _write(found, "many", [json.dumps(names) for names in LABELS], [-1] * len(LABELS))
    rows = [
        {"image_id": str(n), "class_id": CLASSES.index(name), "class_name": name}
        for n, names in enumerate(LABELS)
        for name in names
    ]
    parquet.write_rows(found, IMAGE_CLASSES.part("part-0", "many"), rows, IMAGE_CLASSES)
    _write(found, "one", ["dog", "a, b", "dog"], [1, 0, 1])
    return found


def _texts(*labels: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([[json.dumps(names) for names in labels]], pa.string())


def test_images_with_the_same_labels_have_one_set(output: Output) -> None:
    found = label_sets.read(output, "many")
    numbers = found.numbers(_texts(*LABELS)).tolist()
    assert found.sets.n_classes == 3
    assert found.sets.n_sets == 4
    by_labels = {tuple(names): number for names, number in zip(LABELS, numbers, strict=True)}
    assert [by_labels[tuple(names)] for names in LABELS] == numbers
    for names, number in by_labels.items():
        own = found.sets.classes[found.sets.starts[number] : found.sets.starts[number + 1]]
        assert [CLASSES[c] for c in own] == list(names)


def test_images_of_a_class_are_counted_whatever_else_they_show(output: Output) -> None:
    found = label_sets.read(output, "many")
    assert found.sizes(_texts(*LABELS)).tolist() == [1, 4, 3]
    assert found.sizes(_texts([], ["cat", "dog"])).tolist() == [0, 1, 1]


def test_labels_that_are_not_indexed_are_refused(output: Output) -> None:
    found = label_sets.read(output, "many")
    with pytest.raises(InvariantError, match="dataset many: embedded labels must be as indexed"):
        found.numbers(_texts(["cat"], ["dog"]))


def test_classes_have_their_numbers_by_name(output: Output) -> None:
    assert label_sets.class_ids(output, "many") == {"bird": 0, "cat": 1, "dog": 2}
    assert list(label_sets.class_ids(output, "one").items()) == [("a, b", 0), ("dog", 1)]


def test_rows_come_once_for_each_label(output: Output) -> None:
    rows = pa.table({"image_id": ["2", "3", "5"], "class_id": pa.array([-1] * 3, pa.int32())})
    found = label_sets.by_class(output, "many", rows)
    pairs = sorted(zip(found["image_id"].to_pylist(), found["class_id"].to_pylist(), strict=True))
    assert pairs == [("3", 0), ("3", 2), ("5", 1), ("5", 2)]
    assert label_sets.by_class(output, "one", rows) is rows


def test_people_read_names_with_commas(output: Output) -> None:
    read = label_sets.in_words(output, "many")
    assert [read(json.dumps(names)) for names in LABELS[1:3]] == ["cat, dog", "no label"]
    assert label_sets.in_words(output, "one")('["x"]') == '["x"]'
