"""The ``images`` table: ids that stay, classes in order, replaced in one step."""

import hashlib
import os
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark import config
from kdsspark.config import EmbeddingsDataset, ImageDataset
from kdsspark.datasets import listing
from kdsspark.datasets.layouts.layout import Published
from kdsspark.datasets.left_out import Group
from kdsspark.engine.stage import Context, Standing
from kdsspark.errors import ConfigError
from kdsspark.images import decoding
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import index
from kdsspark.stages.index import Indexed, image_id, write_index
from kdsspark.tables import IMAGES
from tests.stages.indexes import ids, indexed, refusal, touch


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output.at(str(tmp_path / "out"))


def test_classes_are_numbered_by_their_sorted_names(output: Output, tmp_path: Path) -> None:
    data = tmp_path / "data"
    dataset = touch(data, "b/1.jpg", "a b/2.jpg", "Z/3.jpg", "é/4.jpg", "a/5.jpg")
    assert write_index(output, dataset) == Indexed("birds", n_images=5, n_classes=5)
    rows = indexed(output, dataset)
    names = {row["class_id"]: row["class_name"] for row in rows}
    assert names == dict(enumerate(["Z", "a", "a b", "b", "é"]))
    assert {row["uri"]: row["class_name"] for row in rows}[f"{data}/a b/2.jpg"] == "a b"
    assert output.files("images") == ["images/dataset=birds/part-0.parquet"]


def test_an_id_is_made_of_the_dataset_and_the_path_below_its_root() -> None:
    text = b"birds\0a/1.jpg"
    assert image_id("birds", "a/1.jpg") == hashlib.blake2b(text, digest_size=16).hexdigest()
    assert len({image_id("birds", "a"), image_id("bird", "sa"), image_id("birds", "b")}) == 3


def test_ids_stay_when_the_root_moves_and_as_images_come_and_go(
    output: Output, tmp_path: Path
) -> None:
    dataset = touch(tmp_path / "data", "a/1.jpg", "b/2.jpg", "b/sub/3.jpg")
    before = ids(output, dataset)
    assert ids(output, ImageDataset(name="fish", path=dataset.path)) != before
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    moved = ImageDataset(name="birds", path=f"file://{tmp_path}/elsewhere/")
    assert ids(output, moved) == before
    touch(tmp_path / "elsewhere", "0/0.jpg", "b/1.jpg")
    assert set(before) < set(ids(output, moved))
    shutil.rmtree(tmp_path / "elsewhere" / "a")
    assert len(set(before) & set(ids(output, moved))) == 2


def test_folder_and_manifest_and_object_store_give_the_same_ids(
    output: Output, tmp_path: Path
) -> None:
    names = ["a/1.jpg", "b/2.jpg"]
    dataset = touch(tmp_path / "data", *names)
    lines = "".join(f"{name},{name[0]}\n" for name in reversed(names))
    (tmp_path / "data" / "list.csv").write_text("path,label\n" + lines)
    listed = ImageDataset(name="birds", path=f"{tmp_path}/data/list.csv", layout="manifest")
    for name in names:
        fsspec.filesystem("memory").pipe_file(f"memory://{tmp_path.name}/{name}", b"x")
    remote = ImageDataset(name="birds", path=f"memory://{tmp_path.name}")
    assert ids(output, dataset) == ids(output, listed) == ids(output, remote)


def test_indexing_again_gives_the_same_bytes(output: Output, tmp_path: Path) -> None:
    dataset = touch(tmp_path / "data", *(f"{n % 3}/{n}.jpg" for n in range(20)))
    path = tmp_path / "out/images/dataset=birds/part-0.parquet"
    write_index(output, dataset)
    first = path.read_bytes()
    write_index(output, dataset)
    assert path.read_bytes() == first


