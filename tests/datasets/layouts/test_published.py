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
from tests.listed import left_out

DEVKIT = "ILSVRC2012_devkit_t12/data"


# -- miniatures: what unpacking leaves, with everything that is no image of a class -------------


def imagenet(root: Path) -> None:
    """Flat files, numbered; the ground truth has one line a file, in terms of the devkit's ids."""
    put(root, *(f"val/ILSVRC2012_val_{n:08d}.JPEG" for n in (1, 2, 3, 4)))
    put(root, "val/._ILSVRC2012_val_00000001.JPEG", "val/other.JPEG", data=b"x")
    text(root, f"{DEVKIT}/ILSVRC2012_validation_ground_truth.txt", "490", "361", "1000", "361")
    fields = ("ILSVRC2012_ID", "WNID", "words", "num_children")
    synsets = np.empty((4, 1), dtype=[(field, object) for field in fields])
    synsets[:, 0] = [
        (361, "n02012849", "crane", 0),
        (490, "n03126707", "crane", 0),  # so words cannot name a class
        (1000, "n15075141", "toilet tissue, toilet paper, bathroom tissue", 0),
        (1001, "n00001740", "entity", 7),
    ]
    mat(root, f"{DEVKIT}/meta.mat", synsets=synsets)


def cub200(root: Path) -> None:
    put(root, "images/001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg")
    put(root, "images/002.Laysan_Albatross/Laysan_Albatross_0001_545.jpg")
    put(root, "images/002.Laysan_Albatross/Laysan_Albatross_0002_1027.jpg")
    put(root, "images/002.Laysan_Albatross/._Laysan_Albatross_0002_1027.jpg", "segmentations/1.png")
    put(root, "README", "attributes/attributes.txt", data=b"x")
    text(root, "classes.txt", "2 002.Laysan_Albatross", "1 001.Black_footed_Albatross")
    text(
        root,
        "images.txt",
        "30 002.Laysan_Albatross/Laysan_Albatross_0002_1027.jpg",
        "4 001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg",
        "7 002.Laysan_Albatross/Laysan_Albatross_0001_545.jpg",
    )
    text(root, "image_class_labels.txt", "4 1", "7 2", "30 2")
    text(root, "train_test_split.txt", "30 0", "4 1", "7 1")


def wood(root: Path) -> None:
    put(root, "kn01.ppm", "kn02.ppm", "kn10.ppm", "unlabelled.ppm", "._kn01.ppm")
    text(root, "names.txt", "kn01.ppm dry_knot 12 30", "kn10.ppm sound_knot", "kn02.ppm dry_knot")


def flowers102(root: Path) -> None:
    """Seven images; classes are numbers from 1, image i is the i-th label."""
    put(root, *(f"jpg/image_{number:05d}.jpg" for number in range(1, 8)))
    put(root, "jpg/._image_00001.jpg")
    mat(root, "imagelabels.mat", labels=np.array([[77, 1, 102, 77, 1, 1, 1]], np.uint8))
    ids = {"trnid": [[2, 3]], "valid": [[4]], "tstid": [[7, 1, 5, 6]]}
    mat(root, "setid.mat", **{name: np.array(values, np.uint16) for name, values in ids.items()})


def caltech101(root: Path) -> None:
    for folder in ("BACKGROUND_Google", "Faces", "Faces_easy", "car_side"):
        put(root, f"101_ObjectCategories/{folder}/image_0001.jpg")
        put(root, f"101_ObjectCategories/{folder}/image_0002.jpg")
    put(root, "101_ObjectCategories/BACKGROUND_Google/tmp", data=b"x")
    put(root, "101_ObjectCategories/.DS_Store", "__MACOSX/._Faces", data=b"x")
    put(root, "Annotations/Faces_2/annotation_0001.mat", "show_annotation.m", data=b"x")


def caltech256(root: Path) -> None:
    top = "256_ObjectCategories"
    put(root, f"{top}/001.ak47/001_0001.jpg", f"{top}/056.dog/056_0001.jpg")
    put(root, f"{top}/198.spider/198_0001.jpg", f"{top}/253.faces-easy-101/253_0001.jpg")
    put(root, f"{top}/257.clutter/257_0001.jpg", f"{top}/257.clutter/257_0002.jpg")
    put(root, f"{top}/198.spider/RENAME2", data=b"mv")
    put(root, f"{top}/056.dog/greg/vision309/056_0001.jpg")


