"""An S3 server on 127.0.0.1, which can be made to fail, for as long as a block."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import boto3
from moto.s3.responses import S3Response
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "bucket"


@dataclass
class Server:
    """Answers to S3; of every ``fails_each`` requests it fails one, 0 for none."""

    fails_each: int = 0
    url: str = ""
    requests: Counter[str] = field(default_factory=Counter)
    permissions: set[str] = field(default_factory=set)  # that the requests would have needed
    _number: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _moto: Any = field(default_factory=lambda: DomainDispatcherApplication(create_backend_app))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """One request (WSGI)."""
        self.requests[environ["REQUEST_METHOD"]] += 1
        if self.fails_each and next(self._number) % self.fails_each == 0:
            self.requests["failed"] += 1
            start_response("503 Slow Down", [("Content-Type", "text/plain")])
            return [b""]
        answer: Iterable[bytes] = self._moto(environ, start_response)
        return answer

    @property
    def env(self) -> dict[str, str]:
        """What tells S3 clients of it; the secret is one to look for in outputs and logs."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testkey",
            "AWS_SECRET_ACCESS_KEY": "testsecret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @property
    def client(self) -> Any:
        """boto3's, which knows nothing of this project."""
        keys = {"aws_access_key_id": "testkey", "aws_secret_access_key": "testsecret"}
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **keys)


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept

    def log(self, *_: Any, **__: Any) -> None:
        """Nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    """A server with one empty bucket."""
    server = Server()
    http = make_server("127.0.0.1", 0, server, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    server.client.create_bucket(Bucket=BUCKET)

    def note(response: S3Response, *_: object, **__: object) -> None:
        action = response.data["Action"]
        server.permissions.add("ListBucket" if action == "HeadBucket" else action)  # to Amazon

    try:
        # Where moto would check permissions, it knows which one the request takes.
        with patch.object(S3Response, "_authenticate_and_authorize_s3_action", note):
            yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
