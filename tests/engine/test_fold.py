"""One fold over files: every file once, in an order that the number of tasks does not change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial, reduce
from operator import add

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from kdsspark.engine import fold as folding
from kdsspark.engine.fold import _Fold, _Group, fold
from kdsspark.engine.watch import Watched
from kdsspark.errors import DatasetError, PlacementError
from tests.inprocess import InProcess, Sum


def letters(key: str, file: str) -> Iterable[str]:
    """The values of a file: its letters, each with the key."""
    return (f"{key}{letter}" for letter in file)


def executor(load: object, watched: Watched | None = None) -> _Fold:
    return _Fold(load, add, watched or Watched(Sum(0), Sum(0), Sum([])))  # type: ignore[arg-type]


# -- a group of files, without Spark -------------------------------------------------------------


def test_values_are_merged_in_order_and_files_counted() -> None:
    watched = Watched(Sum(0), Sum(0), Sum([]))  # type: ignore[arg-type]
    found = executor(letters, watched)(_Group("k", ("ab", "c", "de")))
    assert found == ("k", "kakbkckdke")
    assert (watched.done.value, watched.failed.value) == (3, 0)


def test_values_are_loaded_one_file_at_a_time() -> None:
    steps: list[str] = []

    def load(_: str, file: str) -> Iterator[str]:
        steps.append(f"load {file}")
        yield file

    def merge(first: str, second: str) -> str:
        steps.append(f"merge {first} {second}")
        return first + second

    _Fold(load, merge, Watched(Sum(0), Sum(0), Sum([])))(_Group("k", ("a", "b", "c")))  # type: ignore[arg-type]
    assert steps == ["load a", "load b", "merge a b", "load c", "merge ab c"]


@pytest.mark.parametrize("error", [DatasetError("3 columns"), PlacementError("no GPU")])
def test_a_users_mistake_is_returned(error: Exception) -> None:
    def load(_: str, file: str) -> Iterator[str]:
        if file == "bad":
            raise error
        yield file

    watched = Watched(Sum(0), Sum(0), Sum([]))  # type: ignore[arg-type]
    assert executor(load, watched)(_Group("k", ("good", "bad", "good"))) is error
    assert watched.done.value == 1
    assert watched.fatal.value == [error] * isinstance(error, PlacementError)


# -- all files, without Spark --------------------------------------------------------------------

files = st.dictionaries(st.sampled_from("xyz"), st.lists(st.text("abc", min_size=1), max_size=90))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(files=files, at_least=st.integers(1, 20))
def test_the_result_is_that_of_one_loop(
    in_process: InProcess, files: dict[str, list[str]], at_least: int
) -> None:
    found = fold(in_process, "letters", files, letters, add, at_least)  # type: ignore[arg-type]
    assert found == {
        key: "".join(value for file in some for value in letters(key, file))
        for key, some in files.items()
        if some
    }


@pytest.mark.parametrize(
    ("n_files", "at_least", "tasks"),
    [
        ({"x": 0}, 16, []),
        ({"x": 1}, 16, [1]),
        ({"x": 16, "y": 17}, 16, [1 + 2]),
        ({"x": 64}, 1, [64]),
        ({"x": 65}, 1, [33]),  # two files each, as there are at most 64 tasks a key
        ({"x": 6400, "y": 64}, 1, [128]),
    ],
)
def test_files_are_grouped_by_their_number_alone(
    in_process: InProcess, n_files: dict[str, int], at_least: int, tasks: list[int]
) -> None:
    some = {key: ["a"] * n for key, n in n_files.items()}
    fold(in_process, "letters", some, letters, add, at_least)  # type: ignore[arg-type]
    assert in_process.sparkContext.jobs == tasks
    assert folding._MOST_TASKS == 64


def test_nothing_to_fold_needs_no_spark() -> None:
    assert fold(None, "letters", {}, letters, add) == {}
    assert fold(None, "letters", {"x": []}, letters, add) == {}


# -- by Spark ------------------------------------------------------------------------------------


def _value(seed: int, key: int, file: int) -> list[float]:
    return [float(np.random.default_rng([seed, key, file]).standard_normal())]


def test_rounding_is_the_same_in_many_tasks(spark: SparkSession) -> None:
    """Sums of floats depend on the order; Spark's tasks end in any order."""
    many = {key: list(range(70 * key)) for key in range(3)}
    found = fold(spark, "sums", many, partial(_value, 1), add, at_least=4)
    expected = {}
    for key in (1, 2):
        size = max(4, -(-len(many[key]) // 64))
        groups = [many[key][n : n + size] for n in range(0, len(many[key]), size)]
        sums = [reduce(add, (_value(1, key, file)[0] for file in group)) for group in groups]
        expected[key] = reduce(add, sums)
    assert found == expected


def _refuses(_: str, file: int) -> list[int]:
    if file == 7:
        raise DatasetError("file 7 must have 3 columns, got 2")
    return [file]


def test_a_users_mistake_ends_the_fold(spark: SparkSession) -> None:
    with pytest.raises(DatasetError, match=r"^file 7 must have 3 columns, got 2$"):
        fold(spark, "files", {"x": list(range(9))}, _refuses, add, at_least=1)
