"""What the tests of the stage ``exemplars`` share."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kdsspark.images.loading import Pixels
from kdsspark.network.extractor import Extractor
from tests.studies import write_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fourteen images, two of which have the same bytes, and one that is none."""
    images = tmp_path / "set"
    write_images(images, {"a": 7, "b": 6})
    shutil.copy(images / "a" / "000.png", images / "b" / "copy.png")
    (images / "a" / "broken.png").write_bytes(b"no image")
    return images


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
