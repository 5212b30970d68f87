"""Which errors are worth another try, by the kinds that fsspec's file systems raise."""

from __future__ import annotations

import errno
import http.client
from types import SimpleNamespace
from typing import Any

import aiohttp
import botocore.exceptions
import pytest
from fsspec.exceptions import FSTimeoutError
from s3fs.errors import translate_boto_error
from yarl import URL

from kdsspark.errors import ImageError
from kdsspark.images.retries import is_transient, patiently

REQUEST: Any = SimpleNamespace(real_url=URL("http://host/x"))


def http_error(status: int) -> Exception:
    return aiohttp.ClientResponseError(REQUEST, (), status=status)


def boto_error(code: str, status: int) -> Exception:
    response: Any = {
        "Error": {"Code": code, "Message": code},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return botocore.exceptions.ClientError(response, "GetObject")


class AzureError(Exception):
    """As ``azure.core.exceptions.HttpResponseError``."""

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


class GoogleError(Exception):
    """As ``gcsfs.retry.HttpError``."""

    def __init__(self, code: int) -> None:
        self.code = code


TRANSIENT = [
    TimeoutError("timed out"),
    FSTimeoutError(),
    ConnectionResetError("reset by peer"),
    BrokenPipeError(),
    OSError(errno.EBUSY, "slow down"),
    OSError(errno.EHOSTUNREACH, "no route"),
    aiohttp.ServerDisconnectedError(),
    aiohttp.ClientPayloadError("not all there"),
    http.client.IncompleteRead(b""),
    botocore.exceptions.EndpointConnectionError(endpoint_url="http://host"),
    botocore.exceptions.ReadTimeoutError(endpoint_url="http://host"),
    botocore.exceptions.ConnectionClosedError(endpoint_url="http://host"),
    *(http_error(status) for status in (408, 429, 500, 502, 503, 504)),
    *(AzureError(status) for status in (429, 503)),
    *(GoogleError(status) for status in (429, 503)),
    boto_error("SlowDown", 503),
    *(translate_boto_error(boto_error(c, s)) for c, s in [("SlowDown", 503), ("500", 500)]),
    translate_boto_error(boto_error("RequestTimeout", 400)),
    translate_boto_error(boto_error("NobodyKnows", 503)),
]
LASTING = [
    FileNotFoundError(errno.ENOENT, "no such file"),
    PermissionError(errno.EACCES, "forbidden"),
    IsADirectoryError(),
    ValueError("file must have at most 5 bytes"),
    MemoryError(),
    OSError("something else"),
    *(http_error(status) for status in (400, 401, 403, 404, 410, 416, 501)),
    AzureError(404),
    GoogleError(403),
    *(translate_boto_error(boto_error(c, s)) for c, s in [("NoSuchKey", 404), ("403", 403)]),
    botocore.exceptions.NoCredentialsError(),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_transient_errors_also_as_the_cause_of_another(error: Exception) -> None:
    assert is_transient(error)
    image_error = ImageError("read", type(error).__name__, str(error))
    assert not is_transient(image_error)
    image_error.__cause__ = error
    assert is_transient(image_error)


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_lasting_errors(error: Exception) -> None:
    assert not is_transient(error)


def test_causes_in_a_circle_end() -> None:
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    assert not is_transient(first)


def test_tries_wait_longer_each_time_and_end() -> None:
    tries: list[None] = []
    waited: list[float] = []

    def fails() -> None:
        tries.append(None)
        raise ConnectionResetError("again")

    with pytest.raises(ConnectionResetError):
        patiently(fails, sleep=waited.append)
    assert len(tries) == 5
    assert len(waited) == 4
    assert all(0.5 <= w / d <= 1.5 for w, d in zip(waited, (0.5, 1, 2, 4), strict=True))


def test_tasks_do_not_come_back_at_the_same_moment() -> None:
    waited: list[float] = []
    for _ in range(5):
        with pytest.raises(TimeoutError):
            patiently(_times_out, sleep=waited.append)
    assert len(set(waited)) == 20


def _times_out() -> None:
    raise TimeoutError


def test_a_lasting_error_is_raised_at_once_and_a_result_returned() -> None:
    waited: list[float] = []

    def fails() -> None:
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        patiently(fails, sleep=waited.append)
    assert patiently(lambda: 3, sleep=waited.append) == 3
    assert waited == []


def test_what_works_at_the_third_try_is_returned() -> None:
    errors = [TimeoutError(), TimeoutError()]
    waited: list[float] = []

    def works() -> str:
        if errors:
            raise errors.pop()
        return "there"

    assert patiently(works, sleep=waited.append) == "there"
    assert len(waited) == 2
