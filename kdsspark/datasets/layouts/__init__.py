"""How datasets lie on disk: one reader for each name that ``datasets.layout`` may have (driver)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from kdsspark.config import Dataset
from kdsspark.datasets.layouts import folder, huggingface, manifest, published, webdataset
from kdsspark.datasets.layouts.layout import Layout, Published
from kdsspark.datasets.listing import Root
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.output.filesystems import locate

LAYOUTS: Final[dict[str, Layout]] = {
    "folder": Layout(folder.read),
    "manifest": Layout(manifest.read),
    "webdataset": Layout(webdataset.read, splits=None),
    "huggingface": Layout(huggingface.read, splits=None),
    **published.LAYOUTS,
}


def images(dataset: Dataset) -> Iterator[pa.Table]:
    """Every image of a dataset that comes as images, in tables of ``LISTING``.

    Raises :class:`ConfigError` for a path that leads nowhere and for a split that there is not,
    else :class:`DatasetError`.
    """
    assert dataset.path is not None
    layout = LAYOUTS[dataset.layout]
    _check_split(dataset, layout.splits)
    try:
        fs, path = locate(dataset.path)
        fs.invalidate_cache()
        yield from layout.read(dataset, Root(fs, path.rstrip("/"), dataset.path.rstrip("/")))
    except (OSError, ValueError, ImportError, pa.ArrowException) as error:
        raise DatasetError(
            f"dataset {dataset.name}: {dataset.layout} {dataset.path} cannot be read: "
            f"{' '.join(str(error).split())}"
        ) from error


def expected(dataset: Dataset) -> Published | None:
    """The published size of what ``dataset`` asks for, where there is one."""
    if dataset.ready_made:
        return None
    found = LAYOUTS[dataset.layout].published
    return found if found is not None and found.split == dataset.split else None


def _check_split(dataset: Dataset, splits: tuple[str, ...] | None) -> None:
    if dataset.split is None or splits is None or dataset.split in splits:
        return
    expected = f"one of {', '.join(splits)}, or null for all" if splits else "null"
    raise ConfigError(
        f"datasets.{dataset.name}.split: must be {expected} with layout {dataset.layout}, "
        f"got {dataset.split!r}"
    )
