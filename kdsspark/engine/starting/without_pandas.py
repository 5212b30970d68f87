"""Processes of ours do not import pandas before something needs it (driver and workers).

pyarrow imports pandas when it makes its first array, to learn whether values may be pandas objects.
That takes a quarter of a second in the driver and in every Python worker, most of which never see
one.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Final

import pyarrow as pa

_PANDAS: Final = "pandas"


class _Absent(MetaPathFinder):
    """For this finder there is no pandas."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == _PANDAS:
            raise ModuleNotFoundError(f"No module named {_PANDAS!r} yet", name=_PANDAS)


def begin() -> None:
    """Have pyarrow look for pandas now, in vain.

    It looks again when it is asked to convert to or from pandas. Until then it takes a Series for
    any other sequence, so this is for processes of ours, and does nothing where pandas is imported.
    """
    if _PANDAS in sys.modules:
        return
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(absent)
