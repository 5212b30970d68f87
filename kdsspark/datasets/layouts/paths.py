r"""Paths in a manifest, as other tools write them (driver).

Spark and Hadoop write ``file:/data/1.jpg``, shells ``~/1.jpg``, Windows ``images\1.jpg``. Such a
path is taken for the file that the tool meant. A file of exactly that name comes first, because
here names may hold any character. A path that cannot mean anything here is refused.
"""

from __future__ import annotations

import posixpath
import re
from typing import Final
from urllib.parse import unquote

from fsspec import available_protocols

from kdsspark.datasets.listing import Root
from kdsspark.output.filesystems import is_local, local_version

_FILE: Final = re.compile(r"file:(?://(?P<host>[^/]*))?(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)
_ONE_SLASH: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/(?!/)")
_WINDOWS: Final = re.compile(r"/?[A-Za-z]:[\\/]|\\\\")  # drives, also behind file://; UNC


def understood(folder: Root, path: str) -> str:
    """What ``path`` means in a manifest below ``folder``, spelled as here: a URL, or a path.

    Raises ValueError with what is expected.
    """
    file = _FILE.match(path)
    if file:
        here = _local_path(path, file)
        return _existing(folder, here, unquote(here)) if is_local(folder.fs) else f"file://{here}"
    if "://" in path:
        return path
    one_slash = _ONE_SLASH.match(path)
    if one_slash and one_slash["scheme"].lower() in available_protocols():
        raise ValueError(f"must have two slashes after {one_slash['scheme']}:, got {path!r}")
    found = path
    if is_local(folder.fs):
        home = posixpath.expanduser(path) if path.startswith("~/") else path
        found = _existing(folder, path, path.replace("\\", "/"), home)
    if _WINDOWS.match(path) and not (is_local(folder.fs) and _is_there(folder, found)):
        raise ValueError(f"must be a path of this machine or a URL, got {path!r}")
    return found


def joined(folder: Root, path: str) -> str:
    """A path below ``folder``, or an absolute one, without ``.`` and ``..``."""
    full = posixpath.join(folder.path, path)
    return posixpath.normpath(full) if is_local(folder.fs) else _without_dots(full)


def _without_dots(key: str) -> str:
    """As ``normpath``, but for keys of object stores, in which parts may be empty: ``a//1.jpg``."""
    parts: list[str] = []
    for part in key.split("/"):
        if part == ".." and parts == [""]:
            continue  # nothing is above the root
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _local_path(url: str, file: re.Match[str]) -> str:
    if file["host"] not in (None, "", "localhost"):
        raise ValueError(f"must be file:///PATH without a host, got {url!r}")
    path = file["path"]
    if path is None or _WINDOWS.match(path):
        raise ValueError(f"must be file:/// and an absolute path of this machine, got {url!r}")
    return posixpath.normpath(path)


def _existing(folder: Root, literal: str, *others: str) -> str:
    """The first that is there, or ``literal``: reading it will say what is wrong."""
    different = [other for other in others if other != literal]
    if not different or _is_there(folder, literal):
        return literal
    return next((other for other in different if _is_there(folder, other)), literal)


def _is_there(folder: Root, path: str) -> bool:
    return bool(local_version(joined(folder, path)))