def test_classes_are_numbered_across_batches(
    output: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = touch(tmp_path / "data", *(f"c{n % 7}/{n}.jpg" for n in range(50)))
    whole = indexed(output, dataset)
    monkeypatch.setattr(listing, "BATCH", 8)
    assert indexed(output, dataset) == whole
    assert [f"c{row['class_id']}" for row in whole] == [row["class_name"] for row in whole]


def test_a_failed_index_leaves_the_former(output: Output, tmp_path: Path) -> None:
    dataset = touch(tmp_path / "data", "a/1.jpg")
    before = indexed(output, dataset)
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(ConfigError, match="must be a folder of class folders"):
        write_index(output, dataset)
    (tmp_path / "data").mkdir()
    refusal(output, dataset)
    found = parquet.read(output, IMAGES, "birds", columns=IMAGES.schema.names)
    assert found.to_pylist() == before


def test_a_dataset_without_images_is_named(output: Output, tmp_path: Path) -> None:
    touch(tmp_path / "data", "beside.jpg", "a/notes.txt")
    dataset = ImageDataset(name="birds", path=str(tmp_path / "data"))
    assert refusal(output, dataset) == (
        f"dataset birds: no image found at {tmp_path / 'data'}; "
        "left out: 1 .jpg (in no class folder), 1 .txt"
    )
    (tmp_path / "list.csv").write_text("path,label\n")
    empty = ImageDataset(name="birds", path=str(tmp_path / "list.csv"), layout="manifest")
    assert refusal(output, empty) == f"dataset birds: no image found at {tmp_path / 'list.csv'}"
    assert output.files("") == []


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["1.jpg", "2.jpg", "1.jpg"], "got 1 repeated, first 1.jpg"),
        (["1.jpg", "x/../1.jpg", "2.jpg", "./2.jpg"], "got 2 repeated, first 1.jpg"),
        (["1.jpg", "{root}/1.jpg"], "got 1 repeated, first 1.jpg"),
        (["../b/1.jpg", "{root}/../b/1.jpg"], "got 1 repeated, first {parent}/b/1.jpg"),
        (["/a/1.jpg", "file:///a/1.jpg"], "got 1 repeated, first /a/1.jpg"),
    ],
)
def test_an_image_listed_twice_is_named(
    output: Output, tmp_path: Path, paths: list[str], words: str
) -> None:
    root = tmp_path / "lists"
    root.mkdir()
    lines = "".join(f"{path.format(root=root)},a\n" for path in paths)
    (root / "list.csv").write_text("path,label\n" + lines)
    line = refusal(output, ImageDataset(name="birds", path=f"{root}/list.csv", layout="manifest"))
    assert line.endswith("must name every image once, " + words.format(parent=tmp_path))
    assert f"{root}/list.csv" in line


def test_ready_made_embeddings_are_indexed_by_file_and_row(output: Output, tmp_path: Path) -> None:
    for name, labels in (("b", ["y", "x"]), ("a", ["x"])):
        (tmp_path / "mine").mkdir(exist_ok=True)
        values = pa.array(np.zeros((len(labels), 2)).tolist(), pa.list_(pa.float32(), 2))
        table = pa.table({"class_name": labels, "fc": values})
        pq.write_table(table, tmp_path / "mine" / f"{name}.parquet")
    dataset = EmbeddingsDataset(name="mine", embeddings=str(tmp_path / "mine"))
    rows = indexed(output, dataset)
    root = tmp_path / "mine"
    assert [(row["uri"], row["class_name"], row["class_id"]) for row in rows] == [
        (f"{root}/a.parquet#0", "x", 0),
        (f"{root}/b.parquet#0", "y", 1),
        (f"{root}/b.parquet#1", "x", 0),
    ]
    assert [row["image_id"] for row in rows] == [
        index.image_id("mine", below) for below in ("a.parquet#0", "b.parquet#0", "b.parquet#1")
    ]


# -- what is left out ----------------------------------------------------------------------------


@pytest.fixture
def birds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageDataset:
    """Photographs of which some, and all of one class, are in a format that needs a plug-in."""
    monkeypatch.setattr(decoding, "find_spec", lambda _: None)
    (tmp_path / "data" / "owl").mkdir(parents=True)
    return touch(
        tmp_path / "data",
        *("cat/1.jpg", "cat/2.HEIC", "cat/.DS_Store", "cat/._1.jpg", "cat/notes.txt"),
        *("emu/1.heic", "emu/2.heic"),
    )


GROUPS = (
    Group(None, "", "hidden", 2),
    Group(None, ".heic", "no decoder: install kdsspark[heif]", 1),
    Group(None, ".txt", "not read", 1),
    Group("emu", ".heic", "no decoder: install kdsspark[heif]", 2),
    Group("owl", "", "empty folder", 0),
)


def test_the_line_says_what_was_left_out_and_warns_of_classes(
    output: Output, birds: ImageDataset
) -> None:
    assert str(write_index(output, birds)).splitlines() == [
        "dataset birds: 1 images in 1 classes; left out: "
        "3 .heic (no decoder: install kdsspark[heif]), 2 hidden, 1 .txt",
        "warning: dataset birds: 2 classes are left out whole: "
        "'emu': 2 .heic (no decoder: install kdsspark[heif]); 'owl': empty folder",
    ]


