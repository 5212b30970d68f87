"""A disk that is full while a cluster writes: no half table, and the next run completes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from kdsspark.output.output import Output
from kdsspark.stages import EMBED, SUMMARIZE
from tests.cluster.standalone import ROOT, Cluster
from tests.cluster.workplace import SECONDS, Workplace, assert_whole, study_config
from tests.pipeline.test_runs import tables
from tests.studies import write_config

pytestmark = pytest.mark.cluster

INSIDE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


def on_small_disk(folder: Path, kib: int, program: list[str], log: Path) -> int:
    """Run a command that sees ``folder`` as a disk of its own size; keep what it left there."""
    kept = folder.with_name(folder.name + "-kept")
    script = (
        f"mount -t tmpfs -o size={kib}k tmpfs '{folder}' && "
        f'{{ "$@"; code=$?; cp -a "{folder}/." "{kept}/"; exit $code; }}'
    )
    kept.mkdir()
    with log.open("ab") as output:
        code = subprocess.run(
            [*INSIDE, script, "sh", *program],
            cwd=ROOT,
            stdout=output,
            stderr=output,
            timeout=2 * SECONDS,
            check=False,
        ).returncode
    shutil.rmtree(folder)
    kept.rename(folder)
    return code


def namespaces_work() -> bool:
    if not shutil.which("unshare"):
        return False
    inside = [*INSIDE, "mount -t tmpfs tmpfs /mnt"]
    return subprocess.run(inside, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not namespaces_work(), reason="needs user namespaces for a small disk")
@pytest.mark.parametrize(
    ("kib", "shards"),  # finished when the disk is full
    [(160, range(1)), (400, range(1, 8)), (552, range(8, 9))],
    ids=["weights", "shard", "slice"],
)
def test_a_full_disk_leaves_whole_tables_and_the_next_run_completes(
    cluster: Cluster,
    workplace: Workplace,
    images: Path,
    undisturbed: dict[str, pd.DataFrame],
    tmp_path: Path,
    kib: int,
    shards: range,
) -> None:
    output, log = tmp_path / "disk", tmp_path / "log"
    output.mkdir()
    config = study_config(output, images)
    write_config(config, workplace.folder)
    alone = [sys.executable, "-m", "tests.cluster.alone"]
    folders = [str(workplace.folder), str(tmp_path / "cluster")]
    code = on_small_disk(output, kib, alone + folders, log)
    said = log.read_text()
    assert code == 1, said[-4000:]
    assert "No space left on device" in said.splitlines()[-2], said[-4000:]
    made = Output.at(config.output)
    assert len(EMBED.receipts(made).all()) in shards
    assert not SUMMARIZE.receipts(made).all()
    tables(made)  # every file that is there can be read
    workplace.submit(cluster, config, "run")
    assert_whole(config, undisturbed)
