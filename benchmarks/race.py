"""The exact distances and all that comes with them, against libraries that test the same pairs.

    python benchmarks/race.py
    python benchmarks/race.py --cores 2 --repeats 5

Each library gets the same array [images, features] in float32, the same labels and as many cores,
in one run, and compares every class with the rest for every feature. A slow one gets a part of the
features. A library that is not installed is skipped (``pip install illico scanpy tsfresh
scikit-learn``). Needs neither Spark nor Java.

Prints Markdown tables. ``core-ns a value`` is the CPU time of all threads and processes, the least
of several calls after one that warms up; ``x kdsspark`` compares that.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import os
import resource
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kdsspark.stats.bins import fill_columns
from kdsspark.stats.ks import exact_ks
from kdsspark.stats.ranks import Comparison, compare_classes

IMAGES, UNITS = 20_000, 1_000
BLOCK = 50  # units that a thread takes at a time
ROW_GROUP = 512  # images that are turned to columns at a time

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Given:
    """What everyone gets."""

    rows: Array  # float32 [images, features]
    columns: Array  # the same, [features, images]
    labels: npt.NDArray[np.int32]  # [images]
    classes: int
    cores: int


# -- who takes part ------------------------------------------------------------------------------


def kdsspark_turned(given: Given) -> list[Comparison]:
    """Rows to columns, and then as :func:`kdsspark_columns`."""
    columns = np.empty(given.columns.shape, np.float32)

    def turn(first: int) -> None:
        some = slice(first, first + ROW_GROUP)
        fill_columns(given.rows[some], columns[:, some])

    with ThreadPoolExecutor(given.cores) as pool:
        list(pool.map(turn, range(0, IMAGES, ROW_GROUP)))
    return _compared(columns, given)


def kdsspark_columns(given: Given) -> list[Comparison]:
    """The loops of ``measure`` on the columns that it holds in memory."""
    return _compared(given.columns, given)


def _compared(columns: Array, given: Given) -> list[Comparison]:
    def block(first: int) -> Comparison:
        some = columns[first : first + BLOCK]
        return compare_classes(some, given.labels[None], given.classes)[1]

    with ThreadPoolExecutor(given.cores) as pool:
        return list(pool.map(block, range(0, len(columns), BLOCK)))


def kdsspark_ks(given: Given) -> None:
    """The exact distances alone."""

    def block(first: int) -> Array:
        return exact_ks(given.columns[first : first + BLOCK], given.labels[None], given.classes)

    with ThreadPoolExecutor(given.cores) as pool:
        list(pool.map(block, range(0, len(given.columns), BLOCK)))


def illico(given: Given) -> Any:
    """Its Mann-Whitney tests of every group against the rest, in Rust."""
    library = importlib.import_module("illico")
    return library.asymptotic_wilcoxon(
        _annotated(given), is_log1p=False, group_keys="label", n_threads=given.cores
    )


def scanpy(given: Given) -> None:
    """``rank_genes_groups`` with the tie-corrected rank-sum test."""
    library = importlib.import_module("scanpy")
    library.tl.rank_genes_groups(
        _annotated(given), "label", method="wilcoxon", tie_correct=True, use_raw=False
    )


def _annotated(given: Given) -> Any:
    library = importlib.import_module("anndata")
    pandas = importlib.import_module("pandas")
    labels = pandas.Categorical([str(label) for label in given.labels])
    names = [str(i) for i in range(len(given.labels))]
    return library.AnnData(given.rows, obs=pandas.DataFrame({"label": labels}, index=names))


def tsfresh(given: Given) -> None:
    """``calculate_relevance_table``: a Mann-Whitney test for every class and feature."""
    relevance = importlib.import_module("tsfresh.feature_selection.relevance")
    pandas = importlib.import_module("pandas")
    features = pandas.DataFrame(given.rows, columns=[f"f{i}" for i in range(given.rows.shape[1])])
    relevance.calculate_relevance_table(
        features,
        pandas.Series(given.labels),
        ml_task="classification",
        multiclass=True,
        n_significant=1,
        n_jobs=given.cores,
    )


def sklearn(given: Given) -> None:
    """``f_classif``: one F test a feature, for all classes together."""
    selection = importlib.import_module("sklearn.feature_selection")
    selection.f_classif(given.rows, given.labels)


@dataclass(frozen=True)
class Racer:
    """Someone who takes part, with at most so many features and classes."""

    name: str
    run: Callable[[Given], Any]
    computes: str
    needs: str | None = None
    most_units: int = UNITS
    most_classes: int = 1_000_000
    repeats: int | None = None


_OURS = "ks, AUC (U), p of U, difference of means, shares of non-zeros"
RACERS = (
    Racer("kdsspark, columns in memory", kdsspark_columns, _OURS),
    Racer("kdsspark, from rows", kdsspark_turned, _OURS),
    Racer("kdsspark, exact_ks alone", kdsspark_ks, "ks"),
    Racer("illico", illico, "U, p of U, fold change", "illico"),
    Racer("scanpy rank_genes_groups", scanpy, "z and p of U, q, fold change", "scanpy", 20, 100, 1),
    Racer("tsfresh relevance table", tsfresh, "p of U, chosen by q", "tsfresh", 10, 100, 1),
    Racer("sklearn f_classif", sklearn, "F and p, one for all classes together", "sklearn"),
)


# -- the race ------------------------------------------------------------------------------------


def main() -> None:
    """Print a table for every number of classes and share of zeros."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--classes", type=int, nargs="+", default=[100, 1_000])
    parser.add_argument("--zeros", type=float, nargs="+", default=[0.0, 0.45])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    race(options.cores, options.classes, options.zeros, options.repeats)


