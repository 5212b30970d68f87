"""A whole study from Python, by the Spark session that is there (driver)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from kdsspark import config as configuration
from kdsspark.config import Config
from kdsspark.engine.starting import connect
from kdsspark.errors import KdssparkError

_INTERRUPTED = 130


def run(config: Config | Mapping[str, Any] | str | os.PathLike[str]) -> str:
    """Do what ``kdsspark run`` does, and return the output, as :func:`kdsspark.read` takes it.

    ``config`` is a path or URL of a YAML file, or its content as a mapping. The Spark session of
    this process is used as it is and goes on; the section ``spark`` of the configuration then means
    nothing. Without a session, one is started as the command does.

    Raises :class:`kdsspark.errors.KdssparkError` with the line that the command would print:
    ``ConfigError`` for a wrong configuration, and for a session of Spark Connect;
    ``TooManyFailuresError`` when everything is done, but too many images failed.
    """
    connect.refuse_client()
    from kdsspark.engine.starting import session
    from kdsspark.output.lock import Lock
    from kdsspark.pipeline import records
    from kdsspark.pipeline.study import Study
    from kdsspark.stages import RUN

    loaded = _loaded(config)
    found = session.existing()
    study = Study(loaded, spark=found)
    under_way, code, line = records.Run(RUN, loaded), 0, None
    try:
        with study.settled(Lock(study.output)):
            study.do(RUN, under_way.stage)
    except BaseException as error:
        code, line = _outcome(error)
        raise
    finally:
        if found:
            session.activate(found)
        with suppress(Exception):  # an output that is out of reach has been told of
            records.write(study.output, under_way.ended(code, line))
    return loaded.output


def _outcome(error: BaseException) -> tuple[int, str]:
    """The exit code that the command would have, and a line for the record of the run."""
    if isinstance(error, KdssparkError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED, "interrupted; run again to go on"
    return 1, f"failed: {type(error).__name__}: {error}".partition("\n")[0]


def _loaded(config: Config | Mapping[str, Any] | str | os.PathLike[str]) -> Config:
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return configuration.parse(dict(config))
    return configuration.load(os.fspath(config))
