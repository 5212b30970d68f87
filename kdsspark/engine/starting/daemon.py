"""Spark's parent of Python workers on this machine: ``python -m kdsspark.engine.starting.daemon``.

Spark puts its archive of pyspark before all other folders. Python compiles modules of an archive
anew in every process, which takes longer than all that a worker of ours imports. The driver's own
pyspark is the same, and compiled already.

Workers are forked from this process. So it imports what all tasks do, and no worker does it again.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path


def without_archives(path: list[str], spark_home: str) -> list[str]:
    """The folders of ``path`` but for the archives that come with Spark."""
    archives = Path(spark_home, "python", "lib")
    return [p for p in path if not (p.endswith(".zip") and Path(p).parent == archives)]


if __name__ == "__main__":
    sys.path[:] = without_archives(sys.path, os.environ.get("SPARK_HOME", ""))
    from pyspark.daemon import manager

    from kdsspark.engine.starting import without_pandas

    without_pandas.begin()
    importlib.import_module("kdsspark.engine.fold")
    manager()
