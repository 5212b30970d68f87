"""A run killed with -9 in the middle, and run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from kdsspark.pipeline.study import Study
from tests.pipeline.test_runs import assert_same, tables, when
from tests.studies import image_config, run, write_images


@pytest.mark.usefixtures("spark")
def test_a_killed_run_is_completed_by_the_next(tmp_path: Path) -> None:
    write_images(tmp_path / "images", {"a": 40, "b": 30, "c": 30})
    config = image_config(tmp_path / "out", {"set": tmp_path / "images"})
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    study = Study(config)
    _kill_after(tmp_path, receipts=3)
    before = when(study, "_receipts/embed")
    assert 3 <= len(before) < 25
    run(config)
    after = when(study, "_receipts/embed")
    assert len(after) == 25  # shards of four images
    assert {path: after.get(path) for path in before} == before  # nothing finished is done again
    undisturbed = config.model_copy(update={"output": str(tmp_path / "undisturbed")})
    assert_same(tables(study.store), tables(run(undisturbed).store))
    assert not [p for p in (tmp_path / "out").rglob(".tmp-*")]


def _kill_after(folder: Path, receipts: int) -> None:
    """Start the command and kill it, and Spark under it, when some shards are finished."""
    command = [sys.executable, "-m", "kdsspark", "run", "--config", "study.yaml"]
    process = subprocess.Popen(
        command, cwd=folder, start_new_session=True, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while len(list((folder / "out").glob("_receipts/embed/*/*/*.json"))) < receipts:
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, "no shard was finished in two minutes"
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
