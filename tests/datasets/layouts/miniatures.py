"""Miniatures of the paper's eleven datasets: what unpacking leaves, with much that is no image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.archives import classes, mat, put, text

DEVKIT = "ILSVRC2012_devkit_t12/data"


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
