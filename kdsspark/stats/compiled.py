"""Decorators for compiled loops, and how they see the memory of an array.

A *kernel* is a compiled loop that Python calls. A *helper* is one that only kernels and other
helpers call. Kernels are cached on disk (:mod:`.kernel_cache`), helpers are not: their machine
code is part of the kernels' entries. So the compiler never has to link an entry into a kernel
that it compiles in a later process, which it cannot do for all code (not for generators).

A kernel or helper is a function of a module, without closure, generator or recursion. Globals
are constants to the compiler and must be numbers or modules. A kernel calls helpers only.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from kdsspark.errors import KdssparkError

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Make a kernel: compiled at its first call in any process, then loaded from the cache.

    It runs without the GIL. Calling it raises :class:`KdssparkError` if numba cannot be imported.
    Raises TypeError for a generator and for a function with a closure.
    """
    try:
        from kdsspark.stats.kernel_cache import KernelCache
    except ImportError as missing:
        return _unavailable(function, missing)
    kernel = compiled_helper(function)
    kernel._cache = KernelCache(function)  # type: ignore[attr-defined]
    return kernel


def compiled_helper(function: Function) -> Function:
    """Make a helper: compiled along with the kernels that call it.

    Raises TypeError for a generator and for a function with a closure.
    """
    if function.__closure__ or inspect.isgeneratorfunction(function):
        raise TypeError(f"expected a function without closure or yield, got {function.__name__}")
    try:
        numba: Any = importlib.import_module("numba")
    except ImportError as missing:
        return _unavailable(function, missing)
    helper: Function = numba.njit(nogil=True)(function)
    return helper


def memory_of(rows: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """All memory from the first element of ``rows`` to the last, and the distance between rows.

    ``rows`` has two axes and may be cut out of a larger array; the elements of a row are
    adjacent. The memory is [elements], the distance is in elements. A loop over an array with
    one axis is compiled for adjacent elements; the rows of a cut-out array are not adjacent.
    """
    stride = rows.strides[0] // rows.itemsize
    size = (rows.shape[0] - 1) * stride + rows.shape[1] if rows.size else 0
    return as_strided(rows, (size,), (rows.itemsize,), writeable=rows.flags.writeable), stride


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The array as one with adjacent elements that a kernel may not write.

    A kernel is compiled apart for arrays that it may write and for those that it may not, such as
    those of Arrow. What it only reads comes as the latter, so that it is compiled once.
    """
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _unavailable(function: Function, missing: ImportError) -> Function:
    @functools.wraps(function)
    def fail(*_: Any) -> Any:
        raise KdssparkError(f"numba must be importable to measure, got: {missing}") from missing

    return fail  # type: ignore[return-value]
