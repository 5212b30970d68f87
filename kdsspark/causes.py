"""Why something failed, in one line: the cause that Spark wraps in errors of its own (driver)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from traceback import format_exception_only
from typing import Any, Final, NamedTuple

from py4j.protocol import Py4JError  # type: ignore[import-untyped]

_TRACEBACK: Final = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(\S.*)")
_PACKAGE: Final = re.compile(r"^(?:[\w$]+\.)+(?=[\w$]+(?:: |$))")
_ADVICE: Final = re.compile(r"\. Consider setting '.*")  # on how to debug workers that crash


class Cause(NamedTuple):
    """One line for people, and the SQLSTATE where Spark gives one."""

    line: str
    state: str = ""


def of(error: BaseException) -> Cause:
    """The cause of an error of Python, of Spark or of a task.

    It is the last line of a Python traceback if a task raised one; else what Spark says of the
    first error that has a condition (``[CAST_INVALID_INPUT] ...``); else the innermost error of
    Java that says something; else the error itself.
    """
    text = "".join(format_exception_only(error))
    thrown = list(_thrown(error))
    named = next(filter(None, map(_named, thrown)), None)
    if raised := _TRACEBACK.findall(text):
        return Cause(_line(raised[-1]), named.state if named else "")
    if named:
        return named
    texts = [str(each) for each in thrown if each.getMessage()]
    # A RuntimeError is one that this program raises with a sentence of its own.
    return Cause(_line(texts[-1] if texts else text).removeprefix("RuntimeError: "))


def _thrown(error: Any) -> Iterator[Any]:
    """The Java exceptions behind an error of py4j or pyspark, outermost first."""
    each = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    with suppress(Py4JError):  # the JVM may be gone
        while each is not None:
            yield each
            each = each.getCause()


def _named(thrown: Any) -> Cause | None:
    try:
        condition, state = thrown.getCondition(), thrown.getSqlState()
    except Py4JError:  # not an error of Spark
        return None
    return Cause(_line(thrown.getMessage()), state or "") if condition else None


def _line(text: str) -> str:
    """The first line that says something, without packages and advice."""
    line = next(filter(None, map(str.strip, text.splitlines())))
    return _ADVICE.sub("", _PACKAGE.sub("", line))
