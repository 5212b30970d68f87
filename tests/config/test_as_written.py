"""What YAML or a parser of URLs reads otherwise than a person is read as meant, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdsspark.config import load
from kdsspark.errors import ConfigError

STUDY = """
output: {output}
datasets:
  - {{name: d, embeddings: {embeddings}, label: {label}}}
measure: {{bins: {bins}}}
probe: {{c: {c}}}
spark: {{master: "{master}", conf: {{k: {conf}}}}}
"""
USUAL = {
    "output": "out",
    "embeddings": "e.parquet",
    "label": "l",
    "bins": "10",
    "c": "1.0",
    "master": "local[2]",
    "conf": "x",
}


def read(folder: Path, key: str, text: str) -> Any:
    """What the configuration has for a key that is written as ``text``."""
    path = folder / "study.yaml"
    path.write_text(STUDY.format(**{**USUAL, key: text}))
    loaded = load(str(path))
    (dataset,) = loaded.embeddings_datasets
    return {
        "output": loaded.output,
        "embeddings": dataset.embeddings,
        "label": dataset.label,
        "bins": loaded.measure.bins,
        "c": loaded.probe.c,
        "master": loaded.spark.master,
        "conf": loaded.spark.conf["k"],
    }[key]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("bins", "1_000", 1000),
        ("bins", "0x10", 16),
        ("bins", "+10", 10),
        ("c", "1e3", 1000.0),
        ("c", "1e-3", 0.001),
        ("c", "2.5E+2", 250.0),
        ("c", ".5", 0.5),
        ("c", "0.50", 0.5),
        ("c", "1.", 1.0),
        ("conf", "4.10", "4.10"),  # a version
        ("conf", "1e3", "1e3"),
        ("conf", "12:30", "12:30"),  # in YAML 1.1, the number 750
        ("conf", "2026-01-01", "2026-01-01"),
        ("conf", "'010'", "010"),
        ("conf", "0", 0),
        ("conf", "0.5", "0.5"),
        ("conf", "512m", "512m"),
        ("conf", "true", True),
        ("label", "2026-01-01", "2026-01-01"),
        ("label", "1:30", "1:30"),
        ("label", "'on'", "on"),
        ("output", "2026-01-01", "2026-01-01"),
        ("output", "file:/data/out", "/data/out"),  # as Java writes it
        ("output", "file:///data/out", "file:///data/out"),
        ("output", "s3://bucket/out", "s3://bucket/out"),
        ("output", "./s3:/out", "./s3:/out"),
        ("output", "run:1", "run:1"),
        ("output", "simplecache::s3://bucket/x", "simplecache::s3://bucket/x"),
        ("output", "a$b", "a$b"),
        ("output", "~/out", "~/out"),
        ("embeddings", "FILE:/data/e", "/data/e"),
        ("master", "local[*]", "local[*]"),
        ("master", "local", "local"),
        ("master", "local[2, 4]", "local[2, 4]"),
        ("master", "local-cluster[2,1,1024]", "local-cluster[2,1,1024]"),
        ("master", "spark://a:7077,b:7077", "spark://a:7077,b:7077"),
        ("master", "yarn", "yarn"),
        ("master", "k8s://https://host:6443", "k8s://https://host:6443"),
    ],
)
def test_read_as_a_person_does(tmp_path: Path, key: str, text: str, value: Any) -> None:
    found = read(tmp_path, key, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "text", "line"),
    [
        ("bins", "010", "010 has a zero in front, which could mean octal: write 10 or '010'"),
        ("bins", "-010", "-010 has a zero in front"),
        ("bins", "08", "08 has a zero in front"),
        ("bins", "1:30", "measure.bins: must be a valid integer, got '1:30'"),
        ("bins", "1e3", "measure.bins: must be a valid integer, got 1000.0"),
        ("c", "2026-01-01", "probe.c: must be a valid number, got '2026-01-01'"),
        ("conf", "007", "007 has a zero in front, which could mean octal: write 7 or '007'"),
        ("label", "010", "010 has a zero in front"),
        ("label", "10", "datasets.0.label: must be text in quotes, got 10"),
        ("label", "no", "datasets.0.label: must be text in quotes, got False"),
        ("label", "1.10", "datasets.0.label: must be text in quotes, got 1.1"),
        ("output", "s3:/bucket/out", "output: must have two slashes after s3:, or begin with ./"),
        ("output", "s3:bucket/out", "output: must have two slashes after s3:"),
        ("output", "hdfs:/data/out", "output: must have two slashes after hdfs:"),
        ("output", "wasb:/data/out", "output: must have two slashes after wasb:"),
        ("output", "file:out", "output: must have two slashes after file:"),
        ("output", "$HOME/out", "output: must have no variable of a shell"),
        ("output", "${SCRATCH}/out", "output: must have no variable of a shell"),
        ("embeddings", "gs:/bucket/e", "datasets.0.embeddings: must have two slashes after gs:"),
        ("master", "loca[2]", "spark.master: must be local, local[N], local[*], spark://HOST:PORT"),
        ("master", "local[0]", "spark.master: must be local, local[N], local[*], spark://"),
        ("master", "local(2)", "spark.master: must be local, local[N], local[*], spark://"),
        ("master", "spark://host", "spark.master: must be local, local[N], local[*], spark://"),
        ("master", "spark:/host:7077", "spark.master: must be local, local[N], local[*], spark"),
        ("master", "mesos://host:5050", "spark.master: must be local, local[N], local[*], spark"),
    ],
)
def test_refused_in_one_line(tmp_path: Path, key: str, text: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, key, text)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_set_refuses_the_same(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(**USUAL))
    with pytest.raises(ConfigError) as caught:
        load(str(path), ["measure.bins=010"])
    assert str(caught.value) == (
        "--set measure.bins: value must be YAML, got '010': "
        "010 has a zero in front, which could mean octal: write 10 or '010'"
    )


def test_a_home_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="output: must not begin with ~ where the user has no"):
        read(tmp_path, "output", "~nobody-has-this-name/out")


def test_the_master_has_one_place(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(**USUAL))
    with pytest.raises(ConfigError, match=r"spark: conf must not have spark\.master"):
        load(str(path), ["spark.conf.spark.master=local"])
