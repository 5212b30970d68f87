"""The rules for kernels and helpers hold for each of the package; memory seen through strides."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import pytest

import kdsspark
from kdsspark.errors import KdssparkError
from kdsspark.stats import distances, ks
from kdsspark.stats.compiled import compiled, compiled_helper, memory_of, read_only
from tests.stats.kernel_examples import compiled_functions, is_kernel

FUNCTIONS = compiled_functions()


def used(function: Any) -> list[Any]:
    """The globals that a kernel or helper uses."""
    return list(inspect.getclosurevars(function.py_func).globals.values())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_kernel_and_helper_can_be_cached(name: str) -> None:
    function = FUNCTIONS[name].py_func
    assert name == f"{function.__module__}.{function.__qualname__}"
    assert not any(isinstance(constant, CodeType) for constant in function.__code__.co_consts)
    for value in used(FUNCTIONS[name]):
        if hasattr(value, "py_func"):
            assert not is_kernel(value), f"{name} calls the kernel {value.__name__}"
        else:
            assert isinstance(value, ModuleType | int | float | np.number)


def test_no_kernel_is_recursive_and_each_helper_is_used() -> None:
    calls = {each: {v for v in used(each) if hasattr(v, "py_func")} for each in FUNCTIONS.values()}
    TopologicalSorter(calls).prepare()  # raises for a circle
    helpers = {each for each in FUNCTIONS.values() if not is_kernel(each)}
    assert helpers
    assert helpers == set().union(*calls.values())


def yields(x: int) -> Iterator[int]:
    yield x


@pytest.mark.parametrize("decorate", [compiled, compiled_helper])
def test_generators_and_closures_are_refused(decorate: Any) -> None:
    with pytest.raises(TypeError, match="without closure or yield, got yields"):
        decorate(yields)
    with pytest.raises(TypeError, match="without closure or yield, got <lambda>"):
        decorate(lambda: decorate)


def test_all_compiled_code_is_in_stats() -> None:
    package = Path(kdsspark.__file__).parent
    uses = re.compile(r"\bnumba\b|\bstats\.compiled\b")
    files = [file.relative_to(package) for file in package.rglob("*.py")]
    folders = {file.parts[0] for file in files if uses.search((package / file).read_text())}
    assert folders == {"stats"}


@pytest.mark.parametrize("decorate", [compiled, compiled_helper])
def test_without_numba_a_call_raises_one_line(
    decorate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    kernel = decorate(lambda x: x)
    with pytest.raises(KdssparkError, match=r"^numba must be importable to measure, got: .*numba"):
        kernel(1)


@pytest.mark.parametrize(
    ("rows", "elements", "stride"),
    [
        (np.arange(12).reshape(3, 4), range(12), 4),
        (np.arange(12).reshape(3, 4)[:, 1:3], range(1, 11), 4),
        (np.arange(12).reshape(3, 4)[::2, :2], range(10), 8),
        (np.arange(12).reshape(3, 4)[:, 4:], [], 4),
        (np.arange(12).reshape(3, 4)[3:], [], 4),
    ],
)
def test_memory_reaches_from_the_first_element_to_the_last(
    rows: Any, elements: list[int], stride: int
) -> None:
    memory, distance = memory_of(rows)
    assert memory.tolist() == list(elements)
    assert distance == stride
    if rows.size:
        memory[0] = 77
        assert rows[0, 0] == 77
        rows.flags.writeable = False
        assert not memory_of(rows)[0].flags.writeable


def test_arrays_that_may_and_may_not_be_written_have_one_entry() -> None:
    """Counts come from memory and from Arrow, units one by one and many at a time."""
    counts = np.ones((2, 3, 4), np.int32)
    kernels: tuple[Any, ...] = (ks._sweep_bins, distances._fill_distances)
    for array in (counts, read_only(counts)):
        for totals in (None, array.sum(1, dtype=np.int32), read_only(array[:, 0])):
            ks.binned_ks(array, totals)
            distances.auc(array, totals)
    assert [len(kernel.signatures) for kernel in kernels] == [1, 1]
    assert counts.flags.writeable
    sweep: Any = ks._sweep_values
    labels = np.zeros((2, 5), np.int32)
    for units in (1, 3):
        ks.exact_ks(np.ones((units, 5)), labels, 2)
    of_labels = [str(signature[5]) for signature in sweep.signatures]
    assert len(of_labels) == len(set(of_labels)) > 0
