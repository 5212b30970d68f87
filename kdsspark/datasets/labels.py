"""The rules that the labels of every source follow (driver)."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.errors import DatasetError

_MOST_SHOWN: Final = 5  # pairs of names
_UNICODE: Final = "Unicode form"
_FORMS: Final[dict[str, Callable[[str], str]]] = {
    _UNICODE: lambda name: unicodedata.normalize("NFKC", name),
    "case": str.casefold,
    "surrounding space": str.strip,
}


def refuse_unusable(where: str, rows: pa.Table) -> None:
    """Raise :class:`DatasetError` for a row without a label, and for names that are no text.

    A label that is null, empty or white space is none. ``rows`` have the columns of ``LISTING``.
    """
    for column in rows.column_names:
        try:
            rows[column].validate(full=True)
        except pa.ArrowInvalid:
            raise _other_text(where, rows, column) from None
    missing = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(rows["class_name"], "")), "")
    if pc.any(missing).as_py():
        row = pc.index(missing, True).as_py()
        uri, label = rows["uri"][row].as_py(), rows["class_name"][row].as_py()
        raise DatasetError(f"{where}: {uri} must have a label, got {label!r}")


def _other_text(where: str, rows: pa.Table, column: str) -> DatasetError:
    """The error for the first value of a column that is no text, with the row it is in."""
    values = rows[column].cast(pa.binary()).to_pylist()
    row = next(i for i, value in enumerate(values) if not _is_utf8(value))
    uri = rows["uri"][row].as_py()
    return DatasetError(f"{where}: {uri} must have a {column} in UTF-8, got {values[row]!r}")


def _is_utf8(data: bytes) -> bool:
    """Whether bytes are valid UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def alike(names: Iterable[str]) -> list[str]:
    """One line about names that differ in Unicode form, case or surrounding space alone; or none.

    They stay apart, because they may be meant so; more often one class is spelled in two ways.
    """
    seen: dict[str, str] = {}
    pairs = []
    for name in sorted(names):
        other = seen.setdefault(_plain(name, _FORMS), name)
        if other != name:
            pairs.append(_in_words(other, name))
    if not pairs:
        return []
    more = [f"{len(pairs) - _MOST_SHOWN} more"] if len(pairs) > _MOST_SHOWN else []
    shown = "; ".join(pairs[:_MOST_SHOWN] + more)
    return [f"classes whose names differ only in spelling are kept apart: {shown}"]


def _plain(name: str, forms: Iterable[str]) -> str:
    for form in [*forms] * 2:  # what one leaves, another may change
        name = _FORMS[form](name)
    return name


def _in_words(one: str, other: str) -> str:
    """``'Cat' and 'cat' (case)``; characters that look the same are escaped."""
    needed = [form for form in _FORMS if _plain(one, _but(form)) != _plain(other, _but(form))]
    show = repr if needed and _UNICODE not in needed else ascii
    return f"{show(one)} and {show(other)} ({', '.join(needed or [_UNICODE])})"


def _but(form: str) -> list[str]:
    return [other for other in _FORMS if other != form]
