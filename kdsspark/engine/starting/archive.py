"""Spark's classes as Java holds them in memory, in a file: with it Spark starts faster (driver).

    python -m kdsspark.engine.starting.archive

makes the file in the environment of this Python: 150 MB, once, in half a minute. Without it Java
reads and checks some ten thousand classes at each start. Java leaves an archive aside that another
Java or another Spark has made. A part of an archive would end Java, so only a whole one is kept.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from kdsspark.errors import KdssparkError

FILE: Final = Path(sys.prefix, "var", "kdsspark", "spark.jsa")

_SECONDS_TO_WRITE: Final = 300


def java_options(file: Path = FILE) -> list[str]:
    """What has Java use the archive, if there is one, and say nothing where it does not fit."""
    return [f"-XX:SharedArchiveFile={file}", "-Xlog:cds*=off"] if file.exists() else []


def make(file: Path = FILE) -> None:
    """Write the archive by a Spark of its own, in a process that has none yet.

    Raises :class:`KdssparkError` where Spark does not start, or Java writes no archive.
    """
    from kdsspark.config import Spark
    from kdsspark.engine.starting import jvm, machine, session

    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    new = file.with_name(f".tmp-{os.getpid()}.jsa")
    options = shlex.join([*machine.java_options(), f"-XX:ArchiveClassesAtExit={new}"])
    settings = Spark(master="local[1]", conf={"spark.driver.defaultJavaOptions": options})
    spark = session.start(settings)
    # A job and a query, so that the classes of both are in the archive.
    spark.sparkContext.parallelize([0], 1).map(str).collect()
    spark.range(1).toPandas()
    whole = jvm.stop(_SECONDS_TO_WRITE)
    if not (whole and new.exists()):
        new.unlink(missing_ok=True)
        raise KdssparkError(f"Java must write all of {new} as it ends, and has not")
    new.replace(file)


if __name__ == "__main__":
    try:
        make()
    except (KdssparkError, OSError) as error:
        sys.exit(f"kdsspark: {error}")
