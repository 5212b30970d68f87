"""Steps that are run one after the other, within a time, and what they measured."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Values = dict[str, Any]
Step = tuple[str, Callable[[], Values]]
"""What is measured, and the call that measures it; of its values, dictionaries are not printed."""

# A step cannot know how long it will take: the last one may run over its part's time by so much.
_GRACE = 1.15


class OutOfTime(BaseException):
    """The part's time is up; no error of a step, so that none is taken for it."""


class Report:
    """One line a step, printed at once; all of them in one JSON file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows: list[Values] = []
        self._start = time.monotonic()

    def add(self, part: str, what: str, values: Values) -> None:
        """Print a step's values, and write all there are so far."""
        shown = "  ".join(f"{k} {_short(v)}" for k, v in values.items() if not isinstance(v, dict))
        print(f"{time.monotonic() - self._start:4.0f} {part} {what:<36} {shown}", flush=True)
        self._rows.append({"part": part, "what": what, **values})
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(self._rows, indent=1, default=str))

    def run(
        self, part: str, steps: Iterable[Step], seconds: float, tidy: Callable[[], None]
    ) -> None:
        """Run the steps until the time is up; one that fails leaves a line and stops no other.

        ``tidy`` is called after each step.
        """
        end = time.monotonic() + seconds
        skipped = []
        try:
            with _stopped_after(seconds * _GRACE):
                for what, measure in steps:
                    if time.monotonic() > end:
                        skipped.append(what)
                        continue
                    self.add(part, what, _values(measure))
                    tidy()
        except OutOfTime:
            skipped.append("the rest")
        except Exception as error:
            self.add(part, "setting up", _error(error))
        if skipped:
            self.add(part, "no time was left for", {"steps": ", ".join(skipped)})


def _values(measure: Callable[[], Values]) -> Values:
    try:
        return measure()
    except Exception as error:
        return _error(error)


def _error(error: Exception) -> Values:
    return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"}


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _short(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.1e}" if 0 < abs(value) < 0.005 else f"{value:.4g}"
