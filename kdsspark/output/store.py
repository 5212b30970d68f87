"""One folder tree on any fsspec file system, in which a file is either whole or absent.

Spark and pyarrow skip names that begin with ``.`` or ``_``; temporary and internal files use
such names, so a table's folder can be read at any moment.
"""

from __future__ import annotations

import json
import posixpath
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any, Self

import fsspec
from fsspec.implementations.local import LocalFileSystem

from kdsspark.errors import ConfigError
from kdsspark.output.filesystems import absolute, locate, protocols, version_of

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss"})
_TEMPORARY = ".tmp-"


@dataclass(frozen=True)
class Store:
    """The output folder (driver and executors). Paths given to it are relative and use ``/``."""

    url: str

    @classmethod
    def at(cls, url: str) -> Self:
        """A store whose URL means the same from every working directory.

        Raises :class:`ConfigError` where no file system for it is known or installed.
        """
        place = absolute(url)
        try:
            fs, path = locate(place)
        except (ValueError, ImportError) as error:
            raise ConfigError(
                f"output: must be a local path or an fsspec URL, got {url}: {error}"
            ) from error
        # The URL of another store may tell more than its path does, such as the host.
        return cls(fs.unstrip_protocol(path) if isinstance(fs, LocalFileSystem) else place)

    @cached_property
    def _located(self) -> tuple[fsspec.AbstractFileSystem, str]:
        fs, root = locate(self.url)
        return fs, root.rstrip("/")

    @property
    def fs(self) -> fsspec.AbstractFileSystem:
        """The file system the store lives on."""
        return self._located[0]

    @property
    def is_local(self) -> bool:
        """Whether paths of the store are paths of this machine."""
        return "file" in protocols(self.fs)

    def path(self, relative: str = "") -> str:
        """The path of ``relative`` as :attr:`fs` knows it."""
        root = self._located[1]
        return posixpath.join(root, relative) if relative else root

    def exists(self, relative: str) -> bool:
        """Whether there is a file or folder, asked of the store and not of a cache."""
        self.fs.invalidate_cache()
        return bool(self.fs.exists(self.path(relative)))

    def files(self, relative: str) -> list[str]:
        """Every whole file below a folder, sorted, relative to the store; [] if there is none."""
        return [name for name in self.all_files(relative) if not _is_temporary(name)]

    def versions(self, relative: str) -> dict[str, str]:
        """The same files, with what the store says of the state of each: see ``version_of``."""
        self.fs.invalidate_cache()
        try:
            found = self.fs.find(self.path(relative), detail=True)
        except FileNotFoundError:
            return {}
        start = len(self.path()) + 1
        names = ((path[start:], info) for path, info in sorted(found.items()))
        return {name: version_of(info) for name, info in names if not _is_temporary(name)}

    def read_json(self, relative: str) -> Any:
        """The content of a JSON file; raises FileNotFoundError."""
        with self.fs.open(self.path(relative), "rb") as file:
            return json.loads(file.read())

    def write_json(self, relative: str, value: Any) -> None:
        """Write plain data as JSON, whole or not at all."""
        with self.create(relative) as file:
            file.write(json.dumps(value, indent=1, sort_keys=True).encode())

    @contextmanager
    def create(self, relative: str) -> Iterator[IO[bytes]]:
        """A new binary file that appears under its name only when the block ends without error.

        Object stores get one upload, completed at the end; others a temporary name beside the
        final one and a rename. An existing file is replaced in one step.
        """
        path = self.path(relative)
        if protocols(self.fs) & _OBJECT_STORES:
            with self._upload(path) as file:
                yield file
            return
        self.fs.makedirs(posixpath.dirname(path), exist_ok=True)
        folder, name = posixpath.split(path)
        temporary = posixpath.join(folder, f"{_TEMPORARY}{uuid.uuid4().hex[:12]}-{name}")
        try:
            with self.fs.open(temporary, "wb") as file:
                yield file
            self.fs.mv(temporary, path)
        except BaseException:
            if self.fs.exists(temporary):
                self.fs.rm_file(temporary)
            raise

    @contextmanager
    def _upload(self, path: str) -> Iterator[IO[bytes]]:
        file = self.fs.open(path, "wb")
        try:
            yield file
            file.close()  # completes the upload
        except BaseException:
            file.closed = True  # lest its destructor close it, that is, complete the upload
            with suppress(Exception):  # forbidden, or out of reach: `abort_uploads` is for that
                file.discard()
            raise

    def remove(self, relative: str) -> None:
        """Remove a file, or a folder and all below it; nothing if it is not there."""
        path = self.path(relative)
        self.fs.invalidate_cache()
        if self.fs.isdir(path):
            self.fs.rm(path, recursive=True)
        else:
            with suppress(FileNotFoundError):
                self.fs.rm_file(path)

    def remove_empty(self, folders: Iterable[str]) -> None:
        """Remove folders in which nothing is left, and then those above them of which that is true.

        Object stores have no empty folders.
        """
        if protocols(self.fs) & _OBJECT_STORES:
            return
        for folder in sorted(set(folders), reverse=True):  # those within others come first
            while folder and self._is_empty(folder):
                self.fs.rmdir(self.path(folder))
                folder = posixpath.dirname(folder)

    def folders(self, relative: str) -> list[str]:
        """The names of the folders right below one, sorted; they may be empty."""
        return sorted(
            posixpath.basename(info["name"].rstrip("/"))
            for info in self._entries(relative)
            if info["type"] == "directory"
        )

    def _is_empty(self, relative: str) -> bool:
        return self.fs.isdir(self.path(relative)) and not self._entries(relative)

    def _entries(self, relative: str) -> list[dict[str, Any]]:
        self.fs.invalidate_cache()
        try:
            return list(self.fs.ls(self.path(relative), detail=True))
        except FileNotFoundError:
            return []

    def clean(self, relative: str) -> None:
        """Remove what killed writers left below a folder. Only under the output's lock."""
        for name in self.all_files(relative):
            if _is_temporary(name):
                self.remove(name)

    def abort_uploads(self) -> None:
        """Drop uploads that killed writers began, which S3 keeps, and bills, for ever.

        Only under the output's lock. Says so where that is not allowed; nothing depends on it.
        """
        if "s3" not in protocols(self.fs):
            return
        try:
            self._abort_uploads()
        except PermissionError as error:
            print(f"{self.url}: unfinished uploads stay, {error}", file=sys.stderr)

    def _abort_uploads(self) -> None:
        bucket, _, prefix = self.path().partition("/")
        wanted = {"Bucket": bucket, "Prefix": f"{prefix}/" if prefix else ""}
        while begun := self.fs.call_s3("list_multipart_uploads", **wanted).get("Uploads"):
            for upload in begun:  # a thousand at most
                key, number = upload["Key"], upload["UploadId"]
                self.fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=number)

    def all_files(self, relative: str) -> list[str]:
        """The same as :meth:`files`, and what killed writers left."""
        self.fs.invalidate_cache()
        try:
            found = self.fs.find(self.path(relative))
        except FileNotFoundError:
            return []
        start = len(self.path()) + 1
        return sorted(name[start:] for name in found)


def _is_temporary(name: str) -> bool:
    return posixpath.basename(name).startswith(_TEMPORARY)
