"""What the driver takes to plan, run and gather a very large dataset: memory, seconds, tasks.

    python benchmarks/scale.py                                  # 10 million images, 200,000 shards
    python benchmarks/scale.py --rows 100000 --shards 2000

A manifest of made-up images is indexed, embedded and gathered, and so again on the next nights,
with nothing new and with a thousand new images. Each night is a process of its own, as a scheduler
starts it. The network is a stub of one unit that looks at no image. All else is what a run does:
each shard is a Spark task that reads its plan and writes its embeddings and its receipt. Prints a
Markdown table, a row a step: peak memory (RSS) of the driver's Python process and of its JVM, which
also runs the tasks, since the master is local; and for each shard that was run the milliseconds of
CPU that its task took, and, beside it, those of its Python worker (receipts among them), the JVM
and the driver's Python. On a machine that does other things, compare only memory and CPU times.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import SparkContext

from kdsspark import config
from kdsspark.engine.items import Outcome
from kdsspark.network.spec import Layer, NetworkSpec
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.stages import EMBED
from kdsspark.stages.embed import stage as embed
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.shard_task import EmbedImages, ShardItem
from kdsspark.stages.embed.shards import sharding
from kdsspark.stages.embed.shards import state as shards
from kdsspark.tables import EMBEDDINGS

CLASSES = 1_000
NEW_IMAGES = 1_000
CORES = 2
PAIR = Pair("stub", "many")
LAYER = "layer"
WITH_TORCH = "kdsspark.network.weights"
OWN = "cpu"  # of a receipt's seconds
_ROWS_AT_A_TIME = 1 << 18
_COLUMNS = [
    *("night", "step", "seconds", "CPU s, Python", "MiB, Python", "MiB, JVM", "shards run"),
    *("CPU ms a shard: task", "beside it: worker", "JVM", "Python"),
]


@dataclass(frozen=True)
class Night:
    """A run of the study on a manifest with some images more than the first."""

    name: str
    more: int
    computed: int | None  # images it must embed; null: all


NIGHTS = (
    Night("first", 0, None),
    Night("nothing new", 0, 0),
    Night(f"{NEW_IMAGES:,} new", NEW_IMAGES, NEW_IMAGES),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--shards", type=int, default=200_000)
    parser.add_argument("--below", type=Path, help="where to make a temporary folder")
    parser.add_argument("--night", type=int, help="only this one, in the folder it lies in")
    options = parser.parse_args()
    if options.night is not None:
        embed.EmbedImages = StubImages
        Simulation(options.below, options.rows, options.shards).run(NIGHTS[options.night])
        return
    print(f"{options.rows:,} images, {options.shards:,} shards, {CORES} cores\n")
    print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}", flush=True)
    with tempfile.TemporaryDirectory(dir=options.below) as folder:
        sizes = ["--rows", str(options.rows), "--shards", str(options.shards)]
        for number in range(len(NIGHTS)):
            night = ["--below", folder, "--night", str(number)]
            subprocess.run([sys.executable, __file__, *sizes, *night], check=True)


# -- the stub ------------------------------------------------------------------------------------


class StubImages(EmbedImages):
    """Embeds shards without images or a network (executor)."""

    def __call__(self, item: ShardItem) -> Outcome:
        """Embed one shard."""
        return stub_shard(self.jobs[item.pair], item)


def stub_shard(job: ImageJob, item: ShardItem) -> Outcome:
    """What a shard's task does to the output."""
    importlib.import_module(WITH_TORCH)  # as what computes has it
    start = time.process_time()
    rows, files = shards.planned_rows(job.output, item.shard), job.files(item.shard)
    columns = [
        rows[c.name] if c.name in rows.column_names else pa.nulls(len(rows), c.type)
        for c in EMBEDDINGS.columns
    ]
    offsets = pa.array(np.arange(len(rows) + 1, dtype=np.int32))
    values = pa.array(np.zeros(len(rows), np.float32))
    kind = files.schema.field(LAYER).type
    columns.append(pa.ListArray.from_arrays(offsets, values, type=kind))
    table = pa.Table.from_arrays(columns, schema=files.schema)
    parquet.write(job.output, files.part(EMBEDDINGS), table, files.schema)
    n = len(rows)
    counts = {"images": n, "failed": 0, "embedded": n, "computed": n, "reused": 0}
    return Outcome(counts, {OWN: time.process_time() - start})


