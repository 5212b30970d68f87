"""The eleven datasets of the paper, each on a miniature of what its archives unpack to."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torchvision.datasets

from kdsspark.datasets.layouts import LAYOUTS
from kdsspark.errors import ConfigError, DatasetError
from tests.archives import classes, dataset, labels, mat, put, refusal, rows, text
from tests.datasets.layouts.miniatures import (
    ALBATROSS,
    CASES,
    DEVKIT,
    HOMES,
    MINIATURES,
    TEXTURES,
    caltech101,
    caltech256,
    catsdogs,
    cub200,
    flowers102,
    food101,
    imagenet,
    mit67,
    stanforddogs,
    textures,
    wood,
)
from tests.listed import left_out

# -- what is read -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "split", "expected"), CASES, ids=[f"{c[0].__name__}-{c[1]}" for c in CASES]
)
def test_images_and_their_classes(
    tmp_path: Path, write: Callable[[Path], None], split: str | None, expected: dict[str, str]
) -> None:
    write(tmp_path)
    assert labels(dataset(write.__name__, tmp_path, split)) == expected


@pytest.mark.parametrize(
    ("write", "background"),
    [
        (caltech101, {f"101_ObjectCategories/BACKGROUND_Google/image_000{n}.jpg" for n in (1, 2)}),
        (caltech256, {f"256_ObjectCategories/257.clutter/257_000{n}.jpg" for n in (1, 2)}),
    ],
)
def test_a_background_is_a_class_on_request(
    tmp_path: Path, write: Callable[[Path], None], background: set[str]
) -> None:
    write(tmp_path)
    without = labels(dataset(write.__name__, tmp_path))
    found = labels(dataset(write.__name__, tmp_path, background=True))
    assert found == without | classes(background)
    assert not background & without.keys()


def test_a_background_must_be_known(tmp_path: Path) -> None:
    textures(tmp_path)
    with pytest.raises(ConfigError) as caught:
        labels(dataset("textures", tmp_path, background=True))
    assert str(caught.value) == (
        "datasets.set.background: must be false with layout textures (only caltech101, caltech256 "
        "have one), got true"
    )


def test_every_published_dataset_has_a_miniature_and_so_has_every_split() -> None:
    published = {name: layout for name, layout in LAYOUTS.items() if layout.published}
    assert {write.__name__ for write in MINIATURES} == published.keys()
    seen = {(write.__name__, split) for write, split, _ in CASES}
    missing = {(name, s) for name, layout in published.items() for s in layout.splits or ()} - seen
    assert missing == {("mit67", "train"), ("textures", "test")}  # like their other splits


@pytest.mark.parametrize("write", MINIATURES)
def test_versions_are_those_of_the_files(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    found = rows(dataset(write.__name__, tmp_path))
    assert found
    for row in found:
        state = Path(row["uri"]).stat()
        assert row["version"] == f"{state.st_size}-{state.st_mtime_ns}"


@pytest.mark.parametrize("write", MINIATURES)
def test_other_file_systems_give_the_same(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    url = f"memory://{tmp_path.name}"
    fs = fsspec.filesystem("memory")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            fs.pipe_file(f"{url}/{path.relative_to(tmp_path)}", path.read_bytes())
    found = dataset(write.__name__, url)
    assert labels(found) == labels(dataset(write.__name__, tmp_path)) != {}
    assert all(row["uri"] == f"{url}/{row['path']}" and row["version"] for row in rows(found))


@pytest.mark.parametrize("write", [w for w in MINIATURES if w.__name__ in HOMES])
def test_the_path_may_be_the_folder_that_holds_the_unpacked_one(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    name = write.__name__
    write(tmp_path / HOMES[name])
    assert labels(dataset(name, tmp_path)) == labels(dataset(name, tmp_path / HOMES[name]))


def test_imagenet_in_folders_of_synsets_needs_no_devkit(tmp_path: Path) -> None:
    names = ["n01440764/ILSVRC2012_val_00000293.JPEG", "n15075141/ILSVRC2012_val_00000001.JPEG"]
    put(tmp_path, *(f"val/{name}" for name in names), "val/other/1.JPEG", "train/n01440764/2.JPEG")
    expected = classes(f"val/{name}" for name in names)
    assert labels(dataset("imagenet", tmp_path)) == expected
    assert list(labels(dataset("imagenet", tmp_path / "val")).values()) == list(expected.values())


def test_imagenet_may_be_unpacked_beside_its_devkit(tmp_path: Path) -> None:
    imagenet(tmp_path)
    for path in sorted((tmp_path / "val").iterdir()):
        path.rename(tmp_path / path.name)
    (tmp_path / "val").rmdir()
    found = labels(dataset("imagenet", tmp_path))
    assert found["ILSVRC2012_val_00000003.JPEG"] == "n15075141"
    assert len(found) == 4


def test_converted_knots_are_found_by_their_stem(tmp_path: Path) -> None:
    wood(tmp_path)
    for path in list(tmp_path.glob("kn*.ppm")):
        if path.stem != "kn02":
            (tmp_path / "png").mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / "png" / f"{path.stem}.png")
    (tmp_path / "kn01.ppm").unlink()
    assert labels(dataset("wood", tmp_path)) == {
        "kn02.ppm": "dry_knot",
        "kn10.ppm": "sound_knot",  # the file that the list names, where there are both
        "png/kn01.png": "dry_knot",
    }


def test_a_listed_image_that_is_not_there_is_listed_without_a_version(tmp_path: Path) -> None:
    cub200(tmp_path)
    missing = next(path for path in sorted(ALBATROSS) if "545" in path)
    (tmp_path / missing).unlink()
    found = rows(dataset("cub200", tmp_path))
    assert {row["path"] for row in found} == ALBATROSS
    assert [row["path"] for row in found if not row["version"]] == [missing]


HIDDEN = (None, "", "hidden", 1)


@pytest.mark.parametrize(
    ("write", "split", "expected"),
    [
        (caltech101, None, [(None, ".jpg", "of no class", 2), HIDDEN, (None, "", "not read", 1)]),
        (caltech256, None, [(None, ".jpg", "of no class", 3), (None, "", "not read", 1)]),
        (cub200, None, [HIDDEN]),
        (cub200, "test", [(None, ".jpg", "not in this split", 2), HIDDEN]),
        (mit67, None, [(None, ".gif", "of no class", 1), (None, ".jpg", "of no class", 1)]),
        (textures, None, [(None, "", "hidden", len(TEXTURES))]),
        (food101, "test", [(None, ".jpg", "not in this split", 2), HIDDEN]),
        # The lists that lie beside the images are read, and not left out.
        (wood, None, [HIDDEN, (None, ".ppm", "of no class", 1)]),
        (imagenet, None, [HIDDEN, (None, ".jpeg", "of no class", 1)]),
    ],
)
def test_what_lies_among_the_images_and_is_left_out_is_counted(
    tmp_path: Path,
    write: Callable[[Path], None],
    split: str | None,
    expected: list[tuple[str | None, str, str, int]],
) -> None:
    write(tmp_path)
    assert left_out(dataset(write.__name__, tmp_path, split)) == expected


def test_imagenet_beside_its_devkit_leaves_out_what_it_does_not_read(tmp_path: Path) -> None:
    imagenet(tmp_path)
    for path in sorted((tmp_path / "val").iterdir()):
        path.rename(tmp_path / path.name)
    (tmp_path / "val").rmdir()
    put(tmp_path, f"{DEVKIT}/readme.txt", data=b"x")
    assert left_out(dataset("imagenet", tmp_path)) == [
        HIDDEN,
        (None, ".jpeg", "of no class", 1),
        (None, ".txt", "not read", 1),
    ]


# -- the same as torchvision reads them ---------------------------------------------------------


def groups(pairs: dict[str, object]) -> set[frozenset[str]]:
    """Images by class, whatever the classes are called."""
    return {frozenset(p for p, c in pairs.items() if c == label) for label in pairs.values()}


@pytest.mark.parametrize(
    ("write", "name", "home", "splits"),
    [
        (textures, "DTD", "dtd/dtd", ["train", "val", "test"]),
        (catsdogs, "OxfordIIITPet", "oxford-iiit-pet", ["trainval", "test"]),
        (food101, "Food101", "food-101", ["train", "test"]),
    ],
)
def test_splits_are_torchvisions(
    tmp_path: Path, write: Callable[[Path], None], name: str, home: str, splits: list[str]
) -> None:
    home_path = tmp_path / home
    write(home_path)
    if write is food101:
        for split in splits:
            lines = (home_path / f"meta/{split}.txt").read_text().split()
            by_class = {c: [x for x in lines if x.startswith(f"{c}/")] for c in classes_of(lines)}
            (home_path / f"meta/{split}.json").write_text(str(by_class).replace("'", '"'))
    for split in splits:
        oracle = getattr(torchvision.datasets, name)(tmp_path, split=split)
        files = getattr(oracle, "_image_files", None) or oracle._images
        names = [str(Path(file).relative_to(home_path)) for file in files]
        theirs = dict(zip(names, oracle._labels, strict=True))
        assert groups(theirs) == groups(dict(labels(dataset(write.__name__, home_path, split))))


def classes_of(lines: list[str]) -> list[str]:
    return sorted({line.split("/")[0] for line in lines})


def test_caltech101_has_the_classes_that_torchvision_gives_it(tmp_path: Path) -> None:
    root = tmp_path / "caltech101"
    caltech101(root)
    (root / "101_ObjectCategories/.DS_Store").unlink()  # which torchvision takes for a class
    oracle = torchvision.datasets.Caltech101(tmp_path)
    assert sorted(set(labels(dataset("caltech101", root)).values())) == oracle.categories


def test_flowers_have_the_names_that_torchvision_gives_them(tmp_path: Path) -> None:
    put(tmp_path, *(f"jpg/image_{number:05d}.jpg" for number in range(1, 103)))
    mat(tmp_path, "imagelabels.mat", labels=np.arange(1, 103, dtype=np.uint8)[None])
    found = labels(dataset("flowers102", tmp_path))
    assert [found[path] for path in sorted(found)] == torchvision.datasets.Flowers102.classes


# -- what is refused ----------------------------------------------------------------------------

LISTS = [
    (imagenet, None, f"{DEVKIT}/meta.mat"),
    (imagenet, None, f"{DEVKIT}/ILSVRC2012_validation_ground_truth.txt"),
    (cub200, None, "images.txt"),
    (cub200, None, "classes.txt"),
    (cub200, None, "image_class_labels.txt"),
    (cub200, "test", "train_test_split.txt"),
    (wood, None, "names.txt"),
    (flowers102, None, "imagelabels.mat"),
    (flowers102, "val", "setid.mat"),
    (mit67, None, "TrainImages.txt"),
    (mit67, None, "TestImages.txt"),
    (textures, "train", "labels/train1.txt"),
    (stanforddogs, "train", "train_list.mat"),
    (catsdogs, None, "annotations/list.txt"),
    (catsdogs, "trainval", "annotations/trainval.txt"),
    (food101, "test", "meta/test.txt"),
]


@pytest.mark.parametrize(("write", "split", "file"), LISTS)
@pytest.mark.parametrize("content", [None, b"\xff\x00 no text, no MATLAB"])
def test_a_missing_or_malformed_list_is_named(
    tmp_path: Path,
    write: Callable[[Path], None],
    split: str | None,
    file: str,
    content: bytes | None,
) -> None:
    write(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    line = refusal(dataset(write.__name__, tmp_path, split), DatasetError)
    assert line.startswith(f"dataset set: {tmp_path / file} ")
    assert " must " in line
    assert "got " in line
    if content is None:
        assert line.endswith("got no such file")


@pytest.mark.parametrize(
    ("file", "lines", "words"),
    [
        ("images.txt", ["4 a.jpg", "", "7"], "line 3 must hold image_id image_name, got '7'"),
        ("images.txt", ["5 x/1.jpg"], "image_class_labels.txt must have an entry for 5, got none"),
        ("classes.txt", ["1 only"], "classes.txt must have an entry for 2, got none"),
        ("classes.txt", ["only"], "classes.txt line 1 must hold class_id class_name, got 'only'"),
    ],
)
def test_lists_that_contradict_each_other(
    tmp_path: Path, file: str, lines: list[str], words: str
) -> None:
    cub200(tmp_path)
    text(tmp_path, file, *lines)
    assert refusal(dataset("cub200", tmp_path), DatasetError).endswith(words)


def test_a_matlab_file_without_the_variable_says_what_it_has(tmp_path: Path) -> None:
    flowers102(tmp_path)
    mat(tmp_path, "imagelabels.mat", names=np.arange(3), ids=np.arange(3))
    line = refusal(dataset("flowers102", tmp_path), DatasetError)
    assert line.endswith("must be a MATLAB file with the variable labels, got names, ids")


@pytest.mark.parametrize("label", [0, 103])
def test_flowers_are_numbered_from_1_to_102(tmp_path: Path, label: int) -> None:
    flowers102(tmp_path)
    mat(tmp_path, "imagelabels.mat", labels=np.array([[1, label]]))
    line = refusal(dataset("flowers102", tmp_path), DatasetError)
    assert line.endswith(f"imagelabels.mat must have an entry for {label}, got none")


def test_synsets_must_be_structs(tmp_path: Path) -> None:
    imagenet(tmp_path)
    mat(tmp_path, f"{DEVKIT}/meta.mat", synsets=np.arange(5))
    line = refusal(dataset("imagenet", tmp_path), DatasetError)
    assert line.endswith("synsets must have the fields ILSVRC2012_ID, WNID, got none")


def test_a_line_of_a_list_must_be_class_and_image(tmp_path: Path) -> None:
    food101(tmp_path)
    text(tmp_path, "meta/test.txt", "apple_pie/134", "/134")
    line = refusal(dataset("food101", tmp_path, "test"), DatasetError)
    assert line.endswith("meta/test.txt line 2 must be class/image, got '/134'")


@pytest.mark.parametrize("write", MINIATURES)
def test_a_path_that_is_not_the_datasets_is_refused(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    name = write.__name__
    line = refusal(dataset(name, tmp_path / "absent"), ConfigError)
    assert line.startswith("datasets.set.path: must be the folder that ")
    assert line.endswith(f", got {tmp_path / 'absent'}")


def test_the_folder_that_is_wanted_is_named(tmp_path: Path) -> None:
    assert refusal(dataset("mit67", tmp_path), ConfigError) == (
        "datasets.set.path: must be the folder that indoorCVPR_09.tar was unpacked to, "
        f"with Images/ in it, got {tmp_path}"
    )


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("flowers102", "must be one of train, val, test, or null for all with layout flowers102"),
        ("catsdogs", "must be one of trainval, test, or null for all with layout catsdogs"),
        ("caltech101", "must be null with layout caltech101"),
        ("folder", "must be null with layout folder"),
        ("manifest", "must be null with layout manifest"),
    ],
)
def test_a_split_that_there_is_not_is_refused(tmp_path: Path, layout: str, words: str) -> None:
    line = refusal(dataset(layout, tmp_path, "valid"), ConfigError)
    assert line == f"datasets.set.split: {words}, got 'valid'"
