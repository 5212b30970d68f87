"""Spark Connect, which cannot run stages, is refused in one line (driver)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from pyspark.util import is_remote_only

from kdsspark.errors import ConfigError

_WHY: Final = "stages run on Spark's RDDs, which Spark Connect does not have"
_REMOTE: Final = "spark.remote"
_MODE: Final = "spark.api.mode"
# What has PySpark make sessions of Spark Connect; the last is set while there is one.
_VARIABLES: Final = ("SPARK_REMOTE", "SPARK_API_MODE", "SPARK_CONNECT_MODE_ENABLED")


def refuse_client() -> None:
    """Raise :class:`ConfigError` where PySpark is a client of Spark Connect and nothing else."""
    if is_remote_only():
        raise ConfigError(
            f"pyspark must be installed whole, got a package for Spark Connect alone: {_WHY}"
        )


def refuse(conf: Mapping[str, object]) -> None:
    """Raise :class:`ConfigError` where a session would be, or is, one of Spark Connect.

    ``conf`` is that of the configuration.
    """
    refuse_client()
    for name in _VARIABLES:
        value = os.environ.get(name, "")
        if value and value.lower() != "classic":
            raise ConfigError(f"Spark must be classic, got Spark Connect by {name}={value}: {_WHY}")
    for key in (_REMOTE, _MODE):
        given = str(conf.get(key, "classic"))
        if given.lower() != "classic":
            raise ConfigError(f"spark.conf.{key}: must be left out, got {given}: {_WHY}")
