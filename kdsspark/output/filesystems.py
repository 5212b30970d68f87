"""File systems by fsspec: where a URL leads, what a file's state is, and ranges of bytes."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.local import LocalFileSystem

_LOCAL: Final = ("file", "local")
_SCHEME: Final = re.compile(r"([\w.+:-]+)://")
_CHAINED: Final = re.compile(r"[\w.+-]+://|/")
_SPECIAL: Final = re.compile(r"[?#]|::")


def locate(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system and path of a URL, or of a local path, which may hold any character.

    Every character stands for itself, so that an image is found by the name it has: `?`, `#`, `%`
    and spaces, parts without a name (`a//b`), and `::` unless it chains URLs
    (`simplecache::s3://bucket/key`). For http URLs see :func:`http_url`.

    Raises ValueError or ImportError where no file system for it is known or installed.
    """
    found = _SCHEME.match(url)
    scheme = found[1] if found else "file"
    if scheme in _LOCAL:
        fs = LocalFileSystem()
        return fs, fs._strip_protocol(url)
    if scheme in ("http", "https"):
        return fsspec.filesystem(scheme, encoded=True), http_url(url)
    special = None if _is_chain(url, scheme) else _SPECIAL.search(url)
    if special is None:
        fs, path = url_to_fs(url)
        return fs, path
    # Some file systems of fsspec drop what follows, and a slash before it; none drops a letter.
    fs, path = url_to_fs(f"{url[: special.start()]}x")
    return fs, path[:-1] + url[special.start() :]


def absolute(url: str) -> str:
    """The one spelling of a place that several texts may name: `./a/`, `/here/a`, `file:///here/a`.

    A local place becomes a path that begins at `/`, without `.`, `..` and repeated slashes; a
    symbolic link keeps its name unless `..` follows it. In the URL of a store such parts can be
    names, so that only slashes at its end are left out.
    """
    found = _SCHEME.match(url)
    if found and found[1] not in _LOCAL:
        return found[0] + url[found.end() :].rstrip("/")
    path = "/"
    for part in LocalFileSystem._strip_protocol(url).split("/"):
        if part == "..":
            above = posixpath.realpath(path) if posixpath.islink(path) else path
            path = posixpath.dirname(above)
        elif part not in ("", "."):
            path = posixpath.join(path, part)
    return path


def http_url(url: str) -> str:
    """An http URL in the characters that one may have; those it may have stay as they are.

    A space becomes `%20`, `#` becomes `%23` (no server sees a fragment), `%` becomes `%25` unless
    two hexadecimal digits follow. `?` begins a query, as it does in any http URL.
    """
    scheme, host, name = re.findall(r"\A([^:]+)://([^/?#]*)(.*)", url, re.DOTALL)[0]
    host = host if host.isascii() else host.encode("idna").decode()
    name = quote(name, safe="!$%&'()*+,/:;=?@[]~")
    return f"{scheme}://{host}{re.sub('%(?![0-9A-Fa-f]{2})', '%25', name)}"


def _is_chain(url: str, scheme: str) -> bool:
    links = url.split("::")[1:]
    return "::" in scheme or (bool(links) and all(map(_CHAINED.match, links)))


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
