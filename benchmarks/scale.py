"""What the driver takes to plan, run and gather a very large dataset: memory, seconds, tasks.

    python benchmarks/scale.py                                  # 10 million images, 200,000 shards
    python benchmarks/scale.py --rows 100000 --shards 2000

A manifest of made-up images is indexed, embedded, planned again as the next nights would (nothing
new; a thousand new images) and gathered. The network is a stub of one unit that looks at no image.
All else is what a run does: each shard is a Spark task that reads its plan and writes its
embeddings and its receipt. Prints a Markdown table, a row a step: peak memory (RSS) of the driver's
Python process and of its JVM, which runs the tasks as well, since the master is local; and, of the
steps that run shards, what one costs beside its task's own work, in milliseconds of a core.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kdsspark import config
from kdsspark.network.spec import Layer, NetworkSpec
from kdsspark.pipeline.study import Study
from kdsspark.spark import embed, shard_files
from kdsspark.spark.embed_images import ImageJob
from kdsspark.spark.units import Outcome, Unit
from kdsspark.storage import shards
from kdsspark.storage.receipts import Receipt
from kdsspark.storage.shards import Shard
from kdsspark.tables import EMBEDDINGS

CLASSES = 1_000
NEW_IMAGES = 1_000
CORES = 2
NETWORK, DATASET = "stub", "many"
LAYER = "layer"
_ROWS_AT_A_TIME = 1 << 18


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--shards", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where to make a temporary one")
    options = parser.parse_args()
    embed.embed_shard = stub_shard
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        Simulation(Path(folder), options.rows, options.shards).run()


# -- the stub ------------------------------------------------------------------------------------


def stub_shard(job: ImageJob, shard: Shard) -> Outcome:
    """What a shard's task does to the store, without images or a network (executor)."""
    start = time.perf_counter()
    rows, files = shards.planned_rows(job.store, shard), job.files(shard)
    files.held()
    columns = [
        rows[c.name] if c.name in rows.column_names else pa.nulls(len(rows), c.type)
        for c in EMBEDDINGS.columns
    ]
    offsets = pa.array(np.arange(len(rows) + 1, dtype=np.int32))
    values = pa.array(np.zeros(len(rows), np.float32))
    kind = files.schema.field(LAYER).type
    columns.append(pa.ListArray.from_arrays(offsets, values, type=kind))
    table = pa.Table.from_arrays(columns, schema=files.schema)
    shard_files.write(job.store, files.part(EMBEDDINGS), iter([table]), files.schema)
    n = len(rows)
    counts = {"images": n, "failed": 0, "embedded": n, "computed": n}
    return Outcome(counts, {"write": time.perf_counter() - start})


def _spec() -> NetworkSpec:
    return NetworkSpec(
        name=NETWORK,
        architecture="vgg16",
        layers=(Layer(LAYER, LAYER, 1, "other", 1),),
        activation="post_relu",
        pooling="mean",
        crops="ten",
        preprocessing=config.Preprocessing(),
        precision="float32",
        weights="random",
        weights_digest="0" * 32,
    )


# -- the run -------------------------------------------------------------------------------------


class Simulation:
    """A study of one dataset below a folder, and its steps."""

    def __init__(self, folder: Path, n_images: int, n_shards: int) -> None:
        self.manifest, self.n_images = folder / "images.parquet", n_images
        raw = {
            "output": str(folder / "out"),
            "networks": [{"name": NETWORK}],
            "datasets": [{"name": DATASET, "path": str(self.manifest), "layout": "manifest"}],
            "embed": {"shard_images": -(-n_images // n_shards)},
            "spark": {"master": f"local[{CORES}]"},
        }
        # The task of a small dataset would otherwise be cut into 64 shards.
        shards.SHARDS_OF_A_SMALL_DATASET = n_shards
        self.study = Study(config.parse(raw))

    def run(self) -> None:
        """Every step, with its row of the table."""
        print(f"{self.n_images:,} images, {CORES} cores\n")
        print("| step | seconds | Python, MiB | JVM, MiB | shards run | own, ms | beside, ms |")
        print("|---|---|---|---|---|---|---|")
        write_manifest(self.manifest, self.n_images)
        spark = self.study.spark
        self.jvm = spark.sparkContext._gateway.proc.pid
        self.step("index", self.study.index)
        self.night("first night", self.n_images)
        self.night("nothing new", 0)
        write_manifest(self.manifest, self.n_images + NEW_IMAGES)
        self.step("index again", self.study.index)
        self.night(f"{NEW_IMAGES:,} new images", NEW_IMAGES)
        spark.stop()

    def night(self, name: str, new: int) -> None:
        """Plan, embed and gather; ``new`` images must be computed."""
        work: list[Unit] = []
        done: list[Receipt] = []
        self.step(f"{name}: plan", lambda: work.extend(self.plan()))
        stale = {unit.name for unit in work if unit.work[1].plan}
        run = lambda: done.extend(embed.run(self.study.spark, self.study.store, work))  # noqa: E731
        self.step(f"{name}: embed", run, lambda: [r for r in done if r.unit in stale])
        computed = sum(r.counts["computed"] for r in done if r.unit in stale)
        if computed < new:
            raise RuntimeError(f"{name}: expected {new} images computed, got {computed}")
        work.clear()
        done.clear()
        self.step(f"{name}: gather", self.study.gather)

    def plan(self) -> list[Unit]:
        """The shards, as the stage plans them."""
        study = self.study
        settings = study.config.embed
        return embed.plan_images(study.store, study.config.datasets, _spec(), "", settings)

    def step(
        self,
        name: str,
        call: Callable[[], object],
        finished: Callable[[], list[Receipt]] = list,
    ) -> None:
        """Do it and print its row; ``finished`` are the receipts of what ran in it."""
        processes = ("self", self.jvm)
        pa.default_memory_pool().release_unused()
        for process in processes:
            forget_peak(process)
        start = time.perf_counter()
        call()
        seconds = time.perf_counter() - start
        peaks = [f"{peak_mib(process):,.0f}" for process in processes]
        ran = finished()
        costs = ["", "", ""]
        if ran:
            own = sum(r.seconds["write"] for r in ran) / len(ran)
            beside = seconds * CORES / len(ran) - own
            costs = [f"{len(ran):,}", f"{own * 1e3:.1f}", f"{beside * 1e3:.1f}"]
        print("|", " | ".join([name, f"{seconds:.1f}", *peaks, *costs]), "|", flush=True)


def write_manifest(path: Path, n_images: int) -> None:
    """Images of a bucket that nobody will ask for one."""
    schema = pa.schema([("path", pa.string()), ("label", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for numbers in _ranges(n_images):
            paths = [f"s3://bucket/images/{n % CLASSES:04d}/{n:09d}.jpg" for n in numbers]
            labels = [f"class {n % CLASSES:04d}" for n in numbers]
            writer.write_table(pa.table([paths, labels], schema=schema))


def _ranges(stop: int) -> Iterator[range]:
    for start in range(0, stop, _ROWS_AT_A_TIME):
        yield range(start, min(stop, start + _ROWS_AT_A_TIME))


# -- memory --------------------------------------------------------------------------------------


def forget_peak(process: int | str) -> None:
    """Count the process's peak from now on."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def peak_mib(process: int | str) -> float:
    """The most memory a process has had in RAM, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
