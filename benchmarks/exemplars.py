"""What exemplars cost against the ten-crop embedding of the same images.

    python benchmarks/exemplars.py --images 24

Generated photographs (500 x 375, JPEG) go through a network with random weights, in one thread and
without Spark: once as a task of the stage `embed` puts them (ten crops), once as a task of the
stage `exemplars` does (centre crops), both from files to Parquet. CPU time (user and system) is
compared, which other programs on the machine change less than the time that passes. Both take
turns, and the least of their times counts. Peak memory is that of a process that does one of the
two.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import torch
from photographs import write_photographs
from pyspark import TaskContext

from kdsspark import config
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.stages import index
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.embed.networks import prepare_networks
from kdsspark.stages.embed.shard_task import EmbedImages, ShardItem
from kdsspark.stages.embed.shards import state as shards
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.stages.exemplars.shard_task import FindExemplars, LookThrough
from kdsspark.tables import EMBEDDINGS

WARM, TIMED, TWICE = "warm", "photographs", "twice"
LAYERS = {  # all that have units of their own; VGG16's are built in
    "squeezenet1_1": {
        "conv1": "features.0",
        **{f"fire{i - 1}": f"features.{m}" for i, m in enumerate((3, 4, 6, 7, 9, 10, 11, 12), 3)},
    },
    "vgg16": None,
}


class OneCore:
    """What a task asks Spark."""

    def cpus(self) -> int:
        """Of the task."""
        return 1

    def attemptNumber(self) -> int:  # noqa: N802 (Spark's name)
        """The first."""
        return 0

    def resources(self) -> dict[str, object]:
        """No GPU."""
        return {}


def study(folder: Path, architecture: str, stage: str) -> Study:
    """One network, a few images to warm up with, the images and twice as many."""
    network = {"name": "net", "architecture": architecture, "weights": "random"}
    datasets = [{"name": name, "path": str(folder / name)} for name in (WARM, TIMED, TWICE)]
    output = str(folder / f"{architecture}-{stage}")
    networks = [network | {"layers": LAYERS[architecture]}]
    return Study(config.parse({"output": output, "networks": networks, "datasets": datasets}))


def shard_of(made: Study, pair: Pair, stage: str) -> Shard:
    """All images of a dataset in one shard."""
    rows = index.images(made.output, pair.dataset)
    shard = Shard("shard-all", "", len(rows))
    (planned,) = shards.write_plan(
        made.output, made.output.plans(stage, pair), iter([(shard, rows)])
    )
    return planned


def seconds_of(made: Study, stage: str, dataset: str) -> float:
    """CPU seconds of what an executor does with a dataset that is one shard."""
    (network,) = prepare_networks(made.context)
    pair, spec = Pair(network.spec.name, dataset), network.spec
    shard = shard_of(made, pair, stage)
    part = EMBEDDINGS.part(shard.name, *pair)
    item = {"name": pair.item(shard.name), "digest": "", "size": shard.n_images, "shard": shard}
    if stage == "embed":
        made.output.remove(part)  # of an earlier repeat
    else:
        rows = shards.planned_rows(made.output, shard).select(["image_id"])
        parquet.write(made.output, part, rows, rows.schema)  # all that the stage reads of it
        spec = replace(spec, pooling="peak", crops="center")
    job = ImageJob(made.output, pair, spec, network.weights, made.config.embed)
    start = time.process_time()
    if stage == "embed":
        EmbedImages({pair: job})(ShardItem(**item, pair=pair))
    else:
        FindExemplars(made.output, 9, {pair: job})(LookThrough(**item))
    return time.process_time() - start


def measure(folder: Path, architecture: str, dataset: str, repeats: str, *stages: str) -> None:
    """Print the CPU seconds of each stage, and the peak memory of this process in MiB."""
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    TaskContext.get = OneCore  # type: ignore[method-assign, assignment]
    seconds: dict[str, list[float]] = {stage: [] for stage in stages}
    for _ in range(int(repeats)):
        for stage, spent in seconds.items():
            made = study(folder, architecture, stage)
            seconds_of(made, stage, WARM)  # as the network of the other stage was in memory
            spent.append(seconds_of(made, stage, dataset))
    print(*map(min, seconds.values()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measured(folder: Path, *what: str) -> list[float]:
    """The same, in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(folder), *what]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    printed = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE).stdout
    return list(map(float, printed.split()))


class Cost(NamedTuple):
    """What the two stages cost a network."""

    ten: float  # CPU seconds of `embed`
    one: float  # of `exemplars`
    peaks: tuple[float, float, float]  # MiB: `embed`, `exemplars`, `exemplars` of twice as many


def costs(
    folder: Path, images: int, repeats: str, architectures: list[str]
) -> Iterator[tuple[str, Cost]]:
    """The cost of each network."""
    for dataset, number in ((WARM, 4), (TIMED, images), (TWICE, 2 * images)):
        write_photographs(folder / dataset, number)
    for architecture in architectures:
        for stage in ("embed", "exemplars"):
            made = study(folder, architecture, stage)
            made.settle()
            made.do("index")
            prepare_networks(made.context)
        ten, one, _ = measured(folder, architecture, TIMED, repeats, "embed", "exemplars")
        _, peak = measured(folder, architecture, TIMED, "1", "embed")
        _, smaller = measured(folder, architecture, TIMED, "1", "exemplars")
        _, twice = measured(folder, architecture, TWICE, "1", "exemplars")
        yield architecture, Cost(ten, one, (peak, smaller, twice))


def compare(folder: Path, images: int, repeats: str, architectures: list[str]) -> None:
    """Print a row for each network."""
    print("network          embed, s  exemplars, s   ratio  MiB: embed  exemplars  twice as many")
    for architecture, (ten, one, peaks) in costs(folder, images, repeats, architectures):
        peak, smaller, twice = peaks
        print(
            f"{architecture:<16}{ten:10.2f}{one:14.2f}{one / ten:8.3f}"
            f"{peak:12.0f}{smaller:11.0f}{twice:15.0f}",
            flush=True,
        )


def main() -> None:
    """Parse the options, compare in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=24, help="photographs to look through")
    parser.add_argument("--repeats", type=int, default=3, help="of which the least counts")
    parser.add_argument("--architecture", action="append", choices=list(LAYERS))
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        folder, *what = options.measure
        measure(Path(folder), *what)
        return
    with tempfile.TemporaryDirectory() as folder:
        chosen = options.architecture or list(LAYERS)
        compare(Path(folder), options.images, str(options.repeats), chosen)


if __name__ == "__main__":
    main()
