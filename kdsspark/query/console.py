"""``kdsspark sql``: sends statements to Spark, prints results to a terminal or a pipe (driver)."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TextIO

from pyspark.errors import ParseException

from kdsspark.errors import KdssparkError
from kdsspark.output.store import Store
from kdsspark.query import statements as sql
from kdsspark.query import views
from kdsspark.terminal import aligned

FORMATS: Final = ("table", "csv", "json")

_ROWS_OF_A_TABLE: Final = 1000  # held in memory to align them; the other formats are streams
_NO_STATEMENT: Final = ("PARSE_EMPTY_STATEMENT", "PARSE_SYNTAX_ERROR")


def execute(session: Any, store: Store, statements: str | None, form: str) -> int:
    """Run ``statements``, or else those on standard input; returns the exit code.

    ``form`` is one of ``FORMATS``. Raises as :meth:`Console.run` does.
    """
    console = Console(session, store, form, sys.stdout)
    try:
        if statements is None:
            return console.read(sys.stdin if sys.stdin.isatty() else _utf8(sys.stdin))
        console.run(statements)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the pipe, such as head, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _utf8(source: TextIO) -> TextIO:
    """UTF-8 whatever the locale, with or without a byte order mark; other bytes are kept apart."""
    return io.TextIOWrapper(source.buffer, "utf-8-sig", "surrogateescape")


class Console:
    """Runs statements on the views of an output and prints their results."""

    def __init__(self, session: Any, store: Store, form: str, out: TextIO) -> None:
        self._session = views.opened(session, store)
        self._store = store
        self._form = form
        self._out = out

    def run(self, statements: str) -> None:
        """Run one statement, or several with ``;`` between them, up to the first that is wrong.

        Raises :class:`ConfigError` for a mistake in one, :class:`KdssparkError` if it fails.
        """
        for statement in self._complete(statements):
            self._run_one(statement)

    def read(self, source: TextIO) -> int:
        """Run the statements of ``source``; print what is wrong with one and go on.

        Returns the exit code of the last one that is wrong; 0 if there is none, or at a terminal.
        """
        terminal, code = source.isatty(), 0
        for statement in self._typed() if terminal else self._complete(source.read()):
            try:
                self._run_one(statement)
            except KdssparkError as error:
                self._out.flush()
                print(f"kdsspark: {error}", file=sys.stderr)
                code = 0 if terminal else error.exit_code
        return code

    def _complete(self, text: str) -> list[str]:
        complete, rest = sql.split(self._session, text)
        return [*complete, rest]

    def _typed(self) -> Iterator[str]:
        """Statements typed at a terminal, over as many lines as each needs; Ctrl-D ends."""
        import readline  # noqa: F401 (makes input() edit lines and remember them)

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
            complete, rest = sql.split(self._session, rest)
            yield from complete

    def _run_one(self, statement: str) -> None:
        sql.refuse_other_bytes(statement)
        with views.explained(self._store):
            try:
                frame = self._session.sql(statement)
            except ParseException as error:
                if error.getCondition() in _NO_STATEMENT and sql.is_empty(self._session, statement):
                    return
                raise
            if frame.columns:  # SET, USE and the like have none
                _FORMATS[self._form](frame.columns, frame.toLocalIterator(), self._out)


# -- results -------------------------------------------------------------------------------------


def _write_csv(columns: Sequence[str], rows: Iterable[Any], out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if value is None else _exact(value) for value in row])


def _write_json(columns: Sequence[str], rows: Iterable[Any], out: TextIO) -> None:
    """One object a line; NaN and infinities, which JSON lacks, are null."""
    for row in rows:
        values = dict(zip(columns, map(_plain, row), strict=True))
        print(json.dumps(values, ensure_ascii=False, default=str), file=out)


def _write_table(columns: Sequence[str], rows: Iterable[Any], out: TextIO) -> None:
    """Aligned columns, numbers to the right and with six digits."""
    taken = list(islice(rows, _ROWS_OF_A_TABLE + 1))
    shown = taken[:_ROWS_OF_A_TABLE]
    cells = [list(columns), *([_short(value) for value in row] for row in shown)]
    numbers = [n for n, values in enumerate(zip(*shown, strict=True)) if _are_numbers(values)]
    print(aligned(cells, to_the_right=numbers), file=out)
    if len(taken) > len(shown):
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
    # Escaped, so that a row stays one line and no value controls the terminal.
    return "".join(repr(c)[1:-1] if unicodedata.category(c) == "Cc" else c for c in text)


def _exact(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple | dict):
        return json.dumps(_plain(value), ensure_ascii=False, default=str)
    return str(value)


def _plain(value: Any) -> Any:
    """A value for JSON: rows as objects, NaN and infinities as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple) and hasattr(value, "asDict"):
        value = value.asDict()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
