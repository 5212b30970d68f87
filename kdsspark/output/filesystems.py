"""File systems by fsspec: where a URL leads, what a file's state is, and ranges of bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.local import LocalFileSystem


def locate(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system and path of a URL, or of a local path, which may hold any character.

    Raises ValueError or ImportError where no file system for it is known or installed.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or scheme in ("file", "local"):
        fs = LocalFileSystem()  # `url_to_fs` would take `::` for a chain of file systems
        return fs, fs._strip_protocol(url)
    first, *links = url.split("::")
    if not all("://" in link for link in links):  # the name of an object, not a chain of stores
        fs, _ = url_to_fs(first)
        return fs, fs._strip_protocol(url)
    found: tuple[fsspec.AbstractFileSystem, str] = url_to_fs(url)
    return found


def read_range(fs: fsspec.AbstractFileSystem, path: str, start: int, end: int) -> bytes:
    """The bytes of a file from ``start`` to before ``end``, as far as there are any."""
    # From 0 on, fsspec would open HDFS's files as streams, in which it then cannot seek.
    options = {"seekable": True} if isinstance(fs, ArrowFSWrapper) else {}
    return bytes(fs.cat_file(path, start=start, end=end, **options))


def protocols(fs: fsspec.AbstractFileSystem) -> set[str]:
    """The schemes of a file system's URLs."""
    return {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)


def version_of(info: Mapping[str, Any]) -> str:
    """A store's word for a file's state: its etag or checksum, else size, time and inode."""
    for key in ("ETag", "etag", "checksum", "md5Hash"):
        if info.get(key):
            return str(info[key]).strip('"')
    times = (info.get(key) for key in ("LastModified", "mtime", "updated", "created"))
    inode = f"-{info['ino']}" if "ino" in info else ""
    return f"{info.get('size', '')}-{next(filter(None, times), '')}{inode}"


def is_local(fs: fsspec.AbstractFileSystem) -> bool:
    """Whether paths are paths of this machine."""
    return isinstance(fs, LocalFileSystem)


def file_version(fs: fsspec.AbstractFileSystem, path: str) -> str:
    """The state of one file, as `images.version` records it; raises OSError."""
    return local_version(path) if is_local(fs) else version_of(fs.info(path))


def local_version(path: str) -> str:
    """The state of a local file: its size and time of change; empty where it cannot be seen."""
    try:
        found = Path(path).stat()
    except OSError:
        return ""  # vanished or forbidden: reading it will say so, as a row of `failures`
    return f"{found.st_size}-{found.st_mtime_ns}"
