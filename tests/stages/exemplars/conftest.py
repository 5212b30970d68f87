"""What the tests of the stage ``exemplars`` share."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kdsspark.images.loading import Pixels
from kdsspark.network.extractor import Extractor
from tests.stages.exemplars.small import config_of
from tests.studies import run_here, write_images


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen images, two of which have the same bytes, and one that is none, all embedded.

    They were embedded in the folder ``now`` beside this one, whose paths the tables have.
    """
    place = tmp_path_factory.mktemp("exemplars")
    images = place / "now" / "set"
    write_images(images, {"a": 7, "b": 6})
    shutil.copy(images / "a" / "000.png", images / "b" / "copy.png")
    (images / "a" / "broken.png").write_bytes(b"no image")
    run_here(config_of(images), "index embed")
    shutil.copytree(place / "now" / "out", place / "now" / "fresh")
    (place / "now").rename(place / "kept")
    return place / "kept"


@pytest.fixture
def folder(kept: Path) -> Path:
    """The images; the outputs ``out`` and ``fresh`` beside them have their embeddings."""
    now = kept.with_name("now")
    shutil.rmtree(now, ignore_errors=True)
    shutil.copytree(kept, now)
    return now / "set"


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images went through the network for exemplars, call by call."""
    numbers: list[int] = []
    forward = Extractor.__call__

    def counted(self: Extractor, images: list[Pixels]) -> Mapping[str, Any]:
        if self.spec.pooling == "peak":
            numbers.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Extractor, "__call__", counted)
    return numbers
