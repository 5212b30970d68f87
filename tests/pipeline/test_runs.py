"""Whole runs with a small network: what is done is not done twice, and every number stays right.

Tasks run in this process; test_runs_spark has a run by Spark.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from kdsspark.config import Config
from kdsspark.errors import ConfigError, DatasetError, InvariantError, TooManyFailuresError
from kdsspark.output import parquet
from kdsspark.output.names import Pair, stem
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.pipeline.study import Study
from kdsspark.stages import EMBED
from kdsspark.tables import EMBEDDINGS, FAILURES, IMAGES, KS, TABLES, THRESHOLDS
from tests.studies import (
    NETWORK,
    image_config,
    run,
    write_embeddings,
    write_images,
    write_images_and_a_broken_one,
)

pytestmark = pytest.mark.usefixtures("without_spark")
CLASSES = {"apple": 9, "b & <c>": 8, "d=e": 7}
STAGES = "index embed measure summarize"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images_and_a_broken_one(tmp_path_factory.mktemp("images"), CLASSES)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    images: Path,
    without_spark: None,  # noqa: ARG001
) -> Study:
    """A run to look at; tests that change something work on a copy of it."""
    return run(image_config(tmp_path_factory.mktemp("finished") / "out", {"set": images}))


@pytest.fixture
def copied(tmp_path: Path, finished: Study, images: Path) -> Config:
    """The configuration of a copy of the finished output, and of a copy of the images."""
    shutil.copytree(finished.output.path(), tmp_path / "out")
    shutil.copytree(images, tmp_path / "images")
    definitions = tmp_path / "out" / "_definitions.json"
    definitions.write_text(definitions.read_text().replace(str(images), str(tmp_path / "images")))
    return image_config(tmp_path / "out", {"set": tmp_path / "images"})


def tables(store: Output, *left_out: str) -> dict[str, pd.DataFrame]:
    """Every table, sorted by its key, without columns that tell of places and times."""
    found = {}
    for table in TABLES.values():
        frame = parquet.read(store, table).to_pandas()
        frame = frame.drop(columns=["uri", "version"], errors="ignore")
        if table.name not in left_out:
            found[table.name] = frame.sort_values(list(table.key)).reset_index(drop=True)
    return found


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    """Equal to the last bit, embeddings too."""
    assert found.keys() == expected.keys()
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(found[name], frame, check_exact=True)


def computed(study: Study, before: dict[str, Receipt]) -> int:
    """Images that went through the network since the receipts ``before``."""
    now = EMBED.receipts(study.output).all()
    return sum(r.counts["computed"] for unit, r in now.items() if before.get(unit) != r)


def when(study: Study, below: str) -> dict[str, int]:
    """File -> time of its last change."""
    paths = study.output.files(below)
    return {path: Path(study.output.path(path)).stat().st_mtime_ns for path in paths}


def test_every_image_is_embedded_or_failed(finished: Study) -> None:
    store = finished.output
    embedded = parquet.read(store, EMBEDDINGS, "tiny", "set")
    failed = parquet.read(store, FAILURES, "tiny", "set").to_pylist()
    assert len(parquet.read(store, IMAGES)) == 25
    assert len(embedded) == 24
    assert [row["error"] for row in failed] == ["UnidentifiedImageError"]
    assert failed[0]["class_name"] == "apple"
    assert failed[0]["stage"] == "decode"
    assert set(embedded["class_name"].to_pylist()) == set(CLASSES)
    assert len(store.files("embeddings")) > 2


def test_invariants_hold_and_are_not_checked_twice(finished: Study) -> None:
    finished.do("check")
    before = when(finished, "_receipts/check")
    finished.do("check")
    assert before
    assert when(finished, "_receipts/check") == before


def test_a_second_run_computes_nothing(copied: Config) -> None:
    first = Study(copied)
    before = when(first, "")
    run(copied)
    changed = {p for p, t in when(first, "").items() if before.get(p) != t}
    assert {p.split("/")[0] for p in changed} <= {"images"}


def test_adding_images_gives_what_a_full_run_gives(copied: Config, tmp_path: Path) -> None:
    write_images(tmp_path / "images", {**CLASSES, "apple": 11, "aardvark": 4})
    before = EMBED.receipts(Study(copied).output).all()
    again = run(copied)
    # Four of the six new ones are copies; the shards whose class ids moved kept their features.
    assert computed(again, before) == 2
    full = run(image_config(tmp_path / "full", {"set": tmp_path / "images"}))
    assert_same(tables(again.output), tables(full.output))


def test_removed_and_changed_images_leave_the_tables(copied: Config, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "apple" / "000.png").unlink()
    shutil.copy(folder / "apple" / "001.png", folder / "b & <c>" / "002.png")
    (folder / "apple" / "broken.jpg").unlink()
    before = EMBED.receipts(Study(copied).output).all()
    again = run(copied)
    assert computed(again, before) == 0  # the changed one is a copy
    full = run(image_config(tmp_path / "full", {"set": folder}))
    assert_same(tables(again.output), tables(full.output))


def test_other_shard_size_does_not_embed_again(copied: Config) -> None:
    other = copied.model_copy(update={"embed": copied.embed.model_copy(update={"shard_images": 3})})
    before = when(Study(copied), "embeddings")
    assert when(run(other), "embeddings") == before


def test_lost_and_unfinished_files_are_made_again(copied: Config, finished: Study) -> None:
    store = Study(copied).output
    lost, unfinished = store.files("embeddings")[:2]
    store.remove(lost)
    EMBED.receipts(store).remove(Pair("tiny", "set").item(stem(unfinished)))
    Path(store.path(f"{EMBEDDINGS.partition('tiny', 'set')}/.tmp-123-x.parquet")).write_bytes(b"x")
    again = run(copied)
    assert_same(tables(again.output), tables(finished.output))
    names = [p.name for p in Path(store.path()).rglob("*")]
    assert not [n for n in names if n.startswith(".tmp-")]


def test_changed_settings_of_measure_replace_its_tables(copied: Config, tmp_path: Path) -> None:
    settings = copied.measure.model_copy(
        update={"bins": 7, "shuffles": 2, "histograms": False, "exact": False}
    )
    again = run(copied.model_copy(update={"measure": settings}))
    fresh = copied.model_copy(update={"measure": settings, "output": str(tmp_path / "fresh")})
    assert_same(tables(again.output), tables(run(fresh).output))
    assert parquet.read(again.output, KS)["ks_exact"].null_count == len(
        parquet.read(again.output, KS)
    )


def test_another_definition_is_refused_or_started_afresh(copied: Config) -> None:
    network = copied.networks[0].model_copy(update={"pooling": "max"})
    other = copied.model_copy(update={"networks": (network,)})
    with pytest.raises(ConfigError, match=r"networks\.tiny: pooling was 'mean' and is now 'max'"):
        run(other)
    study = Study(other, fresh=True)
    study.settle()
    assert not study.output.files("embeddings")
    assert study.output.files("images")
    run(other)


def test_failures_above_the_limit_end_with_code_3(copied: Config) -> None:
    strict = copied.model_copy(
        update={"embed": copied.embed.model_copy(update={"max_failures": 0.01})}
    )
    with pytest.raises(TooManyFailuresError, match="1 of 25 images failed") as caught:
        run(strict)
    assert caught.value.exit_code == 3


def test_damaged_tables_are_found(copied: Config) -> None:
    study = Study(copied)
    path = study.output.files(KS.partition("tiny", "set", "true"))[0]
    rows = parquet.read_file(study.output, path)
    wrong = rows.column("ks").to_numpy().copy()
    wrong[5] = 0.123
    parquet.write(study.output, path, rows.set_column(6, "ks", pa.array(wrong)), KS.schema)
    study.output.remove("_receipts/check")
    with pytest.raises(InvariantError, match="ks must be what the histograms give"):
        study.do("check")


def test_an_image_embedded_twice_is_found(copied: Config) -> None:
    study = Study(copied)
    path = study.output.files("embeddings")[0]
    shutil.copy(study.output.path(path), study.output.path(path.replace("shard-", "shard-0")))
    study.output.remove("_receipts/check")
    with pytest.raises(InvariantError, match="twice"):
        study.do("check")


def test_ready_made_and_images_side_by_side(tmp_path: Path, images: Path) -> None:
    values = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float16)
    write_embeddings(tmp_path / "clip.parquet", {"a.b": values}, ["x", "y", "z"] * 10)
    both: list[dict[str, Any]] = [
        {"name": "set", "path": str(images)},
        {"name": "mine", "embeddings": str(tmp_path / "clip.parquet"), "network": "clip"},
    ]
    config = image_config(tmp_path / "out", {}, datasets=both, networks=[NETWORK])
    study = run(config)
    thresholds = parquet.read(study.output, THRESHOLDS).to_pandas()
    assert set(zip(thresholds["network"], thresholds["dataset"], strict=True)) == {
        ("tiny", "set"),
        ("clip", "mine"),
    }
    assert study.output.exists("features/network=clip")


def test_stages_say_what_must_come_first(tmp_path: Path, images: Path) -> None:
    config = image_config(tmp_path / "out", {"set": images})
    with pytest.raises(DatasetError, match="run the index stage first"):
        run(config, "embed")
    with pytest.raises(DatasetError, match="run the embed stage first"):
        run(config, "measure")
    with pytest.raises(DatasetError, match="is not embedded by tiny, run embed first"):
        run(config, "summarize")


def test_a_stage_refuses_what_the_stage_before_has_not_done(copied: Config, tmp_path: Path) -> None:
    write_images(tmp_path / "images", {"aardvark": 4})
    with pytest.raises(
        DatasetError, match=r"all images must be embedded by tiny as they are indexed"
    ):
        run(copied, "index measure")
    run(copied, "embed")
    with pytest.raises(DatasetError, match="run the measure stage first"):
        run(copied, "summarize")
    run(copied, "measure")
    other = copied.model_copy(update={"measure": copied.measure.model_copy(update={"seed": 5})})
    with pytest.raises(DatasetError, match="with these settings, run the measure stage first"):
        run(other, "summarize")
    with pytest.raises(DatasetError, match="run the summarize stage first"):
        run(image_config(tmp_path / "new", {"set": tmp_path / "images"}), "index embed report")


def test_networks_share_a_job_and_have_their_own_tables(images: Path, tmp_path: Path) -> None:
    networks = [NETWORK, {**NETWORK, "name": "largest", "pooling": "max"}]
    study = run(image_config(tmp_path / "out", {"set": images}, networks=networks))
    rows = parquet.read(study.output, EMBEDDINGS).to_pandas()
    one, other = (rows[rows["network"] == n].sort_values("image_id") for n in ("tiny", "largest"))
    assert len(one) == len(other) == 24
    for mean, largest in zip(one["fire4"], other["fire4"], strict=True):
        assert (np.asarray(largest) >= np.asarray(mean)).all()
