"""``kdsspark sql``: statements to Spark, results to the terminal or a pipe (driver)."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TextIO

from kdsspark.errors import KdssparkError
from kdsspark.output.store import Store
from kdsspark.query import views
from kdsspark.terminal import aligned

FORMATS: Final = ("table", "csv", "json")

_ROWS_OF_A_TABLE: Final = 1000  # all are held to align them; the other formats are streams
_TOKEN: Final = re.compile(
    r"""'(?:\\.|[^'\\])*(?:'|\Z) | "(?:\\.|[^"\\])*(?:"|\Z) | `[^`]*(?:`|\Z)
        | --[^\n]* | /\*.*?(?:\*/|\Z) | .""",
    re.DOTALL | re.VERBOSE,
)


def execute(session: Any, store: Store, statements: str | None, form: str) -> int:
    """Run statements, or what stdin says where there are none; returns the exit code.

    ``form`` is one of ``FORMATS``. Raises as :meth:`Console.run` does.
    """
    console = Console(session, store, form, sys.stdout)
    try:
        if statements is None:
            return console.read(sys.stdin)
        console.run(statements)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads, such as head, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


class Console:
    """Runs statements on the views of an output and prints their results."""

    def __init__(self, session: Any, store: Store, form: str, out: TextIO) -> None:
        self._session = views.opened(session, store)
        self._store = store
        self._form = form
        self._out = out

    def run(self, statements: str) -> None:
        """Run one statement, or several with ``;`` between them, up to the first that is wrong.

        Raises :class:`ConfigError` for a wrong one, :class:`KdssparkError` where it fails.
        """
        complete, rest = split(statements)
        for statement in [*complete, rest]:
            if statement.strip():
                self._run_one(statement)

    def read(self, source: TextIO) -> int:
        """Run what ``source`` says, show mistakes and go on.

        Returns the exit code: that of the last mistake, 0 without one or at a terminal.
        """
        terminal, code = source.isatty(), 0
        for statement in _typed() if terminal else _piped(source):
            try:
                self._run_one(statement)
            except KdssparkError as error:
                self._out.flush()
                print(f"kdsspark: {error}", file=sys.stderr)
                code = 0 if terminal else error.exit_code
        return code

    def _run_one(self, statement: str) -> None:
        with views.explained(self._store):
            frame = self._session.sql(statement)
            if frame.columns:  # SET, USE and the like
                _FORMATS[self._form](frame.columns, frame.toLocalIterator(), self._out)


def split(text: str) -> tuple[list[str], str]:
    """The statements that a ``;`` ends, and what follows the last one.

    A ``;`` in quotes or in a comment ends nothing.
    """
    statements: list[str] = []
    tokens: list[str] = []
    for token in _TOKEN.findall(text):
        if token == ";":
            statements.append("".join(tokens))
            tokens = []
        else:
            tokens.append(token)
    return [s for s in statements if s.strip()], "".join(tokens)


def _piped(source: TextIO) -> Iterator[str]:
    complete, rest = split(source.read())
    yield from complete
    if rest.strip():
        yield rest


def _typed() -> Iterator[str]:
    """Statements typed at a terminal, over as many lines as each needs; Ctrl-D ends."""
    import readline  # noqa: F401 (it makes input() edit lines and remember them)

    rest = ""
    while True:
        try:
            rest += input("  ...> " if rest.strip() else "kdsspark> ") + "\n"
        except EOFError:
            print()
            return
        except KeyboardInterrupt:  # forget what was typed
            print()
            rest = ""
        complete, rest = split(rest)
        yield from complete


# -- results -------------------------------------------------------------------------------------


def _write_csv(columns: Sequence[str], rows: Iterable[Any], out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if value is None else _exact(value) for value in row])


def _write_json(columns: Sequence[str], rows: Iterable[Any], out: TextIO) -> None:
    """One object a line; what JSON has no number for is null."""
    for row in rows:
        values = dict(zip(columns, map(_plain, row), strict=True))
        print(json.dumps(values, ensure_ascii=False, default=str), file=out)


def _write_table(columns: Sequence[str], rows: Iterable[Any], out: TextIO) -> None:
    """Columns one below the other, numbers to the right and with six digits."""
    found = list(islice(rows, _ROWS_OF_A_TABLE + 1))
    shown = found[:_ROWS_OF_A_TABLE]
    cells = [list(columns), *([_short(value) for value in row] for row in shown)]
    numbers = [n for n, values in enumerate(zip(*shown, strict=True)) if _are_numbers(values)]
    print(aligned(cells, to_the_right=numbers), file=out)
    if len(found) > len(shown):
        print(f"(the first {len(shown):,} rows; --format csv or json has all)", file=out)


_FORMATS: Final = {"table": _write_table, "csv": _write_csv, "json": _write_json}


def _are_numbers(values: Sequence[Any]) -> bool:
    given = [value for value in values if value is not None]
    return bool(given) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in given
    )


def _short(value: Any) -> str:
    if value is None:
        return "NULL"
    text = f"{value:.6g}" if isinstance(value, float) else _exact(value)
    # A line stays a line, and a terminal is not told anything.
    return "".join(repr(c)[1:-1] if unicodedata.category(c) == "Cc" else c for c in text)


def _exact(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple | dict):
        return json.dumps(_plain(value), ensure_ascii=False, default=str)
    return str(value)


def _plain(value: Any) -> Any:
    """Rows as objects; NaN and infinities, which JSON lacks, as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple) and hasattr(value, "asDict"):
        value = value.asDict()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
