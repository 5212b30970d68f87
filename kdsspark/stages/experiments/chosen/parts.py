"""Where the parts of objects lie: a CSV with the columns image, part, x0, y0, x1, y1 (driver)."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

import fsspec

from kdsspark.errors import DatasetError

_COLUMNS: Final = ("image", "part", "x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class PartBox:
    """One part of one image.

    ``box``: x0, y0, x1, y1 in pixels of the image as it is stored, upright; x1 and y1 are the first
    column and row behind it.
    """

    where: str  # file and line, for errors
    image: str  # as the file names it
    part: str
    box: tuple[float, float, float, float]


def read(location: str) -> list[PartBox]:
    """The rows of a file, in its order.

    Raises :class:`DatasetError` for a file that cannot be read, lacks a column, has a box that is
    none, or has a part of an image twice.
    """
    try:
        with fsspec.open(location, "rt", encoding="utf-8-sig", newline="") as file:
            found = list(_rows(file, location))
    except (OSError, ValueError, ImportError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{location}: must be a readable CSV of parts: {reason}") from error
    seen: set[tuple[str, str]] = set()
    for row in found:
        if (row.image, row.part) in seen:
            raise DatasetError(f"{row.where}: {row.image} must have part {row.part!r} once")
        seen.add((row.image, row.part))
    return found


def _rows(file: IO[str], location: str) -> Iterator[PartBox]:
    reader = csv.DictReader(file)
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise DatasetError(
            f"{location}: must have the columns {', '.join(_COLUMNS)}, lacks {', '.join(missing)}"
        )
    for row in reader:
        where = f"{location}, line {reader.line_num}"
        yield PartBox(where, row["image"] or "", row["part"] or "", _box(row, where))


def _box(row: dict[str, str | None], where: str) -> tuple[float, float, float, float]:
    got = [row[name] for name in _COLUMNS[2:]]
    try:
        x0, y0, x1, y1 = (float(value or "") for value in got)
        good = math.isfinite(x0 + y0 + x1 + y1) and 0 <= x0 < x1 and 0 <= y0 < y1
    except ValueError:
        good = False
    if not good:
        shown = ", ".join(value or "nothing" for value in got)
        raise DatasetError(
            f"{where}: x0, y0, x1, y1 must be numbers with 0 <= x0 < x1 and 0 <= y0 < y1, "
            f"got {shown}"
        )
    return x0, y0, x1, y1
