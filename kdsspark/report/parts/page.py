"""What the modules of the pages return: values for a template, and the files beside the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

Files = Mapping[str, bytes]
"""Path relative to the report -> content."""


class WithFiles(Protocol):
    """A part of a page that brings files of its own, such as a figure or a table with its CSV."""

    @property
    def files(self) -> Files:
        """The files that the part links to."""


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a page: what its template shows, and the files that it links to."""

    values: Mapping[str, Any]
    files: Files


@dataclass(frozen=True, eq=False)
class Page(Part):
    """A whole page: its path relative to the report, and the name of its template."""

    path: str
    template: str


def files_of(*parts: WithFiles) -> dict[str, bytes]:
    """The files of all ``parts``."""
    return {path: content for part in parts for path, content in part.files.items()}


def csv(frame: pd.DataFrame) -> bytes:
    """The frame as CSV in UTF-8; numbers are as short as they can be and still exact.

    Columns of pictures are left out.
    """
    objects = frame.select_dtypes("object")
    pictures = [name for name in objects if objects[name].map(type).isin((bytes, bytearray)).any()]
    return frame.drop(columns=pictures).to_csv(index=False, lineterminator="\n").encode()