def race(
    cores: int,
    classes: list[int] | tuple[int, ...] = (100, 1_000),
    zeros: list[float] | tuple[float, ...] = (0.0, 0.45),
    repeats: int = 5,
) -> None:
    """Print the tables; says which processor it is."""
    warnings.simplefilter("ignore")  # of other libraries, once a feature
    print(f"\n### Race on {processor()}, {cores} cores, {IMAGES:,} x {UNITS:,}")
    for n_classes in classes:
        for share in zeros:
            print(f"\n{n_classes:,} classes, {share:.0%} zeros\n")
            print("| what | features | core-ns a value | x kdsspark | computes |")
            print("|---|---|---|---|---|")
            _table(made_up(n_classes, share, cores), repeats)


def made_up(n_classes: int, zeros: float, cores: int) -> Given:
    """Half-normal activations, of which a share is zero; a tenth of the features tell class 0."""
    rng = np.random.default_rng(0)
    rows = np.abs(rng.standard_normal((IMAGES, UNITS), np.float32))
    labels = rng.integers(0, n_classes, IMAGES).astype(np.int32)
    rows[labels == 0, : UNITS // 10] += 1
    rows[rng.random(rows.shape, np.float32) < zeros] = 0
    return Given(rows, np.ascontiguousarray(rows.T), labels, n_classes, cores)


def _table(given: Given, repeats: int) -> None:
    ours = None
    for racer in RACERS:
        if racer.needs and importlib.util.find_spec(racer.needs) is None:
            print(f"| {racer.name} | | | | skipped: {racer.needs} is not installed |", flush=True)
            continue
        if given.classes > racer.most_classes:
            print(
                f"| {racer.name} | | | | skipped: takes about ten seconds a feature |", flush=True
            )
            continue
        units = racer.most_units
        some = Given(
            np.ascontiguousarray(given.rows[:, :units]),
            given.columns[:units],
            given.labels,
            given.classes,
            given.cores,
        )
        times = racer.repeats or repeats
        seconds = min(cpu_seconds(racer.run, some) for _ in range(times + (times > 1)))
        ours = seconds / some.rows.size if ours is None else ours
        each = seconds / some.rows.size
        print(
            f"| {racer.name} | {units:,} | {each * 1e9:.1f} | {each / ours:.1f} "
            f"| {racer.computes} |",
            flush=True,
        )


def cpu_seconds(call: Callable[[Given], Any], given: Given) -> float:
    """CPU time of a call, of all its threads and of processes that have ended."""
    before = _spent()
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars
        call(given)
    return _spent() - before


def _spent() -> float:
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)


def processor() -> str:
    """The processor's name, and its instructions that matter here."""
    text = Path("/proc/cpuinfo").read_text()
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    found = {key.strip(): value.strip() for key, value in fields.items()}
    flags = found.get("flags", "").split()
    kinds = [kind for kind in ("avx2", "avx512f", "avx512_bf16", "amx_tile") if kind in flags]
    return f"{found.get('model name', 'an unknown processor')} ({', '.join(kinds)})"


if __name__ == "__main__":
    main()
