"""What is said of ready-made embeddings that are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kdsspark.errors import DatasetError, KdssparkError


def refused(call: Callable[[], object], kind: type[KdssparkError] = DatasetError) -> str:
    """The one line of the error of a call, after the name of the dataset, ``mine``."""
    with pytest.raises(KdssparkError) as caught:
        call()
    assert caught.type is kind
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert line.startswith("dataset mine: ")
    return line.removeprefix("dataset mine: ")
