"""One line out of what Spark, its tasks and Python raise, on whatever way the error came."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from py4j.protocol import Py4JNetworkError
from pyspark.errors import PySparkTypeError
from pyspark.sql import DataFrame, SparkSession

from kdsspark import causes
from tests.marks import left_out

WAYS: dict[str, Callable[[DataFrame], object]] = {
    "collect": lambda frame: frame.collect(),
    "toLocalIterator": lambda frame: list(frame.toLocalIterator()),
}
MISTAKES = [
    ("SELECT array(id)[4] FROM range(5)", "[INVALID_ARRAY_INDEX] The index 4 ", "22003"),
    ("SELECT CAST(concat('c', id) AS INT) FROM range(5)", "[CAST_INVALID_INPUT] The", "22018"),
    ("SELECT 1 / (id - 2) FROM range(5)", "[DIVIDE_BY_ZERO] Division by zero.", "22012"),
    ("SELECT sum(CAST(id AS DOUBLE) / 0) FROM range(5)", "[DIVIDE_BY_ZERO] Div", "22012"),
    ("SELECT id FROM range(5) ORDER BY element_at(array(1), 2)", "[INVALID_ARRAY_IND", "22003"),
    ("SELECT (SELECT id FROM range(5))", "[SCALAR_SUBQUERY_TOO_MANY_ROWS] More", "21000"),
    ("SELECT regexp_replace('x', concat('(', id), '') FROM range(5)", "[INVALID_PARA", "22023"),
    ("SELECT raise_error(concat('a\\nb', id)) FROM range(5)", "[USER_RAISED_EXCEPTION] a", "P0001"),
    ("SELECT sequence(1, 2147483647 + id) FROM range(1)", "[COLLECTION_SIZE_LIMIT_EX", "54000"),
    ("CREATE TABLE x (a INT) USING nope", "[DATA_SOURCE_NOT_FOUND] Failed to find", "42K02"),
    ("SELECT no FROM range(5)", "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column", "42703"),
    ("SELEC 1", "[PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEC'", "42601"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("statement", "line", "state"), MISTAKES)
def test_mistakes_that_spark_finds(
    spark: SparkSession, way: str, statement: str, line: str, state: str
) -> None:
    with pytest.raises(Exception) as caught:
        WAYS[way](spark.sql(statement))
    cause = causes.of(caught.value)
    assert cause.line.startswith(line)
    assert "\n" not in cause.line
    assert cause.state == state


@pytest.mark.parametrize("way", WAYS)
def test_errors_of_java_without_a_condition(spark: SparkSession, way: str) -> None:
    sql = "SELECT java_method('java.lang.Integer', 'parseInt', concat('c', id)) FROM range(1)"
    with pytest.raises(Exception) as caught:
        WAYS[way](spark.sql(sql))
    assert causes.of(caught.value) == ('NumberFormatException: For input string: "c0"', "")


class Odd(Exception):  # noqa: N818
    """An error whose name does not end in Error."""


def _dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _from_another() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        raise ValueError("must be y, got x\nor z") from error


def _odd() -> None:
    raise Odd


def _no_space() -> None:
    raise OSError(28, "No space left on device", "/tmp/x")


@pytest.mark.parametrize(
    ("way", "fails", "line"),
    [
        ("rdd", _from_another, "ValueError: must be y, got x"),
        left_out("rdd", _odd, "Odd"),
        left_out("rdd", _no_space, "OSError: [Errno 28] No space left on device: '/tmp/x'"),
        # Workers of queries are others than those of tasks, and take four seconds to start.
        left_out("toLocalIterator", _from_another, "ValueError: must be y, got x"),
        left_out("collect", _odd, "Odd"),
        left_out(
            "toLocalIterator", _no_space, "OSError: [Errno 28] No space left on device: '/tmp/x'"
        ),
        ("rdd", _dies, "SparkException: Python worker exited unexpectedly (crashed)"),
    ],
)
def test_errors_of_tasks_in_python(
    spark: SparkSession, way: str, fails: Callable[[], None], line: str
) -> None:
    def task(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        fails()
        return frames

    def run() -> None:
        if way == "rdd":
            spark.sparkContext.parallelize([1], 1).map(lambda _: fails()).collect()
        else:
            WAYS[way](spark.range(1).mapInPandas(task, "id long"))

    with pytest.raises(Exception) as caught:
        run()
    assert causes.of(caught.value).line == line


def _raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError("must be 1\ngot 2"), "ValueError: must be 1"),
        (RuntimeError("shard a failed"), "shard a failed"),
        (MemoryError(), "MemoryError"),
        (PySparkTypeError("[NOT_INT] must be int"), "PySparkTypeError: [NOT_INT] must be int"),
        (OSError("\n\n later "), "OSError:"),
    ],
)
def test_errors_of_the_driver(error: BaseException, line: str) -> None:
    assert causes.of(_raised(error)) == (line, "")


class _Lost:
    """A Java exception whose JVM went away."""

    def getMessage(self) -> str:  # noqa: N802 (Java's)
        return "a store is out of reach"

    def __str__(self) -> str:
        return f"java.io.IOException: {self.getMessage()}"

    def __getattr__(self, name: str) -> Any:
        raise Py4JNetworkError("the JVM is gone")


def test_a_jvm_that_is_gone() -> None:
    class LostError(Exception):
        java_exception = _Lost()

        def __str__(self) -> str:
            raise Py4JNetworkError("the JVM is gone")

    assert causes.of(LostError()).line == "IOException: a store is out of reach"
