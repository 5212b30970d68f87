"""The tables ``images`` and ``image_classes`` where an image may have several labels, or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kdsspark.config import ImageDataset
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages import index
from kdsspark.stages.index import image_id, write_index
from kdsspark.tables import IMAGE_CLASSES, IMAGES

ROWS = {"1.jpg": ["dog", "cat"], "2.jpg": [], "3.jpg": ["cat"], "4.jpg": ["a/b", "cat", "Ω"]}


def dataset(folder: Path, rows: list[tuple[str, list[str]]]) -> ImageDataset:
    folder.mkdir(exist_ok=True)
    quoted = (f'{path},"{json.dumps(names).replace(chr(34), chr(34) * 2)}"' for path, names in rows)
    (folder / "list.csv").write_text("\n".join(["path,label", *quoted, ""]))
    return ImageDataset(
        name="coco", path=str(folder / "list.csv"), layout="manifest", labels="several"
    )


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output.at(str(tmp_path / "out"))


def test_an_image_has_one_row_and_each_of_its_labels_one(tmp_path: Path, output: Output) -> None:
    found = write_index(output, dataset(tmp_path / "in", list(ROWS.items())))
    assert str(found) == ("dataset coco: 4 images in 4 classes, 6 labels, 1 image without a label")
    rows = parquet.read(output, IMAGES, "coco", columns=IMAGES.schema.names).to_pylist()
    assert {row["image_id"]: json.loads(row["class_name"]) for row in rows} == {
        image_id("coco", path): sorted(names) for path, names in ROWS.items()
    }
    assert {row["class_id"] for row in rows} == {-1}
    labels = parquet.read(output, IMAGE_CLASSES, "coco", columns=IMAGE_CLASSES.schema.names)
    classes = sorted({name for names in ROWS.values() for name in names})
    assert sorted(map(tuple, (row.values() for row in labels.to_pylist()))) == sorted(
        (image_id("coco", path), classes.index(name), name)
        for path, names in ROWS.items()
        for name in names
    )


def test_the_digest_follows_from_labels_and_not_from_their_order(
    tmp_path: Path, output: Output
) -> None:
    digests = []
    for names in (["dog", "cat"], ["cat", "dog"], ["cat"], []):
        write_index(output, dataset(tmp_path / "in", [("1.jpg", names), ("2.jpg", ["cat"])]))
        digests.append(index.digest(output, "coco"))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


REFUSED: dict[str, list[tuple[str, list[str]]]] = {
    "no image has a label at": [("1.jpg", []), ("2.jpg", [])],
    "no image found at": [],
    "must name every image once, got 1 repeated, first 1.jpg": [("1.jpg", ["a"]), ("1.jpg", ["b"])],
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_indexed_is_refused(tmp_path: Path, output: Output, words: str) -> None:
    with pytest.raises(DatasetError, match="dataset coco: ") as caught:
        write_index(output, dataset(tmp_path / "in", REFUSED[words]))
    assert words in str(caught.value)
    assert not output.files("images")
    assert not output.files("image_classes")
