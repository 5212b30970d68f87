"""Exit codes, one line of text, and the way from an executor to the driver."""

from __future__ import annotations

import inspect
import pickle

import pytest

from kdsspark import errors
from kdsspark.errors import ConfigError, ImageError, KdssparkError, TooManyFailuresError

ERRORS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
CODES = {"ConfigError": 2, "TooManyFailuresError": 3}


def made(kind: type[KdssparkError]) -> KdssparkError:
    if kind is ImageError:
        return ImageError("decode", "ValueError", "no picture: \u732b")
    return kind("x must be 1, got 2")


def test_there_are_such() -> None:
    assert {ConfigError, ImageError, TooManyFailuresError, KdssparkError} < set(ERRORS)


@pytest.mark.parametrize("kind", ERRORS)
def test_each_is_a_reason_to_end_with_the_documented_code(kind: type[KdssparkError]) -> None:
    assert issubclass(kind, KdssparkError)
    assert kind.exit_code == CODES.get(kind.__name__, 1)
    assert kind.__doc__


@pytest.mark.parametrize("kind", ERRORS)
def test_each_comes_from_an_executor_as_it_was(kind: type[KdssparkError]) -> None:
    error = made(kind)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_an_image_error_says_where_and_what() -> None:
    error = ImageError("read", "TimeoutError", "must take 5 s")
    assert (error.stage, error.error, error.message) == ("read", "TimeoutError", "must take 5 s")
    assert str(error) == "read: TimeoutError: must take 5 s"
