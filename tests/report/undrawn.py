"""Reports whose figures have names and data, but are not drawn: drawing takes most of the time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kdsspark.report.figures import canvas
from kdsspark.report.parts import drawing


@contextmanager
def without_figures(*kinds: str) -> Iterator[None]:
    """In the block, files of these kinds are empty: ``svg``, ``png``; both if none is named."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "_FEW", math.inf)  # of other processes, which are not patched
        for kind in kinds or ("svg", "png"):
            patch.setattr(canvas, kind, lambda _: b"")
        yield
