"""Why Spark did not start, in one line that names the setting to blame (driver)."""

from __future__ import annotations

import re
from typing import Final

from kdsspark import causes
from kdsspark.config import Spark

_MEMORY: Final = "spark.driver.memory"
_BY_CHANCE: Final = 3  # so many characters of a value may be in a message by chance
# What a JVM writes when it does not start or has to end.
_LAST_WORDS: Final = (
    re.compile(
        r"^Error occurred during initialization of (?:VM|boot layer)\n(?:java[\w.$]+: )?(.+)",
        re.MULTILINE,
    ),
    re.compile(r"(UnsupportedClassVersionError: .+)"),
    re.compile(r"^Exception in thread \"main\" (?:[\w.$]+: )?(.+)", re.MULTILINE),
    re.compile(r"^(?:Error: )?(Invalid .+|Not allowed .+)", re.MULTILINE),
)
_LOGGED: Final = re.compile(r" ERROR [\w.$]+: (.+)")


def text(value: str | float | bool) -> str:
    """A value of ``spark.conf`` as Spark reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def cause(error: Exception, written: str) -> str:
    """Why Spark did not start; ``written`` is what its JVM wrote.

    A JVM that is alive answers with an exception. If it has ended, only its last words tell why.
    """
    if hasattr(error, "java_exception") or getattr(error, "_origin", None) is not None:
        return causes.of(error).line
    for pattern in _LAST_WORDS:
        if found := pattern.search(written):
            return found[1].strip()
    logged = _LOGGED.findall(written)
    lines = [line for line in written.splitlines() if line.strip() and "WARN" not in line]
    return str(logged[-1] if logged else lines[0] if lines else causes.of(error).line)


def blamed(settings: Spark, message: str) -> str | None:
    """The setting that a message about a failed start is about, as ``key: ..., got value``.

    None if it may be about none of ``settings``. A message may name the key, the value, or the
    last words of the key ("Executor memory must be ..."), and the driver's memory is a heap.
    """
    values = {key: text(value) for key, value in settings.conf.items()}
    lowered = message.lower()
    ranked = [(_score(key, value, message), key) for key, value in values.items()]
    if _MEMORY in values and "heap" in lowered:
        ranked.append((2, _MEMORY))
    score, key = max(ranked, default=(0, ""))
    if score:
        return f"spark.conf.{key}: must be a value that Spark starts with, got {values[key]}"
    hosts = [part for part in re.split(r"[:/,]+", settings.master)[1:] if not part.isdecimal()]
    if "master" in lowered or any(_contains(message, host) for host in hosts if host):
        return f"spark.master: must be a master that Spark starts with, got {settings.master}"
    return None


def _score(key: str, value: str, message: str) -> int:
    words = key.lower().split(".")[1:]
    lowered = message.lower()
    by_words = any(word in lowered for word in words)
    by_value = _contains(message, value) and (len(value) > _BY_CHANCE or by_words)
    return 2 * (key in message) + by_value + (" ".join(words[-2:]) in lowered)


def _contains(message: str, part: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(part)}(?![\w])", message) is not None
