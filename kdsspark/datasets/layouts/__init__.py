"""How datasets lie on disk: one reader for each name that ``datasets.layout`` may have (driver)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from kdsspark.config import Dataset, ImageDataset
from kdsspark.datasets.layouts import folder, huggingface, manifest, published, webdataset
from kdsspark.datasets.layouts.layout import Layout, Published
from kdsspark.datasets.left_out import LeftOut
from kdsspark.datasets.listing import Root
from kdsspark.errors import ConfigError, DatasetError

LAYOUTS: Final[dict[str, Layout]] = {
    "folder": Layout(folder.read),
    "manifest": Layout(manifest.read),
    "webdataset": Layout(webdataset.read, splits=None),
    "huggingface": Layout(huggingface.read, splits=None),
    **published.LAYOUTS,
}


def images(dataset: ImageDataset, left_out: LeftOut) -> Iterator[pa.Table]:
    """Every image of a dataset, in tables of ``LISTING``; counts what it leaves out.

    Raises :class:`ConfigError` for a path that leads nowhere, for an unknown split and for a
    background that the layout lacks, else :class:`DatasetError`.
    """
    layout = LAYOUTS[dataset.layout]
    _check_split(dataset, layout.splits)
    _check_background(dataset, layout.background)
    try:
        root = _root(dataset)
        yield from layout.read(dataset, root, left_out)
    except (OSError, ValueError, EOFError, zlib.error, pa.ArrowException) as error:
        raise DatasetError(
            f"dataset {dataset.name}: {dataset.layout} {dataset.path} cannot be read: "
            f"{' '.join(str(error).split())}"
        ) from error


def expected(dataset: Dataset) -> Published | None:
    """The published size of what ``dataset`` asks for, where there is one."""
    if not isinstance(dataset, ImageDataset):
        return None
    found = LAYOUTS[dataset.layout].published
    return found if found is not None and found.split == dataset.split else None


def _root(dataset: ImageDataset) -> Root:
    try:
        root = Root.at(dataset.path)
    except (ValueError, ImportError) as error:
        raise ConfigError(
            f"datasets.{dataset.name}.path: must be a local path or an fsspec URL, "
            f"got {dataset.path}: {' '.join(str(error).split())}"
        ) from error
    root.fs.invalidate_cache()
    return root


def _check_split(dataset: ImageDataset, splits: tuple[str, ...] | None) -> None:
    if dataset.split is None or splits is None or dataset.split in splits:
        return
    expected = f"one of {', '.join(splits)}, or null for all" if splits else "null"
    raise ConfigError(
        f"datasets.{dataset.name}.split: must be {expected} with layout {dataset.layout}, "
        f"got {dataset.split!r}"
    )


def _check_background(dataset: ImageDataset, background: str | None) -> None:
    if dataset.background and background is None:
        known = ", ".join(name for name, layout in LAYOUTS.items() if layout.background)
        raise ConfigError(
            f"datasets.{dataset.name}.background: must be false with layout {dataset.layout} (only "
            f"{known} have one), got true"
        )