def test_what_was_left_out_is_kept_beside_the_digest(output: Output, birds: ImageDataset) -> None:
    assert index.left_out_of(output, "birds") == []
    assert write_index(output, birds).left_out == GROUPS
    assert tuple(index.left_out_of(output, "birds")) == GROUPS
    digest = index.digest(output, "birds")
    for path in Path(birds.path).rglob("*.heic"):
        path.unlink()
    write_index(output, birds)
    assert index.digest(output, "birds") == digest  # of the images alone
    assert [group.class_name for group in index.left_out_of(output, "birds")] == (
        [None, None, None, "emu", "owl"]
    )


def test_an_index_of_an_earlier_version_left_out_nothing_that_is_known(output: Output) -> None:
    schema = IMAGES.schema.with_metadata({b"kdsspark.digest": b"abc"})
    path = f"{IMAGES.partition('birds')}/part-0.parquet"
    parquet.write(output, path, schema.empty_table(), schema)
    assert index.left_out_of(output, "birds") == []
    assert index.digest(output, "birds") == "abc"


# -- the stage -----------------------------------------------------------------------------------


@pytest.fixture
def context(output: Output, tmp_path: Path) -> Context:
    """A dataset of images and one of embeddings."""
    touch(tmp_path / "folder", "a/1.jpg", "b/2.jpg", "b/3.jpg")
    values = pa.array(np.zeros((2, 2)).tolist(), pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"class_name": ["x", "y"], "fc": values}), tmp_path / "e.parquet")
    raw = {
        "output": output.path(),
        "networks": [{"name": "net"}],
        "datasets": [
            {"name": "mine", "path": str(tmp_path / "folder")},
            {"name": "made", "embeddings": str(tmp_path / "e.parquet"), "network": "clip"},
        ],
    }
    return Context(None, output, config.parse(raw))


def test_the_stage_prints_a_line_a_dataset(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    index.run(context)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-2:] == [
        "dataset mine: 3 images in 2 classes",
        "dataset made: 2 images in 2 classes",
    ]


@pytest.mark.parametrize(
    ("published", "line"),
    [
        (None, "dataset d: 3 images in 2 classes"),
        (Published(3, 2), "dataset d: 3 images in 2 classes, as published"),
        (Published(4, 2), "dataset d: 3 images in 2 classes; published: 4 in 2"),
        (
            Published(3, 1, note="a note"),
            "dataset d: 3 images in 2 classes; published: 3 in 1, a note",
        ),
    ],
)
def test_a_difference_from_the_published_size_is_shown(
    published: Published | None, line: str
) -> None:
    assert str(Indexed("d", 3, 2, published)) == line


def test_a_plan_counts_the_images_of_the_index(context: Context, tmp_path: Path) -> None:
    def standing(dataset: str) -> Standing:
        plan = index.plan(context.output, context.config, Pair("-", dataset))
        return plan.standing(context.output)

    assert standing("mine") == Standing()
    index.run(context)
    assert standing("mine") == Standing(done=3)
    assert standing("made") == Standing(done=2)
    touch(tmp_path / "folder", "a/4.jpg")  # which only listing the folder again can tell
    assert standing("mine") == Standing(done=3)


def test_rows_and_their_ids_are_read_in_one_order(context: Context) -> None:
    index.run(context)
    rows = index.images(context.output, "mine")
    assert rows.schema == IMAGES.schema
    assert [column.num_chunks for column in rows.columns] == [1] * len(IMAGES.schema)
    assert rows["image_id"] == index.image_ids(context.output, "mine")
    assert sorted(rows["class_name"].to_pylist()) == ["a", "b", "b"]
    assert len(index.images(context.output, "none")) == 0


@pytest.mark.parametrize(
    ("names", "version", "same"),
    [
        (["a/1.jpg", "b/2.jpg"], 1, True),
        (["a/1.jpg", "b/2.jpg"], 2, False),
        (["a/1.jpg", "b/2.jpg", "b/3.jpg"], 1, False),
        (["a/1.jpg"], 1, False),
        (["a/1.jpg", "c/2.jpg"], 1, False),
    ],
)
def test_the_digest_tells_ids_versions_and_classes(
    output: Output, tmp_path: Path, names: list[str], version: int, same: bool
) -> None:
    def digest(names: list[str], version: int) -> str:
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        dataset = touch(tmp_path / "data", *names)
        for path in (tmp_path / "data").rglob("*.jpg"):
            os.utime(path, ns=(version, version))
        write_index(output, dataset)
        return index.digest(output, "birds")

    first = digest(["a/1.jpg", "b/2.jpg"], 1)
    assert len(first) == 32
    assert (digest(names, version) == first) is same
