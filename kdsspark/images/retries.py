"""Tries again after errors that may be gone a moment later (executor)."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

T = TypeVar("T")

_DELAYS: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between tries. Each is multiplied by 0.5 to 1.5 at random, or all tasks would come back
at the same moment."""

_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 509})
"""HTTP: request timeout, too many requests, and what overloaded servers answer."""

_ERRNO: Final = frozenset(
    {
        *(errno.EAGAIN, errno.EBUSY, errno.EREMOTEIO, errno.ESTALE, errno.ETIMEDOUT),
        *(errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN),
        *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETRESET, errno.ENETUNREACH),
    }
)
"""s3fs raises EBUSY for "slow down" and EREMOTEIO for an internal error of the store."""

# Named, not imported: the clients that fsspec's file systems use need not be installed.
_KINDS: Final = frozenset(
    {
        *("ClientConnectionError", "ClientPayloadError"),  # aiohttp
        *("HTTPClientError", "EndpointConnectionError", "IncompleteReadError"),  # botocore
        *("ServiceRequestError", "ServiceResponseError"),  # azure
        *("ConnectionError", "Timeout", "ChunkedEncodingError"),  # requests
        "TransportError",  # google
        "IncompleteRead",  # http.client
    }
)


def patiently(call: Callable[[], T], sleep: Callable[[float], object] = time.sleep) -> T:
    """The result of ``call``, which is tried again after transient errors, ever more slowly.

    It is tried five times within some 8 seconds. Raises what the last try raises, and any other
    error at once. ``sleep`` waits between tries, by a number of seconds.
    """
    for delay in _DELAYS:
        try:
            return call()
        except Exception as error:
            if not is_transient(error):
                raise
        sleep(delay * random.uniform(0.5, 1.5))
    return call()


def is_transient(error: BaseException) -> bool:
    """Whether an error, or one of its causes, may be gone at the next try."""
    return any(_is_transient(each) for each in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if (status := _status(error)) is not None:
        return status in _STATUS
    if isinstance(error, OSError) and error.errno in _ERRNO:
        return True
    return any(kind.__name__ in _KINDS for kind in type(error).__mro__)


def _status(error: Any) -> int | None:
    """The HTTP status: aiohttp's ``status``, azure's ``status_code``, gcsfs's ``code``, boto's."""
    for name in ("status", "status_code", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int):
            return value
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    found: int | None = metadata.get("HTTPStatusCode")
    return found
