"""Output for people: the progress of a stage, and aligned tables (driver)."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import TextIO

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 15.0


class Progress:
    """``with Progress("embed", 130, "images") as progress: progress.show(done, failed)``.

    Shows done/total, rate, time left and failures so far: a bar on a terminal, elsewhere a line
    every 15 seconds and one at the end. A stage with nothing to do shows nothing.
    """

    def __init__(self, stage: str, total: int, unit: str, stream: TextIO | None = None) -> None:
        self._stage, self._total, self._unit = stage, total, unit
        self._stream = stream or sys.stderr
        self._bar: tqdm[None] | None = None
        self._started = self._printed_at = time.monotonic()
        self._state = (0, 0)  # done, failed
        self._printed: tuple[int, int] | None = None

    def __enter__(self) -> Progress:
        if self._total and self._stream.isatty():
            size = shutil.get_terminal_size()  # 80 x 24 if unknown
            self._bar = tqdm(
                total=self._total,
                desc=f"{self._stage:<9}",
                unit=f" {self._unit}",
                file=self._stream,
                ncols=size.columns,
                nrows=size.lines,
                postfix={"failed": 0},
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.close()
        elif self._total and kind is None and self._printed != self._state:
            self._print()

    def show(self, done: int, failed: int = 0) -> None:
        """Show how far the stage is; cheap enough to be called several times a second."""
        previous, self._state = self._state, (done, failed)
        if self._bar:
            self._bar.set_postfix(failed=failed, refresh=False)
            self._bar.update(done - previous[0])
            self._bar.refresh()
        elif self._total and time.monotonic() - self._printed_at >= _SECONDS_BETWEEN_LINES:
            self._print()

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        if self._bar:
            self._bar.write(line, file=self._stream)
        else:
            print(line, file=self._stream, flush=True)

    def _print(self) -> None:
        done, failed = self._printed = self._state
        self._printed_at = time.monotonic()
        seconds = self._printed_at - self._started
        rate = done / seconds if seconds else 0.0
        left = f", {(self._total - done) / rate:.0f} s left" if 0 < done < self._total else ""
        print(
            f"{self._stage}: {done}/{self._total} {self._unit}, {rate:.1f}/s{left}, "
            f"{failed} failed",
            file=self._stream,
            flush=True,
        )


def aligned(rows: Sequence[Sequence[str]], to_the_right: Collection[int]) -> str:
    """Rows of equally many cells as lines with aligned columns.

    ``to_the_right`` has the numbers of the columns that are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if column in to_the_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
    return "\n".join(lines)
