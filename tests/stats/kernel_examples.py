"""Calls that reach every kernel of the package, and a program that makes each in its own process.

``python -m tests.stats.kernel_examples NAME...`` makes the calls of these names one after the
other. It prints one JSON object for each: ``name``, ``values`` (a hash of the results), and the
kernels that were ``compiled`` and those that were ``loaded`` from the cache.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from kdsspark import stats
from kdsspark.stats import bins, distances, histograms, ks, moments, ranks, shuffles
from kdsspark.stats.kernel_cache import KernelCache
from kdsspark.stats.several import comparing, label_sets
from kdsspark.stats.summaries import thresholds

Array = np.ndarray[Any, Any]

RNG = np.random.default_rng(0)
VALUES = np.maximum(RNG.normal(size=(60, 5)), 0).astype(np.float32)
CODES = RNG.integers(0, 10, (5, 60)).astype(np.uint8)
LABELS = RNG.integers(0, 3, 60).astype(np.int32)
COUNTS = RNG.integers(0, 9, (2, 3, 10)).astype(np.int32)
KEYS = RNG.integers(0, 1 << 63, (60, 2)).astype(np.uint64)
SETS, _ = label_sets.LabelSets.of([(), (0, 2), (1,)], 3)


def compiled_functions() -> dict[str, Any]:
    """All kernels and helpers of the package, by module and name."""
    prefix = f"{stats.__name__}."
    modules = [each.name for each in pkgutil.walk_packages(stats.__path__, prefix)]
    return {
        f"{module}.{name}": value
        for module in modules
        for name, value in vars(importlib.import_module(module)).items()
        if hasattr(value, "py_func") and value.py_func.__module__ == module
    }


def is_kernel(function: Any) -> bool:
    return isinstance(function._cache, KernelCache)


def kernels() -> dict[str, Any]:
    return {name: each for name, each in compiled_functions().items() if is_kernel(each)}


def codes() -> Array:
    result = np.empty(VALUES.shape[::-1], np.uint8)
    bins.bin_codes(VALUES, VALUES.min(axis=0), VALUES.max(axis=0), 10, result)
    return result


def columns() -> Array:
    result = np.empty(VALUES.shape[::-1], np.float32)
    bins.fill_columns(VALUES, result)
    return result


def compared() -> ranks.Comparison:
    return ranks.compare_classes(np.ascontiguousarray(VALUES.T), LABELS[None], 3)[1]


def compared_sets() -> ranks.Comparison:
    return comparing.compare_sets(np.ascontiguousarray(VALUES.T), LABELS[None], SETS)[1]


def dealt() -> Array:
    sizes = np.bincount(LABELS)
    counts = shuffles.count_hashes(KEYS, 0, 1)
    candidates = shuffles.find_candidates(KEYS, counts.at_boundaries(sizes), 0, 1)
    return shuffles.deal(KEYS, shuffles.find_boundaries(sizes, counts, candidates), 0, 1)


EXAMPLES: dict[str, Callable[[], Array]] = {
    "ranges": lambda: bins.feature_ranges(VALUES).hi,
    "codes": codes,
    "columns": columns,
    "histograms": lambda: histograms.class_histograms(CODES, LABELS, 3, 10),
    "binned ks": lambda: ks.binned_ks(COUNTS).ks,
    "exact ks": lambda: ks.exact_ks(np.ascontiguousarray(VALUES.T), LABELS[None], 3),
    "comparison": lambda: compared().p_auc,
    "histograms of sets": lambda: label_sets.set_histograms(CODES, LABELS, SETS, 10),
    "comparison of sets": lambda: compared_sets().p_auc,
    "moments": lambda: moments.moments(VALUES, np.zeros(5)).squares,
    "shuffled labels": lambda: shuffles.shuffled_labels(KEYS, LABELS, 0, 1),
    "dealt labels": dealt,
    "survival": lambda: thresholds.survival(VALUES / VALUES.max()),
    **{
        name: lambda function=function: function(COUNTS)  # type: ignore[misc]
        for name, function in distances.DISTANCES.items()
    },
}


def values_of(name: str) -> str:
    return hashlib.sha256(EXAMPLES[name]().tobytes()).hexdigest()


def main(names: list[str]) -> None:
    # A fork has the imports of this process and a compiler that has started, but nothing that
    # another example compiled.
    functions = kernels().items()
    numba.njit(lambda array: array[0])(VALUES)
    for name in names:
        child = os.fork()
        if child == 0:
            values = values_of(name)
            stats = {kernel: function.stats for kernel, function in functions}
            compiled = [kernel for kernel, each in stats.items() if each.cache_misses]
            loaded = [kernel for kernel, each in stats.items() if each.cache_hits]
            shown = {"name": name, "values": values, "compiled": compiled, "loaded": loaded}
            print(json.dumps(shown), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit(f"{name} failed")


if __name__ == "__main__":
    main(sys.argv[1:])
