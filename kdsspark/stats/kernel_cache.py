"""A cache on disk for compiled kernels that processes and machines can share.

numba has a cache of its own, which does not suit a cluster. It lies beside the source or in the
home directory, and neither need be writable. With ``--py-files`` the source lies in a zip whose
path differs from run to run, so every run would compile again. numba trusts what it reads, so a
damaged file stops the run. And two processes that write at once can leave the code for one
signature under the name of another.

Here each entry is one file, and a hash of everything that the machine code depends on is its
name. A checksum over that and the content shows damage. An entry that cannot be used is compiled
again and replaced. Where an entry cannot be written, each process compiles for itself.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import logging
import os
import pickle
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from kdsspark import __version__

# Imported by name because the type hints of numba differ between its versions.
numba: Any = importlib.import_module("numba")
llvmlite: Any = importlib.import_module("llvmlite")
compiler: Any = importlib.import_module("numba.core.compiler")
serialize: Any = importlib.import_module("numba.core.serialize")

_log = logging.getLogger(__name__)
_CHECKSUM_BYTES: Final = hashlib.sha256().digest_size


class KernelCache:
    """The entries of one kernel; numba calls it as it calls its own ``numba.core.caching._Cache``.

    No error in reading or writing an entry stops a run; it is logged as a warning.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def cache_path(self) -> str | None:
        """The directory of the entries, None if there is none."""
        directory = cache_directory()
        return str(directory) if directory else None

    def load_overload(self, signature: object, target: Any) -> Any:
        """The compiled kernel for arguments of these types, None if there is no usable entry."""
        target.refresh()
        key = self._key(signature, target.codegen())
        path = self._path(key)
        try:
            return _unpack(path.read_bytes(), key, target) if path else None
        except FileNotFoundError:
            return None
        except Exception as error:  # a damaged entry can raise anything
            _log.warning("the compiled code in %s is not usable, compiling again: %r", path, error)
            return None

    def save_overload(self, signature: object, kernel: Any) -> None:
        """Write the entry of a compiled kernel, unless its code holds addresses of this process."""
        key = self._key(signature, kernel.codegen)
        path = self._path(key)
        if path is None or kernel.library.has_dynamic_globals:
            return
        try:
            _write(path, _pack(kernel, key))
        except Exception as error:  # a full disk, or another layout in a newer numba
            _log.warning("compiled code is not kept for the next process: %r", error)

    def _key(self, signature: object, codegen: Any) -> bytes:
        versions = sys.implementation.cache_tag, numba.__version__, llvmlite.__version__
        machine = codegen.magic_tuple(), numba.config.USING_SVML
        return repr((_definition(self._function), str(signature), versions, machine)).encode()

    def _path(self, key: bytes) -> Path | None:
        directory = cache_directory()
        name = f"{self._function.__module__}.{self._function.__qualname__}"
        return directory and directory / f"{name}-{hashlib.sha256(key).hexdigest()[:32]}.kernel"


def _definition(function: Callable[..., Any]) -> tuple[Any, ...]:
    """What a kernel is compiled from: its bytecode, and the globals and helpers that it uses.

    Taken from memory, because the source file may have changed since it was imported.
    """
    code, variables = function.__code__, function.__globals__
    used = [_value(variables[name]) for name in code.co_names if name in variables]
    names = code.co_names, code.co_varnames
    return function.__qualname__, code.co_code, code.co_consts, *names, *used


def _value(value: Any) -> Any:
    if isinstance(value, ModuleType):
        return value.__name__  # its text holds its path
    return _definition(value.py_func) if hasattr(value, "py_func") else repr(value)


def _pack(kernel: Any, key: bytes) -> bytes:
    content: bytes = serialize.dumps(kernel._reduce())
    return hashlib.sha256(key + content).digest() + content


def _unpack(entry: bytes, key: bytes, target: Any) -> Any:
    checksum, content = entry[:_CHECKSUM_BYTES], entry[_CHECKSUM_BYTES:]
    if hashlib.sha256(key + content).digest() != checksum:
        raise ValueError("checksum does not match")
    return compiler.CompileResult._rebuild(target, *pickle.loads(content))


def _write(path: Path, entry: bytes) -> None:
    """Write all of a file or nothing, whatever other processes do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        new.write_bytes(entry)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


@functools.cache
def cache_directory() -> Path | None:
    """The directory where this process keeps compiled kernels, None if there is none.

    This is ``NUMBA_CACHE_DIR`` if it is set. Otherwise it is the first of two directories that
    only this user can write to: ``$XDG_CACHE_HOME/kdsspark/<version>`` (``~/.cache`` if unset),
    and one below the system's temporary directory that is named after the user.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"])
    return next((path for path in _candidates() if _is_private_and_writable(path)), None)


def _candidates() -> Iterator[Path]:
    root = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):  # a user without a home directory
        yield (Path(root) if root else Path.home() / ".cache") / "kdsspark" / __version__
    yield Path(tempfile.gettempdir()) / f"kdsspark-{os.getuid()}-{__version__}"


def _is_private_and_writable(path: Path) -> bool:
    # The machine code of an entry is run, so nobody else may be able to put one there.
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            return False
        tempfile.TemporaryFile(dir=path).close()
    except OSError:
        return False
    return True
