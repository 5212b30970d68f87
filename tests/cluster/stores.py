"""Google's store and HDFS, as far as a folder of this machine can stand for them.

fsspec finds these classes by the entry points of a package, in every process whose ``PYTHONPATH``
names the folder that :func:`known` returns.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from fsspec.implementations.arrow import ArrowFSWrapper, HadoopFileSystem
from pyarrow.fs import LocalFileSystem

from tests.cluster.standalone import ROOT
from tests.objects import Objects

FOLDER = "KDSSPARK_TESTS_GS"
"""The environment variable that says where the objects of ``gs://`` lie."""


class Files(MutableMapping[str, bytes]):
    """Any names and their bytes, each a file of one folder that is replaced in one step."""

    def _file(self, name: str) -> Path:
        return Path(os.environ[FOLDER], quote(name, safe=""))

    def __getitem__(self, name: str) -> bytes:
        try:
            return self._file(name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, data: bytes) -> None:
        temporary = self._file(f".{uuid.uuid4().hex}")
        temporary.write_bytes(data)
        temporary.replace(self._file(name))

    def __delitem__(self, name: str) -> None:
        try:
            self._file(name).unlink()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        names = (path.name for path in Path(os.environ[FOLDER]).iterdir())
        return (unquote(name) for name in names if not name.startswith("."))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class GoogleStorage(Objects):
    """``gs://bucket/name``; like ``gcsfs``: one upload, an etag, creation that is exclusive."""

    protocol = ("gs", "gcs")
    objects: ClassVar[MutableMapping[str, bytes]] = Files()


class Hdfs(HadoopFileSystem):
    """``hdfs://host:port/path``: what fsspec makes of pyarrow, with paths of this machine.

    As with HDFS, times are whole seconds and no file can be created exclusively. What is not
    here is libhdfs: connecting, permissions, and renaming that refuses to replace (pyarrow then
    removes the file first).
    """

    def __init__(self, **options: Any) -> None:
        ArrowFSWrapper.__init__(self, LocalFileSystem(), **options)

    def _make_entry(self, info: Any) -> dict[str, Any]:
        entry: dict[str, Any] = super()._make_entry(info)
        return entry | {"mtime": info.mtime.replace(microsecond=0)}


def known(folder: Path) -> dict[str, str]:
    """The environment in which fsspec takes ``gs://`` and ``hdfs://`` for the classes above."""
    package, objects = folder / "package", folder / "objects"
    objects.mkdir(parents=True)
    about = package / "stores-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stores\nVersion: 1\n")
    classes = f"gs = {__name__}:GoogleStorage\nhdfs = {__name__}:Hdfs\n"
    (about / "entry_points.txt").write_text(f"[fsspec.specs]\n{classes}")
    return {FOLDER: str(objects), "PYTHONPATH": f"{package}{os.pathsep}{ROOT}"}
