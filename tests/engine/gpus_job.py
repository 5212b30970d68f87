"""A job on a cluster of made-up GPUs: its tasks write down where they computed, and wait.

``spark-submit gpus_job.py FOLDER STAGES ITEMS``; ``embed`` takes GPU slots, ``measure`` none.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from pyspark import TaskContext

from kdsspark.config import Spark
from kdsspark.engine import gpus as placement
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.starting import session
from kdsspark.engine.work import run_items, task_cpus
from kdsspark.errors import KdssparkError
from kdsspark.output.names import ItemName
from kdsspark.output.output import Output

SECONDS = 0.7
AT_ONCE = {"embed": 2, "measure": 3}  # tasks that there is room for
PATIENCE = 60  # seconds


def embed(folder: Path, item: WorkItem) -> Outcome:
    found = {"device": placement.device(), "visible": os.environ["CUDA_VISIBLE_DEVICES"]}
    outcome = wait(folder, "embed", item.name.part, found)
    placement.release()
    return outcome


def measure(folder: Path, item: WorkItem) -> Outcome:
    return wait(folder, "measure", item.name.part, {})


def wait(folder: Path, stage: str, number: str, found: dict[str, Any]) -> Outcome:
    """The first tasks wait for each other, so that they meet however slowly processes start."""
    context = TaskContext.get()
    gpu = context.resources().get("gpu") if context else None
    found |= {"given": gpu.addresses if gpu else [], "cpus": task_cpus(), "start": time.time()}
    (folder / f"begun-{stage}-{number}").touch()
    end = time.monotonic() + PATIENCE
    while len(list(folder.glob(f"begun-{stage}-*"))) < AT_ONCE[stage] and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(SECONDS)
    path = folder / f"{stage}-{number}.json"
    path.write_text(json.dumps(found | {"end": time.time()}))
    return Outcome()


def main(folder: Path, stages: list[str], count: int) -> int:
    spark = session.start(Spark())
    output = Output.at(str(folder / "out"))
    try:
        for stage in stages:
            gpus = placement.slots(spark.sparkContext) if stage == "embed" else placement.Slots()
            names = [ItemName(f"net/set/{number}") for number in range(count)]
            items = [WorkItem(name=name, digest="d") for name in names]
            task = partial({"embed": embed, "measure": measure}[stage], folder)
            receipts = output.receipts(stage)
            run_items(spark, receipts, items, task, "items", gpus.spread, gpus.at_once)
    except KdssparkError as error:
        print(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3])))
