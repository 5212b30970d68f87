"""One decorator for the compiled loops, with a cache on disk that works on every executor.

numba keeps what it compiled beside the source, or in the home directory. On a cluster neither
need be writable, and with ``--py-files`` the source lies in a zip whose path differs from run to
run, so that every run would compile again. Here the cache goes to a private directory chosen
once per process, and its entries are keyed by the source text instead of the path.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from kdsspark import __version__
from kdsspark.errors import KdssparkError

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a loop over arrays to machine code on its first call; it runs without the GIL.

    Calling it raises :class:`KdssparkError` where numba cannot be imported. Where nothing can be
    cached on disk, every process compiles for itself.
    """
    try:
        numba = importlib.import_module("numba")
    except ImportError as missing:
        return _unavailable(function, missing)
    chosen = getattr(numba.config, "CACHE_LOCATOR_CLASSES", "")
    # numba asks for a locator while it decorates, so ours is in force for these kernels only.
    numba.config.CACHE_LOCATOR_CLASSES = chosen or f"{__name__}.{SourceLocator.__name__}"
    kernel: Function
    try:
        kernel = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no locator found a place
        kernel = numba.njit(nogil=True)(function)
    finally:
        numba.config.CACHE_LOCATOR_CLASSES = chosen
    return kernel


def memory_of(rows: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """All memory from the first element of ``rows`` to the last, and how far rows lie apart.

    ``rows`` has two axes, of which the last adjoins, and may be cut out of a larger array. One
    axis is known to adjoin when a loop is compiled; the rows of a part of an array are not.
    """
    stride = rows.strides[0] // rows.itemsize
    size = (rows.shape[0] - 1) * stride + rows.shape[1] if rows.size else 0
    return as_strided(rows, (size,), (rows.itemsize,), writeable=rows.flags.writeable), stride


def _unavailable(function: Function, missing: ImportError) -> Function:
    @functools.wraps(function)
    def fail(*_: Any) -> Any:
        raise KdssparkError(f"numba must be importable to measure, got: {missing}") from missing

    return fail  # type: ignore[return-value]


@functools.cache
def cache_directory() -> Path | None:
    """Where this process keeps compiled kernels, or None for nowhere.

    ``NUMBA_CACHE_DIR`` if it is set. Else the first that is writable, and by this user only:
    ``$XDG_CACHE_HOME/kdsspark/<version>`` (``~/.cache`` if unset), or a directory named after
    the user below the system's temporary one.
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
    # A cache entry is code that will be run, so nobody else may be able to put one there.
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            return False
        tempfile.TemporaryFile(dir=path).close()
    except OSError:
        return False
    return True


class SourceLocator:
    """Tells numba where a kernel is cached, and by its source when an entry is out of date.

    The methods are those of numba's own locators (``numba.core.caching``).
    """

    def __init__(self, directory: Path, source: str, line: int, py_file: str) -> None:
        self._directory = directory
        self._source = source
        self._line = line
        self._py_file = py_file  # numba names it in its warnings

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> SourceLocator | None:
        """None where there is no directory, or no source to compare with."""
        loader = py_func.__globals__.get("__loader__")
        directory = cache_directory()
        if directory is None or not hasattr(loader, "get_source"):
            return None
        source = loader.get_source(py_func.__module__)
        return cls(directory, source, py_func.__code__.co_firstlineno, py_file) if source else None

    def ensure_cache_path(self) -> None:
        """Make the directory of the entries."""
        self._directory.mkdir(parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        """The directory of the entries."""
        return str(self._directory)

    def get_source_stamp(self) -> str:
        """A hash of the module's source: with another one, an entry is stale."""
        return hashlib.sha256(self._source.encode()).hexdigest()

    def get_disambiguator(self) -> str:
        """Tells two kernels of one name in one module apart."""
        return str(self._line)