def _spec() -> NetworkSpec:
    return NetworkSpec(
        name=PAIR.network,
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
            "networks": [{"name": PAIR.network}],
            "datasets": [{"name": PAIR.dataset, "path": str(self.manifest), "layout": "manifest"}],
            "embed": {"shard_images": -(-n_images // n_shards)},
            "spark": {"master": f"local[{CORES}]"},
        }
        # The task of a small dataset would otherwise be cut into 64 shards.
        sharding.SHARDS_OF_A_SMALL_DATASET = n_shards
        self.study = Study(config.parse(raw))

    def run(self, night: Night) -> None:
        """Every step of a night, with its row of the table."""
        write_manifest(self.manifest, self.n_images + night.more)
        if night.computed is None:
            importlib.import_module(WITH_TORCH)  # a network is prepared when it is new
            record = {"spec": _spec().to_dict(), "weights": "", "source": ""}
            self.study.output.write_json(self.study.output.network(PAIR.network), record)
        items: list[ShardItem] = []
        self.step(night, "index", lambda: self.study.do("index"))
        self.step(night, "plan", lambda: items.extend(self.plan()))
        self.step(night, "embed", lambda: self.embed(items), items)
        done = EMBED.receipts(self.study.output).named(item.name for item in items)
        computed = sum(receipt.counts["computed"] for receipt in done.values())
        wanted = self.n_images if night.computed is None else night.computed
        if computed < wanted:
            raise RuntimeError(f"{night.name}: expected {wanted} images computed, got {computed}")
        self.step(night, "gather", self.gather)

    def plan(self) -> list[ShardItem]:
        """The shards that are not up to date, as the stage plans them."""
        return list(embed._work(self.study.output, self.study.config, PAIR).items)

    def embed(self, items: list[ShardItem]) -> None:
        """The stage, Spark's start included."""
        context = self.study.context
        job = ImageJob(context.output, PAIR, _spec(), "", context.config.embed)
        embed._embed(context.session, context.output, items, {PAIR: job}, {})

    def gather(self) -> None:
        """What the stage does at its end, so that the next run reads few files."""
        EMBED.receipts(self.study.output).gather()
        shards.gather_held_rows(self.study.output, PAIR)

    def step(
        self, night: Night, name: str, call: Callable[[], object], items: Sequence[ShardItem] = ()
    ) -> None:
        """Do it and print its row, with what a shard costs where it runs some."""
        forget_peak("self")
        start, cpu = time.perf_counter(), cpu_seconds("self")
        call()
        seconds, cpu = time.perf_counter() - start, cpu_seconds("self") - cpu
        row = [night.name, name, f"{seconds:.1f}", f"{cpu:.1f}", f"{peak_mib('self'):,.0f}"]
        gateway = SparkContext._gateway  # where nothing is new, there is none
        jvm = gateway.proc.pid if gateway else 0
        row.append(f"{peak_mib(jvm):,.0f}" if jvm else "")
        if items:
            done = EMBED.receipts(self.study.output).named(item.name for item in items)
            own = sum(receipt.seconds[OWN] for receipt in done.values())
            of = [own, sum(map(cpu_seconds, workers_of(jvm))) - own, cpu_seconds(jvm), cpu]
            row += [f"{len(items):,}", *(f"{spent / len(items) * 1e3:.2f}" for spent in of)]
        print("|", " | ".join(row), *["|"] * (len(_COLUMNS) - len(row) + 1), flush=True)


def write_manifest(path: Path, n_images: int) -> None:
    """Images of a bucket that nobody will ask for one; versions are as long as S3's etags."""
    schema = pa.schema([(name, pa.string()) for name in ("path", "label", "version")])
    with pq.ParquetWriter(path, schema) as writer:
        for numbers in _ranges(n_images):
            paths = [f"s3://bucket/images/{n % CLASSES:04d}/{n:09d}.jpg" for n in numbers]
            labels = [f"class {n % CLASSES:04d}" for n in numbers]
            versions = [f"{n:032x}" for n in numbers]
            writer.write_table(pa.table([paths, labels, versions], schema=schema))


def _ranges(stop: int) -> Iterator[range]:
    for start in range(0, stop, _ROWS_AT_A_TIME):
        yield range(start, min(stop, start + _ROWS_AT_A_TIME))


# -- processes ------------------------------------------------------------------------------------


def forget_peak(process: int | str) -> None:
    """Count the process's peak from now on."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def peak_mib(process: int | str) -> float:
    """The most memory a process has had in RAM, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def cpu_seconds(process: int | str) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def workers_of(jvm: int) -> list[int]:
    """The Python daemons that a JVM has started, and their workers."""
    daemons = children(jvm)
    return [*daemons, *(worker for daemon in daemons for worker in children(daemon))]


def children(process: int) -> list[int]:
    """Of all threads of a process."""
    found = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for file in found for child in file.read_text().split()]


if __name__ == "__main__":
    main()
