"""Features that a task remembers. ``test_reuse.py`` has those that the output holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdsspark.images.clock import Clock
from kdsspark.output.store import Store
from kdsspark.stages.embed import known
from kdsspark.stages.embed.known import Features, Known


def features(value: float, units: int = 4) -> Features:
    return Features("here", {"x": np.full(units, value, np.float32)})


@pytest.fixture
def remembered(tmp_path: Path) -> Known:
    return Known(Store.at(str(tmp_path)), "", "here", Clock())


def test_what_was_added_is_found_by_its_content(remembered: Known) -> None:
    one, two = features(1), features(2)
    remembered.add({"a": one})
    remembered.add({"b": two})
    assert remembered.find("a") is one
    assert remembered.find("b") is two
    assert remembered.find("c") is None


def test_memory_is_bounded_by_the_bytes_of_values(
    remembered: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "_REMEMBERED_BYTES", 3 * 4 * 4)
    for number in range(5):
        remembered.add({str(number): features(number)})
    held = [remembered.find(str(number)) is not None for number in range(5)]
    assert held == [True, True, True, False, False]
