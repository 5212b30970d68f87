"""Spark Connect, which cannot run stages, is refused in one line (driver)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from pyspark.util import is_remote_only

from kdsspark.errors import ConfigError

_WHY: Final = "stages run on Spark's RDDs, which Spark Connect does not have"
# What has PySpark make sessions of Spark Connect; the last is set while there is one.
_VARIABLES: Final = (
    "SPARK_REMOTE",
    "SPARK_API_MODE",
    "SPARK_CONNECT_MODE",
    "SPARK_CONNECT_MODE_ENABLED",
)
_CLASSIC: Final = ("", "0", "classic")
_SETTINGS: Final = ("spark.remote", "spark.api.mode")


def refuse_client() -> None:
    """Raise :class:`ConfigError` where PySpark is a client of Spark Connect and nothing else."""
    if is_remote_only():
        raise ConfigError(
            f"pyspark must be installed whole, got a package for Spark Connect alone: {_WHY}"
        )


def refuse(conf: Mapping[str, object], where: str = "") -> None:
    """Raise :class:`ConfigError` where a session would be, or is, one of Spark Connect.

    ``conf`` has settings of Spark; ``where`` is the section of the configuration that they are in.
    """
    refuse_client()
    given = {name: os.environ.get(name, "") for name in _VARIABLES}
    given |= {f"{where}{key}": str(conf.get(key, "")) for key in _SETTINGS}
    for name, value in given.items():
        if value.lower() not in _CLASSIC:
            raise ConfigError(f"Spark must be classic, got Spark Connect by {name}={value}: {_WHY}")
