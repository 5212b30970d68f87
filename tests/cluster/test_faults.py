"""What goes wrong on clusters: no wrong number, no half table, and the next run completes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from kdsspark.config import Config
from kdsspark.storage import receipts
from kdsspark.storage.files import Store
from tests.cluster.processes import kill, session_of
from tests.cluster.standalone import Cluster, standalone
from tests.cluster.workplace import SECONDS, Workplace, study_config, without_log
from tests.pipeline.test_runs import assert_same, tables
from tests.studies import command, run

pytestmark = pytest.mark.cluster


@pytest.fixture
def two_workers(tmp_path: Path, workplace: Workplace) -> Iterator[Cluster]:
    """A cluster of the test's own, of which a worker may die."""
    with standalone(tmp_path / "cluster", workers=2, cores=1, env=workplace.env) as started:
        yield started


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert process.poll() is None, f"ended undisturbed: {without_log(log.read_text())}"
        assert time.monotonic() < deadline, without_log(log.read_text())
        time.sleep(0.02)


def finished(store: Store, stage: str) -> int:
    return len(receipts.read(store, stage))


def assert_whole(config: Config, expected: dict[str, pd.DataFrame]) -> None:
    """The tables of an undisturbed run, and nothing left over."""
    store = Store.at(config.output)
    assert_same(tables(store), expected)
    assert not list(Path(store.path()).rglob(".tmp-*"))


@pytest.mark.parametrize(("stage", "units"), [("embed", 2), ("measure", 1)])
def test_a_worker_is_killed_and_the_run_goes_on(
    two_workers: Cluster,
    workplace: Workplace,
    images: Path,
    undisturbed: dict[str, pd.DataFrame],
    tmp_path: Path,
    stage: str,
    units: int,
) -> None:
    config = study_config(tmp_path / "out", images)
    store, log = Store.at(config.output), tmp_path / "log"
    process = workplace.start(two_workers, config, "run", log)
    wait_until(lambda: finished(store, stage) >= units, process, log)
    kill(session_of(two_workers.workers[0].pid))  # its executors and their Python, too
    assert process.wait(SECONDS) == 0, without_log(log.read_text())
    assert_whole(config, undisturbed)


def test_the_driver_is_killed_and_submitted_again(
    cluster: Cluster,
    workplace: Workplace,
    images: Path,
    undisturbed: dict[str, pd.DataFrame],
    tmp_path: Path,
) -> None:
    config = study_config(tmp_path / "out", images)
    store, log = Store.at(config.output), tmp_path / "log"
    process = workplace.start(cluster, config, "run", log)
    wait_until(lambda: finished(store, "embed") >= 2, process, log)
    kill(session_of(process.pid))
    process.wait()
    assert finished(store, "measure") == 0
    workplace.submit(cluster, config, "run")
    assert_whole(config, undisturbed)


# -- a full disk ---------------------------------------------------------------------------------


def on_small_disk(folder: Path, kib: int, program: list[str], log: Path) -> int:
    """Run a command that sees ``folder`` as a disk of its own size; keep what it left there."""
    kept = folder.with_name(folder.name + "-kept")
    script = (
        f"mount -t tmpfs -o size={kib}k tmpfs '{folder}' && "
        f'{{ "$@"; code=$?; cp -a "{folder}/." "{kept}/"; exit $code; }}'
    )
    kept.mkdir()
    with log.open("ab") as output:
        return subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *program],
            stdout=output,
            stderr=output,
            timeout=SECONDS,
            check=False,
        ).returncode


def namespaces_work() -> bool:
    if not shutil.which("unshare"):
        return False
    mount = ["sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    inside = ["unshare", "--user", "--map-root-user", "--mount", *mount]
    return subprocess.run(inside, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not namespaces_work(), reason="needs user namespaces for a small disk")
@pytest.mark.parametrize(
    ("kib", "shards"),  # finished when the disk is full
    [(160, range(1)), (400, range(1, 8)), (552, range(8, 9))],
    ids=["weights", "shard", "slice"],
)
def test_a_full_disk_leaves_whole_tables_and_the_next_run_completes(
    images: Path, undisturbed: dict[str, pd.DataFrame], tmp_path: Path, kib: int, shards: range
) -> None:
    output = tmp_path / "disk"
    output.mkdir()
    config, log = study_config(output, images), tmp_path / "log"
    code = on_small_disk(output, kib, command(config, tmp_path), log)
    said = log.read_text()
    assert code == 1, said[-4000:]
    assert "No space left on device" in said.splitlines()[-2], said[-4000:]
    shutil.rmtree(output)
    Path(f"{output}-kept").rename(output)
    store = Store.at(config.output)
    assert finished(store, "embed") in shards
    assert not finished(store, "summarize")
    tables(store)  # every file that is there can be read
    again = run(config, "index embed measure summarize check")
    assert_whole(again.config, undisturbed)


# -- two at once, and clocks ---------------------------------------------------------------------


def test_of_two_runs_at_once_one_completes_and_the_other_is_refused(
    images: Path, undisturbed: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    config = study_config(tmp_path / "out", images)
    twice = [command(config, tmp_path)] * 2
    pipe = subprocess.PIPE
    both = [subprocess.Popen(one, stdout=pipe, stderr=pipe, text=True) for one in twice]
    said = [process.communicate(timeout=SECONDS)[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 1], said
    refused = said[codes.index(1)].strip().splitlines()
    assert len(refused) == 1
    assert "must have one run at a time, got a second" in refused[0]
    assert_whole(config, undisturbed)


def shift(folder: Path, seconds: float) -> None:
    """Move the times of all files."""
    for path in folder.rglob("*"):
        if path.is_file():
            time_then = path.stat().st_mtime + seconds
            os.utime(path, (time_then, time_then))


def test_clocks_that_disagree_change_nothing(
    images: Path, undisturbed: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    pictures = tmp_path / "images"
    shutil.copytree(images, pictures)
    shift(pictures, 86_400.0)  # written by a machine that is a day ahead
    config = study_config(tmp_path / "out", pictures)
    assert_whole(run(config).config, undisturbed)
    shift(tmp_path / "out", -2 * 86_400.0)  # ... into a store that is a day behind
    before = receipts.read(Store.at(config.output), "embed")
    assert_whole(run(config).config, undisturbed)
    assert receipts.read(Store.at(config.output), "embed") == before

    replaced, other = sorted((pictures / "d=e").iterdir())[:2]
    shutil.copy(other, replaced)
    os.utime(replaced, (0, 0))  # new content that says it is old
    assert receipts.read(run(config).store, "embed") != before
    fresh = study_config(tmp_path / "fresh", pictures)
    assert_same(tables(run(config).store), tables(run(fresh).store))