def mit67(root: Path) -> None:
    put(root, "Images/kitchen/int474.jpg", "Images/kitchen/cocina 02.jpg", "Images/kitchen/z.jpg")
    put(root, "Images/airport_inside/airport_inside_0001.jpg", "Images/airport_inside/x.gif")
    put(root, "Annotations/kitchen/int474.xml", data=b"<x/>")
    text(root, "TrainImages.txt", "kitchen/int474.jpg", "airport_inside/airport_inside_0001.jpg")
    text(root, "TestImages.txt", "kitchen/cocina 02.jpg", "", end="\r\n")


def textures(root: Path) -> None:
    for name in TEXTURES:
        put(root, *(f"images/{name}/{name}_000{n}.jpg" for n in range(1, 4)))
        put(root, f"images/{name}/.directory", data=b"x")
    for part in (1, 2):
        for split, shift in (("train", 0), ("val", 1), ("test", 2)):
            number = (part + shift) % 3 + 1
            names = [f"{name}/{name}_000{number}.jpg" for name in TEXTURES]
            text(root, f"labels/{split}{part}.txt", *names)
    text(root, "labels/labels_joint_anno.txt", "banded/banded_0001.jpg banded polka-dotted")
    put(root, "imdb/imdb.mat", data=b"x")


def stanforddogs(root: Path) -> None:
    chihuahua = [f"n02085620-Chihuahua/n02085620_{n}.jpg" for n in (7, 199)]
    terrier = ["n02093428-American_Staffordshire_terrier/n02093428_1023.jpg"]
    put(root, *(f"Images/{name}" for name in [*chihuahua, *terrier]))
    put(root, "Annotation/n02085620-Chihuahua/n02085620_7", "README.txt", data=b"x")
    put(root, "Images/n02085620-Chihuahua/._n02085620_7.jpg")
    train, test = [chihuahua[1], *terrier], chihuahua[:1]
    for name, files in (("file", train + test), ("train", train), ("test", test)):
        values = np.array([[1] if "Chihuahua" in f else [2] for f in files], np.uint8)
        mat(root, f"{name}_list.mat", file_list=files, labels=values)


def catsdogs(root: Path) -> None:
    listed = ["Abyssinian_100 1 1 1", "american_bulldog_203 2 2 1", "great_pyrenees_1 16 2 9"]
    put(root, *(f"images/{line.split()[0]}.jpg" for line in listed))
    put(root, "images/Abyssinian_34.jpg", "images/._Abyssinian_100.jpg")  # not listed
    put(root, "images/Abyssinian_100.mat", "annotations/README", data=b"x")
    put(root, "annotations/trimaps/Abyssinian_100.png")
    comments = ["#Image CLASS-ID SPECIES BREED ID", "#ID: 1:37 Class ids", "#SPECIES: 1:Cat 2:Dog"]
    text(root, "annotations/list.txt", *comments, *listed)
    text(root, "annotations/trainval.txt", *listed[:2])
    text(root, "annotations/test.txt", *listed[2:])


def food101(root: Path) -> None:
    names = ["apple_pie/1005649", "apple_pie/134", "baby_back_ribs/1002"]
    put(root, *(f"images/{name}.jpg" for name in names), "images/apple_pie/._134.jpg")
    text(root, "meta/train.txt", names[0], names[2])
    text(root, "meta/test.txt", names[1])
    text(root, "meta/classes.txt", "apple_pie", "baby_back_ribs")
    put(root, "meta/test.json", "README.txt", "license_agreement.txt", data=b"{}")


ALBATROSS = {
    "images/001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg",
    "images/002.Laysan_Albatross/Laysan_Albatross_0001_545.jpg",
    "images/002.Laysan_Albatross/Laysan_Albatross_0002_1027.jpg",
}
TERRIER = "Images/n02093428-American_Staffordshire_terrier/n02093428_1023.jpg"
TEXTURES = ("banded", "polka-dotted")
PETS = {
    "images/Abyssinian_100.jpg": "Abyssinian",
    "images/american_bulldog_203.jpg": "american_bulldog",
    "images/great_pyrenees_1.jpg": "great_pyrenees",
}
FLOWERS = {
    1: "passion flower",
    2: "pink primrose",
    3: "blackberry lily",
    4: "passion flower",
    5: "pink primrose",
    6: "pink primrose",
    7: "pink primrose",
}


