"""``kdsspark forget``: remove what an output holds of one network or dataset (driver)."""

from __future__ import annotations

import difflib

from kdsspark.config import Config
from kdsspark.errors import ConfigError
from kdsspark.output import definitions, held
from kdsspark.output.definitions import Kind
from kdsspark.output.lock import Lock
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Timed, untimed
from kdsspark.stages import removal


def forget(
    config: Config, kind: Kind, name: str, timed: Timed = untimed, lock: Lock | None = None
) -> str:
    """Remove a network or dataset from all tables of an output, under its lock; says what is left.

    The definition goes last: until then the name is known, and an interrupted removal is taken up
    by the next. Raises :class:`ConfigError` for a name that the output does not know, before
    anything is written.
    """
    output = Output.at(config.output)
    _refuse_unknown(output, kind, name)
    with lock or Lock(output), timed("forget"):
        removal.remove(output, kind, name)
        definitions.forget(output, kind, name)
    return _what_is_left(output, config, kind, name)


def _refuse_unknown(output: Output, kind: Kind, name: str) -> None:
    known = sorted(held.known(output, kind))
    if name in known:
        return
    close = difflib.get_close_matches(name, known)
    hint = f"did you mean {', '.join(close)}?" if close else f"it has {', '.join(known) or 'none'}"
    raise ConfigError(f"--{kind} must be a {kind} of {output.url}, got {name!r} ({hint})")


def _what_is_left(output: Output, config: Config, kind: Kind, name: str) -> str:
    lines = [f"{kind} {name} is in no table of {output.url} any more"]
    if name in held.configured(config)[kind]:
        lines.append("the configuration names it: the next run makes its tables again")
    if output.exists("report/index.html"):
        lines.append("report/ is as it was until the next run draws it again")
    return "\n".join(lines)
