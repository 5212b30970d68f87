"""What ran: kdsspark, Python and the packages that numbers may depend on."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from kdsspark import __version__

_PACKAGES: Final = ("pyspark", "torch", "torchvision", "numpy", "pyarrow")


def versions() -> dict[str, str]:
    """Name -> version, ``unknown`` where a package is not there."""
    found = {"kdsspark": __version__, "python": platform.python_version()}
    return found | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # Spark brings its own pyspark, without the metadata
        return str(getattr(sys.modules.get(package), "__version__", "unknown"))
