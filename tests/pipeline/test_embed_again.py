"""What follows from images that are embedded again; see tests/stages/embed for these themselves."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kdsspark.config import Config
from kdsspark.images.loading import content_hash
from kdsspark.output import parquet
from kdsspark.pipeline.study import Study
from kdsspark.stages import EMBED
from kdsspark.tables import FAILURES
from tests.pipeline.test_runs import assert_same, computed, tables, when
from tests.studies import image_config, run, write_images

pytestmark = pytest.mark.usefixtures("without_spark")
CLASSES = {"a": 9, "b": 8}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    write_images(tmp_path / "images", CLASSES)
    return image_config(tmp_path / "out", {"set": tmp_path / "images"})


def full(config: Config, tmp_path: Path, stages: str) -> Study:
    """The same images, embedded at one go."""
    return run(config.model_copy(update={"output": str(tmp_path / "full")}), stages)


def retry(config: Config) -> Study:
    study = Study(config, retry_failures=True)
    study.do("embed")
    return study


def test_failures_are_tried_again_when_told_and_all_that_follows_is_made_again(
    config: Config, tmp_path: Path
) -> None:
    broken = [tmp_path / "images" / "a" / name for name in ("001.png", "003.png", "x.png")]
    shutil.copy(broken[0], broken[2])
    good = {path: path.read_bytes() for path in broken}
    state = {path: path.stat().st_mtime_ns for path in broken}

    def write(path: Path, data: bytes) -> None:  # in the same version, as far as the store says
        path.write_bytes(data)
        os.utime(path, ns=(state[path], state[path]))

    for path in broken:
        write(path, b"x" * len(good[path]))
    first = run(config)
    assert len(parquet.read(first.output, FAILURES)) == 3
    for path in broken[:2]:
        write(path, good[path])
    before, files = EMBED.receipts(first.output).all(), when(first, "embeddings")
    run(config)
    assert EMBED.receipts(first.output).all() == before
    study = retry(config)
    assert computed(study, before) == 3
    # What was embedded before is not even rewritten, but in a shard that had room for more.
    now = when(study, "embeddings")
    assert sum(now[path] != time for path, time in files.items()) <= 1 < len(files)
    (failed,) = parquet.read(study.output, FAILURES).to_pylist()
    assert failed["uri"] == str(broken[2])
    assert failed["content"] == content_hash(broken[2].read_bytes())
    study = run(config, "measure summarize check")
    assert_same(
        tables(study.output), tables(full(config, tmp_path, "index embed measure summarize").output)
    )
    again = EMBED.receipts(study.output).all()
    assert computed(retry(config), again) == 1


def test_a_lost_file_is_made_again_and_measured_again(config: Config, tmp_path: Path) -> None:
    """Even where it then holds what it should have held: who knows what it did hold."""
    study = run(config)
    lost = study.output.files("embeddings")[0]
    before = when(study, "_receipts/measure")
    study.output.remove(lost)
    again = run(config)
    after = when(again, "_receipts/measure")
    assert before
    assert all(after[path] > time for path, time in before.items())
    stages = "index embed measure summarize"
    assert_same(tables(again.output), tables(full(config, tmp_path, stages).output))


def test_images_that_moved_give_the_tables_of_a_fresh_run_without_the_network(
    config: Config, tmp_path: Path
) -> None:
    first = run(config)
    before = EMBED.receipts(first.output).all()
    (tmp_path / "images" / "b").rename(tmp_path / "images" / "z")
    shutil.copy(tmp_path / "images" / "a" / "000.png", tmp_path / "images" / "z" / "twin.png")
    study = run(config)
    assert computed(study, before) == 0
    stages = "index embed measure summarize"
    assert_same(tables(study.output), tables(full(config, tmp_path, stages).output))