def flowers(*numbers: int) -> dict[str, str]:
    return {f"jpg/image_{number:05d}.jpg": FLOWERS[number] for number in numbers}


Case = tuple[Callable[[Path], None], str | None, dict[str, str]]
CASES: list[Case] = [
    (
        imagenet,
        None,
        {
            "val/ILSVRC2012_val_00000001.JPEG": "n03126707",
            "val/ILSVRC2012_val_00000002.JPEG": "n02012849",
            "val/ILSVRC2012_val_00000003.JPEG": "n15075141",
            "val/ILSVRC2012_val_00000004.JPEG": "n02012849",
        },
    ),
    (cub200, None, classes(ALBATROSS)),
    (cub200, "train", classes(path for path in ALBATROSS if "1027" not in path)),
    (cub200, "test", classes(path for path in ALBATROSS if "1027" in path)),
    (wood, None, {"kn01.ppm": "dry_knot", "kn02.ppm": "dry_knot", "kn10.ppm": "sound_knot"}),
    (flowers102, None, flowers(1, 2, 3, 4, 5, 6, 7)),
    (flowers102, "train", flowers(2, 3)),
    (flowers102, "val", flowers(4)),
    (flowers102, "test", flowers(1, 5, 6, 7)),
    (
        caltech101,
        None,
        classes(
            f"101_ObjectCategories/{folder}/image_000{n}.jpg"
            for folder in ("Faces", "Faces_easy", "car_side")
            for n in (1, 2)
        ),
    ),
    (
        caltech256,
        None,
        classes(
            f"256_ObjectCategories/{folder}/{folder[:3]}_0001.jpg"
            for folder in ("001.ak47", "056.dog", "198.spider", "253.faces-easy-101")
        ),
    ),
    (
        mit67,
        None,
        classes([
            "Images/kitchen/int474.jpg",
            "Images/kitchen/cocina 02.jpg",
            "Images/airport_inside/airport_inside_0001.jpg",
        ]),
    ),
    (mit67, "test", {"Images/kitchen/cocina 02.jpg": "kitchen"}),
    (
        textures,
        None,
        classes(f"images/{c}/{c}_000{n}.jpg" for c in TEXTURES for n in (1, 2, 3)),
    ),
    (textures, "train", classes(f"images/{c}/{c}_0002.jpg" for c in TEXTURES)),
    (textures, "val", classes(f"images/{c}/{c}_0003.jpg" for c in TEXTURES)),
    (
        stanforddogs,
        None,
        classes([*(f"Images/n02085620-Chihuahua/n02085620_{n}.jpg" for n in (7, 199)), TERRIER]),
    ),
    (
        stanforddogs,
        "train",
        classes(["Images/n02085620-Chihuahua/n02085620_199.jpg", TERRIER]),
    ),
    (stanforddogs, "test", classes(["Images/n02085620-Chihuahua/n02085620_7.jpg"])),
    (catsdogs, None, PETS),
    (catsdogs, "trainval", {path: c for path, c in PETS.items() if "pyrenees" not in path}),
    (catsdogs, "test", {path: c for path, c in PETS.items() if "pyrenees" in path}),
    (
        food101,
        None,
        classes(
            f"images/{name}.jpg"
            for name in ("apple_pie/1005649", "apple_pie/134", "baby_back_ribs/1002")
        ),
    ),
    (food101, "test", {"images/apple_pie/134.jpg": "apple_pie"}),
    (food101, "train", classes(["images/apple_pie/1005649.jpg", "images/baby_back_ribs/1002.jpg"])),
]  # fmt: skip
MINIATURES = sorted({case[0] for case in CASES}, key=lambda write: write.__name__)
HOMES = {
    "cub200": "CUB_200_2011",
    "wood": "KNOTS",
    "flowers102": "flowers-102",
    "caltech101": "caltech-101",
    "mit67": "indoorCVPR_09",
    "textures": "dtd",
    "catsdogs": "oxford-iiit-pet",
    "food101": "food-101",
}


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
