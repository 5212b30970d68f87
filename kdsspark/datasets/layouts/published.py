"""The eleven datasets of the paper (table 2), as their archives unpack.

Each dataset is declared by the folders that it unpacks to and by one function that gives every
image its class: from its folder, or from the lists that come with it. All splits are merged unless
the configuration names one. An image that a list names and that is missing is listed: reading it
fails, which becomes a row of ``failures``. An image that no list names is left out, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Final

import pyarrow as pa

from kdsspark.config import ImageDataset
from kdsspark.datasets.layouts.archive import Archive, Labels
from kdsspark.datasets.layouts.flower_names import FLOWER_NAMES
from kdsspark.datasets.layouts.layout import Layout, Published
from kdsspark.datasets.left_out import LeftOut
from kdsspark.datasets.listing import Root, Row, tables
from kdsspark.errors import ConfigError

_SYNSET: Final = re.compile(r"n\d{8}")
_FLAT: Final = re.compile(r"(?:val/)?ILSVRC2012_val_(\d{8})\.JPEG")


def _imagenet(archive: Archive, _split: str | None) -> Labels:
    """Synset ids, from class folders or, for the archive's flat files, from the devkit."""
    numbers = {p: int(match[1]) for p in archive.versions if (match := _FLAT.fullmatch(p))}
    if not numbers:
        folders = archive.class_folders()
        return {p: folder for p, folder in folders.items() if _SYNSET.fullmatch(folder)}
    synsets = "ILSVRC2012_devkit_t12/data/meta.mat"
    truth = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
    wnids = {
        str(number): str(wnid)
        for number, wnid in archive.structs(synsets, "synsets", "ILSVRC2012_ID", "WNID")
    }
    labels = dict(enumerate((row[0] for row in archive.table(truth, "ILSVRC2012_ID")), start=1))
    return {
        path: archive.entry(wnids, archive.entry(labels, number, truth), synsets)
        for path, number in numbers.items()
    }


def _cub200(archive: Archive, split: str | None) -> Labels:
    names = dict(archive.table("classes.txt", "class_id", "class_name"))
    classes = dict(archive.table("image_class_labels.txt", "image_id", "class_id"))
    images = dict(archive.table("images.txt", "image_id", "image_name"))
    if split:
        part = {"train": "1", "test": "0"}[split]
        rows = archive.table("train_test_split.txt", "image_id", "is_training_image")
        wanted = {image for image, training in rows if training == part}
        images = {image: path for image, path in images.items() if image in wanted}
    labels = {image: archive.entry(classes, image, "image_class_labels.txt") for image in images}
    return {
        f"images/{path}": archive.entry(names, labels[image], "classes.txt")
        for image, path in images.items()
    }


def _wood(archive: Archive, _split: str | None) -> Labels:
    """The list names files ``.ppm``; copies that were converted keep the stem."""
    files: dict[str, str] = {}
    for path in map(PurePosixPath, sorted(archive.versions)):
        files.setdefault(path.stem, str(path))
        files[path.name] = str(path)
    rows = archive.table("names.txt", "image", "class")
    return {files.get(name, files.get(PurePosixPath(name).stem, name)): c for name, c in rows}


def _flowers102(archive: Archive, split: str | None) -> Labels:
    names = dict(enumerate(FLOWER_NAMES, start=1))
    labels = dict(enumerate(archive.mat("imagelabels.mat", "labels"), start=1))
    numbers = list(labels)
    if split:
        variable = {"train": "trnid", "val": "valid", "test": "tstid"}[split]
        numbers = archive.mat("setid.mat", variable)
    return {
        f"jpg/image_{number:05d}.jpg": archive.entry(
            names, archive.entry(labels, number, "imagelabels.mat"), "imagelabels.mat"
        )
        for number in numbers
    }


def _class_folders(archive: Archive, _split: str | None) -> Labels:
    return archive.class_folders()


def _mit67(archive: Archive, split: str | None) -> Labels:
    """Only the images that the two lists name: 100 of each class, as in the paper."""
    lists = {"train": "TrainImages.txt", "test": "TestImages.txt"}
    wanted = [lists[split]] if split else lists.values()
    return {path: c for file in wanted for path, c in archive.listed(file).items()}


def _textures(archive: Archive, split: str | None) -> Labels:
    """The key attribute of an image is its class; splits are the first of the ten published."""
    return archive.listed(f"labels/{split}1.txt") if split else archive.class_folders()


def _stanforddogs(archive: Archive, split: str | None) -> Labels:
    if not split:
        return archive.class_folders()
    names = archive.mat(f"{split}_list.mat", "file_list")
    return {f"Images/{name}": PurePosixPath(str(name)).parent.name for name in names}


