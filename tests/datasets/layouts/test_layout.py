"""The layouts that there are, against the paper and against their own splits."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from kdsspark import paper
from kdsspark.config import ImageDataset
from kdsspark.datasets.layouts import LAYOUTS, images
from kdsspark.datasets.layouts.layout import Layout, Published
from kdsspark.datasets.left_out import LeftOut
from kdsspark.errors import ConfigError

BY_NAME_OF_FILE = {"webdataset", "huggingface"}


def test_a_layout_has_no_splits_and_no_size_unless_it_says_so() -> None:
    layout = Layout(lambda *_: iter(()))
    assert (layout.splits, layout.published) == ((), None)
    assert Published(1, 2) == Published(1, 2, split=None, note="")
    with pytest.raises(FrozenInstanceError):
        layout.splits = ("a",)  # type: ignore[misc]


@pytest.mark.parametrize("name", LAYOUTS)
def test_splits_are_known_or_in_the_names_of_files(name: str) -> None:
    layout = LAYOUTS[name]
    assert (layout.splits is None) == (name in BY_NAME_OF_FILE)
    assert len(set(layout.splits or ())) == len(layout.splits or ())


def test_the_layouts_with_a_size_are_the_papers_datasets() -> None:
    sized = {name: layout.published for name, layout in LAYOUTS.items() if layout.published}
    assert set(sized) == set(paper.DATASETS["dataset"])
    for row in paper.DATASETS.itertuples():
        found = sized[row.dataset]
        assert (found.images, found.classes) == (row.n_images, row.n_classes), row.dataset
        assert found.split is None or found.split in (LAYOUTS[row.dataset].splits or ())


@pytest.mark.parametrize("name", sorted(set(LAYOUTS) - BY_NAME_OF_FILE))
def test_a_split_that_a_layout_does_not_know_is_refused(name: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"name": "set", "path": str(tmp_path), "layout": name}
    dataset = ImageDataset.model_validate(values | {"split": "nosuch"})
    with pytest.raises(ConfigError, match=r"^datasets\.set\.split: must be .* got 'nosuch'$"):
        list(images(dataset, LeftOut()))
