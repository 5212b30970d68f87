"""Cases that `make test` leaves to `make cluster-test` and `.ci/run`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet


def left_out(*values: Any) -> ParameterSet:
    """A case that takes long, where `make test` has others like it."""
    return pytest.param(*values, marks=pytest.mark.cluster)


def all_but(some: Collection[str], names: Iterable[str]) -> list[ParameterSet]:
    """The names as cases; `make test` has ``some`` of them alone."""
    return [pytest.param(n) if n in some else left_out(n) for n in names]