def _catsdogs(archive: Archive, split: str | None) -> Labels:
    """``Abyssinian_100`` is of class ``Abyssinian``. The folder holds more images than the list."""
    file = f"annotations/{split or 'list'}.txt"
    rows = archive.table(file, "image", "class_id", "species", "breed_id")
    return {f"images/{image}.jpg": image.rpartition("_")[0] for image, *_ in rows}


def _food101(archive: Archive, split: str | None) -> Labels:
    return archive.listed(f"meta/{split}.txt", ".jpg") if split else archive.class_folders()


def _layout(
    labels: Callable[[Archive, str | None], Labels],
    download: str,
    homes: tuple[str, ...],
    images: tuple[str, ...],
    published: Published,
    splits: tuple[str, ...] = (),
    background: str | None = None,
) -> Layout:
    """``homes``: folders that ``download`` may unpack to; ``images``: its folder of images.

    ``background``: a class folder that is no class.
    """

    def read(dataset: ImageDataset, root: Root, left_out: LeftOut) -> Iterator[pa.Table]:
        home, folder = _find(dataset, root, download, homes, images)
        archive = Archive(dataset.name, home, folder, left_out)
        of_images = labels(archive, dataset.split)
        if background and not dataset.background:
            of_images = {path: c for path, c in of_images.items() if c != background}
        archive.leave_out(of_images, "of no class" if not dataset.split else "not in this split")
        yield from tables(_rows(archive, of_images))

    return Layout(read, splits, published, background)


def _find(
    dataset: ImageDataset,
    root: Root,
    download: str,
    homes: tuple[str, ...],
    images: tuple[str, ...],
) -> tuple[Root, str]:
    """The folder that the archives were unpacked to, and the name of its folder of images."""
    for home in map(root.folder, homes):
        for folder in images:
            if root.fs.isdir(home.folder(folder).path):
                return home, folder
    inside = f", with {images[-1]}/ in it" if images[-1] else ""
    raise ConfigError(
        f"datasets.{dataset.name}.path: must be the folder that {download} was unpacked to"
        f"{inside}, got {root.url}"
    )


def _rows(archive: Archive, labels: Labels) -> Iterator[Row]:
    for path in sorted(labels):
        uri = archive.root.uri(archive.root.folder(path).path)
        yield path, uri, labels[path], archive.versions.get(path, "")


LAYOUTS: Final = {
    "imagenet": _layout(
        _imagenet, "ILSVRC2012_img_val.tar", ("",), ("val", ""), Published(50_000, 1000)
    ),
    "cub200": _layout(
        _cub200,
        "CUB_200_2011.tgz",
        ("", "CUB_200_2011"),
        ("images",),
        Published(11_788, 200),
        ("train", "test"),
    ),
    "wood": _layout(_wood, "KNOTS", ("KNOTS", ""), ("",), Published(438, 7)),
    "flowers102": _layout(
        _flowers102,
        "102flowers.tgz",
        ("", "flowers-102"),
        ("jpg",),
        Published(8189, 102),
        ("train", "val", "test"),
    ),
    "caltech101": _layout(
        _class_folders,
        "101_ObjectCategories.tar.gz",
        ("", "caltech-101"),
        ("101_ObjectCategories",),
        Published(9146, 101, note="BACKGROUND_Google counted"),
        background="BACKGROUND_Google",
    ),
    "mit67": _layout(
        _mit67,
        "indoorCVPR_09.tar",
        ("", "indoorCVPR_09"),
        ("Images",),
        Published(6700, 67),
        ("train", "test"),
    ),
    "textures": _layout(
        _textures,
        "dtd-r1.0.1.tar.gz",
        ("", "dtd"),
        ("images",),
        Published(5640, 47),
        ("train", "val", "test"),
    ),
    "caltech256": _layout(
        _class_folders,
        "256_ObjectCategories.tar",
        ("",),
        ("256_ObjectCategories",),
        Published(30_607, 256, note="257.clutter counted"),
        background="257.clutter",
    ),
    "stanforddogs": _layout(
        _stanforddogs, "images.tar", ("",), ("Images",), Published(20_580, 120), ("train", "test")
    ),
    "catsdogs": _layout(
        _catsdogs,
        "images.tar.gz",
        ("", "oxford-iiit-pet"),
        ("images",),
        Published(7349, 37),
        ("trainval", "test"),
    ),
    "food101": _layout(
        _food101,
        "food-101.tar.gz",
        ("", "food-101"),
        ("images",),
        Published(25_250, 101, split="test"),
        ("train", "test"),
    ),
}
