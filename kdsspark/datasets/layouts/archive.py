"""The unpacked archives of one published dataset: its images, and the lists that name them."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from kdsspark.datasets.left_out import LeftOut
from kdsspark.datasets.listing import Entry, Root, walk
from kdsspark.errors import DatasetError
from kdsspark.images.decoding import image_suffixes

_Value = TypeVar("_Value")
Labels = Mapping[str, str]
"""Path of an image below the archive's folder -> class name."""


@dataclass(frozen=True)
class Archive:
    """The folder that a dataset's archives were unpacked to, and its folder of images."""

    dataset: str
    root: Root
    images: str  # below the root; "" for the root itself
    left_out: LeftOut
    _lists: set[str] = field(default_factory=set)  # files that were read, below the root

    @cached_property
    def versions(self) -> dict[str, str]:
        """Every image file: path below the root -> version."""
        suffixes = image_suffixes()
        return {
            self.root.below(entry.path): entry.version
            for entry in self._files
            if entry.path.lower().endswith(suffixes)
        }

    @cached_property
    def _files(self) -> list[Entry]:
        return list(walk(self.root.fs, self.root.folder(self.images).path, self.left_out))

    def leave_out(self, labels: Labels, reason: str) -> None:
        """Count what lies among the images and is neither one of ``labels`` nor a list."""
        for entry in self._files:
            path = self.root.below(entry.path)
            if path not in labels and path not in self._lists:
                self.left_out.add(path, reason if path in self.versions else None)

    def class_folders(self) -> dict[str, str]:
        """Images right below class folders, with their classes. Others have no class."""
        depth = self._path("a/b").count("/")
        return {p: p.split("/")[-2] for p in self.versions if p.count("/") == depth}

    def listed(self, file: str, suffix: str = "") -> dict[str, str]:
        """Images that a file lists, a line ``class/image`` each, without ``suffix``."""
        found = {}
        for number, line in self._lines(file, "class/image"):
            class_name, slash, image = line.partition("/")
            if not (class_name and slash and image):
                raise self._refusal(file, f"line {number} must be class/image, got {line!r}")
            found[self._path(f"{line}{suffix}")] = class_name
        return found

    def table(self, file: str, *columns: str) -> list[list[str]]:
        """The first columns of a text file in which blanks separate them."""
        named, rows = " ".join(columns), []
        for number, line in self._lines(file, named):
            values = line.split()
            if len(values) < len(columns):
                raise self._refusal(file, f"line {number} must hold {named}, got {line!r}")
            rows.append(values[: len(columns)])
        return rows

    def mat(self, file: str, variable: str) -> list[Any]:
        """A variable of a MATLAB file as a flat list."""
        values: list[Any] = self._variable(file, variable).tolist()
        return values

    def structs(self, file: str, variable: str, *fields: str) -> list[tuple[Any, ...]]:
        """The named fields of a struct array of a MATLAB file, one tuple for each struct."""
        array = self._variable(file, variable)
        named = array.dtype.names or ()
        if not set(fields) <= set(named):
            expected = f"{variable} must have the fields {', '.join(fields)}"
            raise self._refusal(file, f"{expected}, got {', '.join(named) or 'none'}")
        return list(zip(*(array[field].tolist() for field in fields), strict=True))

    def _variable(self, file: str, variable: str) -> npt.NDArray[Any]:
        from scipy.io import loadmat  # takes a while, which other layouts do without

        expected = f"must be a MATLAB file with the variable {variable}"
        data = io.BytesIO(self._bytes(file, expected))
        try:
            found = loadmat(data, squeeze_me=True)
        except Exception as error:  # scipy raises errors of many kinds for a damaged file
            raise self._refusal(file, f"{expected}, got {_line(error)}") from error
        if variable not in found:
            names = ", ".join(name for name in found if not name.startswith("__")) or "none"
            raise self._refusal(file, f"{expected}, got {names}")
        return np.ravel(found[variable])

    def entry(self, entries: Mapping[Any, _Value], key: object, file: str) -> _Value:
        """The entry for ``key`` in ``file``, read as ``entries``; raises DatasetError for none."""
        if key not in entries:
            raise self._refusal(file, f"must have an entry for {key}, got none")
        return entries[key]

    def _path(self, below_images: str) -> str:
        return posixpath.join(self.images, below_images)

    def _lines(self, file: str, expected: str) -> Iterator[tuple[int, str]]:
        """Lines with their numbers from 1, without empty ones and comments."""
        expected = f"must be a text file with lines of {expected}"
        try:
            text = self._bytes(file, expected).decode()
        except UnicodeDecodeError as error:
            raise self._refusal(file, f"{expected}, got {_line(error)}") from error
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip() and not line.startswith("#"):
                yield number, line.strip()

    def _bytes(self, file: str, expected: str) -> bytes:
        self._lists.add(file)
        try:
            return bytes(self.root.fs.cat_file(self.root.folder(file).path))
        except FileNotFoundError:
            raise self._refusal(file, f"{expected}, got no such file") from None

    def _refusal(self, file: str, text: str) -> DatasetError:
        return DatasetError(f"dataset {self.dataset}: {self.root.folder(file).url} {text}")


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
