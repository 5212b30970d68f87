"""What a run leaves behind: its record, and never a secret."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from kdsspark import config
from kdsspark.config import Config
from kdsspark.config.redaction import redacted, without_secrets
from kdsspark.output.output import Output
from kdsspark.output.store import Store
from kdsspark.pipeline import records as runs
from kdsspark.pipeline.records import Record, Run
from kdsspark.pipeline.study import Study
from kdsspark.query import views
from tests.studies import image_config, run_here, write_images

HUSH = "hu/sh+42=="


def _config(output: Path, **sections: Any) -> Config:
    dataset = {"name": "set", "embeddings": "nowhere"}
    return config.parse({"output": str(output), "datasets": [dataset]} | sections)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Record]:
    """A small study with two broken images of one kind and one of another, and its record."""
    folder = tmp_path_factory.mktemp("records")
    write_images(folder / "images", {"a": 6, "b": 5})
    for name in ("x.png", "y.png"):
        (folder / "images" / "a" / name).write_bytes(b"not an image")
    (folder / "images" / "b" / "z.png").symlink_to(folder / "vanished.png")
    (folder / "images" / "b" / "notes.txt").write_text("no image")
    study_config = image_config(folder / "out", {"set": folder / "images"})
    going = Run("run", study_config)
    for stage in ("index", "embed", "measure"):
        with going.stage(stage):
            study = run_here(study_config, stage)
    record = going.ended(0)
    runs.write(study.output, record)
    return study, record


def test_a_record_counts_what_the_output_holds(finished: tuple[Study, Record]) -> None:
    study, record = finished
    assert record.counts == [
        {"network": "tiny", "dataset": "set", "images": 14, "embedded": 11, "failed": 3}
        | {"features": 64 + 256}
    ]
    assert {(row["network"], row["dataset"]) for row in record.failures} == {("tiny", "set")}
    assert {(row["stage"], row["error"]): row["n"] for row in record.failures} == {
        ("decode", "UnidentifiedImageError"): 2,
        ("read", "FileNotFoundError"): 1,
    }
    assert [row["stage"] for row in record.stages] == ["index", "embed", "measure"]
    assert 0 < sum(row["seconds"] for row in record.stages) <= record.seconds + 0.01
    assert json.loads(record.configuration or "")["output"] == study.config.output


def test_spark_reads_records_as_a_table(
    finished: tuple[Study, Record], spark: SparkSession, tmp_path: Path
) -> None:
    store = Output.at(str(tmp_path))
    first = Run("index", None).ended(2, "it's\nwrong \u2028 é")
    runs.write(store, first)
    runs.write(store, finished[1])
    for path in store.files("runs"):
        text = Path(store.path(path)).read_bytes()
        assert text.endswith(b"\n")
        assert text.count(b"\n") == 1
    inferred = spark.read.json(store.path("runs"))
    assert inferred.count() == 2
    assert set(inferred.columns) == set(asdict(first))
    rows = views.opened(spark, store).sql(
        "SELECT error, started, get(counts, 0).failed AS failed, stages.stage AS stages "
        "FROM runs ORDER BY exit_code"
    )
    done, wrong = rows.collect()
    assert (done["failed"], done["stages"]) == (3, ["index", "embed", "measure"])
    assert (wrong["error"], wrong["failed"], wrong["stages"]) == (first.error, None, [])
    assert done["started"].year == int(finished[1].started[:4])


def test_records_are_read_also_where_spark_knows_no_such_store(spark: SparkSession) -> None:
    store = Output.at("memory://records")
    record = Run("index").ended(1, "it's é")
    runs.write(store, record)
    (row,) = views.opened(spark, store).table("runs").collect()
    assert (row["id"], row["exit_code"], row["error"]) == (record.id, 1, "it's é")


def test_the_view_declares_what_records_have(finished: tuple[Study, Record]) -> None:
    declared = StructType.fromDDL(views.RUNS_SCHEMA)
    record = asdict(finished[1])
    assert declared.names == list(record)
    for name in ("versions", "stages", "counts", "failures", "left_out", "processors"):
        assert declared[name].dataType.elementType.names == list(record[name][0]), name


def test_ids_sort_by_time_and_the_latest_is_found(tmp_path: Path) -> None:
    store = Output.at(str(tmp_path))
    assert runs.latest(store) is None
    written = []
    for command, code in (("run", 0), ("embed", 0), ("run", 1), ("run", 3)):
        written.append(Run(command).ended(code))
        runs.write(store, written[-1])
    ids = [record.id for record in written]
    assert ids == sorted(ids)
    assert len(set(ids)) == 4
    assert runs.latest(store) == written[3]
    assert runs.latest(store, "run", 0) == written[0]
    assert runs.latest(store, "embed") == written[1]
    assert runs.latest(store, "measure") is None
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}", ids[0])


def test_a_stage_that_fails_is_timed_and_a_run_that_began_none_counts_nothing(
    finished: tuple[Study, Record],
) -> None:
    going = Run("run", finished[0].config)
    assert going.ended(1, "locked").counts == []
    with pytest.raises(ValueError, match="no"), going.stage("embed"):
        raise ValueError("no")
    assert [row["stage"] for row in going.stages] == ["embed"]
    assert going.ended(1).counts == finished[1].counts


def test_an_output_out_of_reach_leaves_counts_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_reach(*_: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(Store, "versions", out_of_reach)
    going = Run("embed", _config(tmp_path))
    with going.stage("embed"):
        pass
    record = going.ended(1, "no")
    assert (record.counts, record.failures, record.exit_code) == ([], [], 1)


# -- secrets -------------------------------------------------------------------------------------

SECRETS = [
    f"s3://AKIA:{HUSH}@bucket/out",
    f"https://me:{HUSH}@host/w.pth",
    f"https://{HUSH.replace('/', '')}@host/w.pth",
    f"https://account.blob.core.windows.net/x/w.pth?sv=1&sig={HUSH}",
    f"-Xmx1g -Djavax.net.ssl.keyStorePassword={HUSH} -ea",
    f"output: must be writable, got s3://AKIA:{HUSH}@bucket/a: no",
]


@pytest.mark.parametrize("text", SECRETS)
def test_texts_lose_their_secrets_and_nothing_else(text: str) -> None:
    shown = without_secrets(text)
    assert HUSH not in shown
    assert HUSH.replace("/", "") not in shown
    assert "***" in shown
    assert without_secrets(shown) == shown


@pytest.mark.parametrize(
    "text", ["s3://bucket/a@b/c", "/data/what?/x@y", "s3a://bucket/out", "it's 3 of 4: a=b", "C:/x"]
)
def test_texts_without_secrets_stay_as_they_are(text: str) -> None:
    assert without_secrets(text) == text


KEYS = [
    "spark.hadoop.fs.s3a.secret.key",
    "spark.hadoop.fs.s3a.access.key",
    "spark.hadoop.fs.azure.account.key.mine.dfs.core.windows.net",
    "spark.hadoop.fs.azure.sas.container.mine",
    "spark.hadoop.javax.jdo.option.ConnectionPassword",
    "spark.hadoop.fs.s3a.session.token",
    "spark.hadoop.fs.gs.auth.service.account.private.key",
]


def test_a_record_has_no_secret_anywhere(tmp_path: Path) -> None:
    conf = dict.fromkeys(KEYS, HUSH) | {
        "spark.executor.memory": "4g",
        "spark.some.url": f"https://me:{HUSH}@host/x",
        "spark.driver.extraJavaOptions": SECRETS[4],
    }
    network = {"name": "n", "weights": SECRETS[3]}
    secret = _config(tmp_path, spark={"conf": conf}, networks=[network])
    record = Run("run", secret).ended(2, SECRETS[5])
    runs.write(Output.at(str(tmp_path)), record)
    (path,) = (tmp_path / "runs").iterdir()
    assert HUSH not in path.read_text()
    assert "hu/sh" not in path.read_text()
    shown = redacted(secret)
    assert {shown["spark"]["conf"][key] for key in KEYS} == {"***"}
    assert shown["spark"]["conf"]["spark.executor.memory"] == "4g"
    other = _config(tmp_path, spark={"conf": conf | {KEYS[0]: "new"}}, networks=[network])
    assert Run("run", other).ended(0).fingerprint == record.fingerprint
    assert Run("run", _config(tmp_path)).ended(0).fingerprint != record.fingerprint
