"""A run with nothing new: what it does not read, and how it may be ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from kdsspark.cli import main
from kdsspark.output import gathered
from kdsspark.output.output import Output
from kdsspark.pipeline import records as runs
from tests.studies import SLOW, command, image_config, write_config, write_images

OF_SHARDS = ("embeddings", "failures", "_ranges", "_exemplars")
OF_SLICES = ("ks", "histograms", "_summaries")


def spoil(path: Path) -> None:
    """Other bytes in a file that, for all that a listing tells, is the same."""
    state = path.stat()
    with path.open("r+b") as file:
        file.write(b"\0" * state.st_size)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.cluster  # ten seconds
@pytest.mark.usefixtures("spark", "short_report")
def test_what_grows_with_the_images_is_listed_and_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """But for two files of each dataset: one for its columns, and one without rows."""
    write_images(tmp_path / "images", {"a": 9, "b": 8})
    (tmp_path / "images" / "a" / "broken.png").write_bytes(b"")
    config = image_config(tmp_path / "out", {"set": tmp_path / "images"})
    arguments = ["run", "--config", str(write_config(config, tmp_path))]
    monkeypatch.setattr(gathered, "_WORTH_KEEPING", 1)
    assert main(arguments) == 0
    table = capsys.readouterr().out
    store = Output.at(config.output)
    receipts = [f"_receipts/{stage}" for stage in ("embed", "measure", "exemplars", "check")]
    paths = [path for folder in (*OF_SHARDS, *OF_SLICES, *receipts) for path in store.files(folder)]
    assert len(paths) > 20
    opened = {store.files("embeddings")[0], *(p for p in paths if p.endswith("/none.parquet"))}
    assert len(opened) == 2
    for path in set(paths) - opened:
        spoil(Path(store.path(path)))
    assert main(arguments) == 0
    assert capsys.readouterr().out == table
    last = runs.latest(store)
    assert last
    assert [row["n"] for row in last.failures] == [1]


@pytest.mark.cluster
def test_a_run_that_is_terminated_says_so_and_is_recorded(tmp_path: Path) -> None:
    write_images(tmp_path / "images", {"a": 30, "b": 30})
    config = image_config(tmp_path / "out", {"set": tmp_path / "images"}, networks=[SLOW])
    store = Output.at(config.output)
    run = subprocess.Popen(command(config, tmp_path), stderr=subprocess.PIPE, text=True)
    while not store.files("embeddings"):
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    said = run.communicate(timeout=600)[1]
    assert run.returncode == 143
    assert said.splitlines()[-1] == "kdsspark: interrupted; run again to go on"
    last = runs.latest(store)
    assert last
    assert (last.exit_code, last.error) == (143, "interrupted; run again to go on")
