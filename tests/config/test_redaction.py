"""What is blotted out of texts and configurations, and what stays to be read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kdsspark.config import parse
from kdsspark.config.redaction import redacted, with_texts, without_secrets

CHANGED = [
    ("s3://id:hush@bucket/x", "s3://***@bucket/x"),
    ("s3://id:hush/with/slashes@bucket/x", "s3://***@bucket/x"),
    ("https://hush@host/x", "https://***@host/x"),
    ("hdfs://:hush@host", "hdfs://***@host"),
    ("copy a://u:hush@b to c://v:hush@d", "copy a://***@b to c://***@d"),
    ("https://host/x?signature=hush&y=1 failed", "https://host/x?*** failed"),
    ("GET 'https://host/x?hush'", "GET 'https://host/x?***'"),
    ("-Djavax.net.ssl.keyStorePassword=hush -Dx=1", "-Djavax.net.ssl.keyStorePassword=*** -Dx=1"),
    ("AWS_SECRET_ACCESS_KEY=hush,b=2", "AWS_SECRET_ACCESS_KEY=***,b=2"),
    ("token=hush;x", "token=***;x"),
    ("my.passphrase='hush'", "my.passphrase='hush'"),  # a quote ends what is taken for a value
    ("sas=hush", "sas=***"),
    ("fs.azure.sas.box=hush", "fs.azure.sas.box=***"),
    ("Credentials=hush", "Credentials=***"),
]
KEPT = [
    "",
    "s3://bucket/a@b/c",
    "/data/a?b=c",
    "spark://host:7077",
    "user@host",
    "--set must be KEY=VALUE, got 'x'",
    "sassafras=1",
    "measure.bins: must be greater than or equal to 2, got 0",
    "C:\\data\\x@y",
]


@pytest.mark.parametrize(("text", "expected"), CHANGED)
def test_secrets_are_blotted_out_and_a_second_time_changes_nothing(
    text: str, expected: str
) -> None:
    assert without_secrets(text) == expected
    assert without_secrets(expected) == expected


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text


CONF = {
    "spark.hadoop.fs.s3a.secret.key": "hush",
    "spark.hadoop.fs.s3a.access.key": 5,
    "spark.ssl.keyPassword": "hush",
    "spark.app.name": "birds",
    "spark.driver.extraJavaOptions": "-Da.password=hush -Db=1",
    "spark.executor.cores": 4,
}


def test_a_configuration_keeps_its_keys_and_loses_its_secrets() -> None:
    raw: dict[str, Any] = {
        "output": "s3://me:hush@bucket/out",
        "networks": [{"name": "net", "weights": "https://host/w.pth?hush"}],
        "datasets": [{"name": "birds", "path": "https://me:hush@host/list.csv"}],
        "spark": {"conf": CONF},
    }
    config = parse(raw)
    shown = redacted(config)
    assert "hush" not in json.dumps(shown)
    assert shown["output"] == "s3://***@bucket/out"
    assert shown["networks"][0]["weights"] == "https://host/w.pth?***"
    assert shown["spark"]["conf"] == {
        "spark.hadoop.fs.s3a.secret.key": "***",
        "spark.hadoop.fs.s3a.access.key": "***",
        "spark.ssl.keyPassword": "***",
        "spark.app.name": "birds",
        "spark.driver.extraJavaOptions": "-Da.password=*** -Db=1",
        "spark.executor.cores": 4,
    }
    assert shown["measure"] == config.model_dump(mode="json")["measure"]
    assert config.spark.conf == CONF  # the configuration itself is as it was


def test_texts_are_changed_at_any_depth_and_nothing_else_is() -> None:
    value = {"a": ["x", 1, {"b": "y"}], "c": None, "d": True, "e": 1.5}
    expected = {"a": ["X", 1, {"b": "Y"}], "c": None, "d": True, "e": 1.5}
    assert with_texts(str.upper, value) == expected
