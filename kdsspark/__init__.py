"""Kolmogorov-Smirnov distances of convolutional features, per feature and class, on Spark.

What is offered lies in :mod:`kdsspark.api` and is imported when it is first used; importing the
package alone imports nothing. Types are in ``__init__.pyi``.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# What is offered -> the module it lies in.
_OFFERED = {
    "KSSelector": "kdsspark.api.selector",
    "measure": "kdsspark.api.measuring",
    "read": "kdsspark.api.reading",
    "run": "kdsspark.api.running",
}

__all__ = [*_OFFERED]


def __getattr__(name: str) -> Any:
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_OFFERED[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_OFFERED})
