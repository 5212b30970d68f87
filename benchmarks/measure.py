"""What `measure` costs: against reading, against other ways, and as datasets grow.

    python benchmarks/measure.py             # everything, some twenty minutes on two cores
    python benchmarks/measure.py --only read

Prints Markdown tables. `x reading` compares with one pyarrow read of the same columns, with its
defaults and on as many cores, in the same run; that ratio, not the seconds, is what to compare.
Times are of warm workers: the first call of a process also loads the compiled loops.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import race
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812  (as everyone calls it)
from pyspark.sql.window import Window
from scipy import stats
from studies import PAIR, VGG16, write_study

from kdsspark import config
from kdsspark.config import Spark
from kdsspark.engine.stage import Context
from kdsspark.engine.starting import daemon, session
from kdsspark.output import parquet
from kdsspark.output.arrow import image_keys
from kdsspark.output.output import Output
from kdsspark.stages import MEASURE
from kdsspark.stats.shuffles import shuffled_labels
from kdsspark.tables import EMBEDDINGS

IMAGES, CLASSES = 20_000, 100
TWO_LAYERS = {"conv": 1024, "fc": 1024}
SQL_UNITS = 128
FULL_WIDTH = sum(VGG16.values())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=SECTIONS, action="append")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    options = parser.parse_args()
    for name in options.only or SECTIONS:
        SECTIONS[name](options.cores)


# -- against reading ----------------------------------------------------------------------------


def against_reading(cores: int) -> None:
    """20,000 images x 12,416 features, 100 classes."""
    print(f"\n### {IMAGES:,} images x {FULL_WIDTH:,} features, {CLASSES} classes, {cores} cores\n")
    print("| what | seconds | x reading | ns a value | largest worker, MiB |")
    print("|---|---|---|---|---|")
    values = IMAGES * FULL_WIDTH
    with tempfile.TemporaryDirectory() as folder:
        output = Output.at(folder)
        write_study(output, VGG16, IMAGES, CLASSES)
        bare = bare_read(output, cores)
        _row("reading", bare, bare, values, None)
        mapped = mapped_read(output, cores)
        _row("reading, memory-mapped, a file a thread", mapped, bare, values, None)
        seconds = {}
        for what, settings in _SETTINGS.items():
            seconds[what], peak = timed_measure(output, settings, cores)
            _row(what, seconds[what], bare, values, peak)
        further = (seconds["5 shuffles"] - seconds["without exact distances"]) / 4
        _row("each further shuffle", further, bare, values, None)


_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "without exact distances": {"exact": False},
    "the same, no histograms written": {"exact": False, "histograms": False},
    "with exact distances": {},
    "5 shuffles": {"exact": False, "shuffles": 5},
}


def _row(what: str, seconds: float, bare: float, values: int, peak: float | None) -> None:
    mib = "" if peak is None else f"{peak:.0f}"
    print(
        f"| {what} | {seconds:.2f} | {seconds / bare:.2f} | {seconds / values * 1e9:.2f} | {mib} |",
        flush=True,
    )


def bare_read(output: Output, threads: int) -> float:
    """Seconds of ``pyarrow.parquet.read_table``, layer after layer, on so many threads."""
    paths, layers = _columns(output)
    pa.set_cpu_count(threads)

    def every() -> None:
        for layer in layers:
            pq.read_table(paths, columns=[layer])

    return _best_once_in_memory(every)


def mapped_read(output: Output, threads: int) -> float:
    """The same with the files mapped and shared out among threads: the fastest way found."""
    paths, layers = _columns(output)

    def read(path: str) -> int:
        file = pq.ParquetFile(path, memory_map=True)
        return sum(file.read(columns=[layer], use_threads=False).nbytes for layer in layers)

    def every() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read, paths))

    return _best_once_in_memory(every)


def _columns(output: Output) -> tuple[list[str], list[str]]:
    """The files of the embeddings, and the names of their layers."""
    paths = [output.path(path) for path in output.files(EMBEDDINGS.partition(*PAIR))]
    return paths, [f.name for f in pq.read_schema(paths[0]) if pa.types.is_list(f.type)]


def _best_once_in_memory(every: Callable[[], None]) -> float:
    every()  # from now on the files are in memory
    return min(timed(every) for _ in range(5))


def timed_measure(output: Output, chosen: Mapping[str, Any], cores: int) -> tuple[float, float]:
    """Seconds of a warm run, the best of three, and MiB of the largest worker."""
    raw = {
        "output": output.url,
        "networks": [{"name": PAIR.network}],
        "datasets": [{"name": PAIR.dataset, "path": "/made-up"}],
        "measure": chosen,
    }
    with spark_of(cores) as spark:
        context = Context(spark, output, config.parse(raw))

        def once() -> None:
            output.remove("_receipts/measure")
            MEASURE.run(context)

        once()
        seconds = min(timed(once) for _ in range(3))
        return seconds, peak_of_workers()


@contextmanager
def spark_of(cores: int) -> Iterator[SparkSession]:
    """A session whose workers start with nothing in memory."""
    spark = session.start(Spark(master=f"local[{cores}]"))
    try:
        yield spark
    finally:
        spark.stop()


def peak_of_workers() -> float:
    """MiB that the largest Python worker has ever held."""
    peaks = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            command = (status.parent / "cmdline").read_bytes()
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:
            continue
        if daemon.__name__.encode() in command and "VmHWM" in fields:
            peaks.append(int(fields["VmHWM"].split()[0]) / 1024)
    return max(peaks)


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


# -- against other ways --------------------------------------------------------------------------


def against_others(cores: int) -> None:
    """Spark SQL and scipy on a part of the same work, scaled to all of it."""
    print(f"\n### Other ways, scaled to {IMAGES:,} x {FULL_WIDTH:,}, {CLASSES} classes, ")
    print("true and shuffled labels\n")
    print("| what | measured on | seconds | scaled, s | x kdsspark |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        output = Output.at(folder)
        write_study(output, VGG16, IMAGES, CLASSES)
        bins, _ = timed_measure(output, {"exact": False}, cores)
        exact, _ = timed_measure(output, {}, cores)
    with tempfile.TemporaryDirectory() as folder:
        output = Output.at(folder)
        write_study(output, {"fc": SQL_UNITS}, IMAGES, CLASSES)
        with spark_of(cores) as spark:
            _sql(spark, output, folder)
            sql = timed(lambda: _sql(spark, output, folder))
        scipy = timed(lambda: _scipy(output, 1)) / cores
    for what, on, seconds, units, ours in (
        ("kdsspark, bins", "all", bins, FULL_WIDTH, bins),
        ("Spark SQL, posexplode, bins", f"{SQL_UNITS} features", sql, SQL_UNITS, bins),
        ("kdsspark, exact distances too", "all", exact, FULL_WIDTH, exact),
        ("scipy.stats.ks_2samp in a loop", f"1 feature, / {cores} cores", scipy, 1, exact),
    ):
        scaled = seconds * FULL_WIDTH / units
        print(f"| {what} | {on} | {seconds:.2f} | {scaled:.1f} | {scaled / ours:.0f} |", flush=True)


def _labelings(output: Output) -> tuple[pa.Table, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rows = parquet.read(output, EMBEDDINGS, *PAIR)
    true = rows["class_id"].to_numpy()
    return rows, true, shuffled_labels(image_keys(rows["image_id"]), true, 0, 1)


def _sql(spark: SparkSession, output: Output, folder: str) -> None:
    """Histograms and distances of true and shuffled labels, by Spark SQL alone."""
    rows, _, shuffled = _labelings(output)
    labels = pa.table({"image_id": rows["image_id"], "shuffled": shuffled}).to_pandas()
    table = spark.read.parquet(output.path(EMBEDDINGS.partition(*PAIR)))
    table = table.join(F.broadcast(spark.createDataFrame(labels)), "image_id")
    long = table.select("class_id", "shuffled", F.posexplode("fc").alias("unit", "x"))
    ranges = long.groupBy("unit").agg(F.min("x").alias("lo"), F.max("x").alias("hi"))
    bin_of = F.least(
        F.lit(99), F.floor((F.col("x") - F.col("lo")) / (F.col("hi") - F.col("lo")) * 100)
    )
    binned = long.join(F.broadcast(ranges), "unit").withColumn("bin", bin_of)
    both = F.explode(
        F.array(
            F.struct(F.lit(True).alias("true"), F.col("class_id").alias("class")),
            F.struct(F.lit(False).alias("true"), F.col("shuffled").alias("class")),
        )
    )
    pairs = binned.select("unit", "bin", both.alias("label"))
    counts = pairs.groupBy("label.true", "label.class", "unit", "bin").count()
    per_bin = counts.groupBy("true", "unit", "bin").agg(F.sum("count").alias("all"))
    grid = counts.select("true", "class", "unit").distinct().join(per_bin, ["true", "unit"])
    full = grid.join(counts, ["true", "class", "unit", "bin"], "left").fillna(0, ["count"])
    up_to = Window.partitionBy("true", "class", "unit").orderBy("bin")
    whole = Window.partitionBy("true", "class", "unit")
    gaps = full.select(
        "true", "class", "unit", "bin",
        F.sum("count").over(up_to).alias("p"), F.sum("all").over(up_to).alias("k"),
        F.sum("count").over(whole).alias("n"), F.sum("all").over(whole).alias("total"),
    )  # fmt: skip
    gap = (F.col("k") - F.col("p")) / (F.col("total") - F.col("n")) - F.col("p") / F.col("n")
    ks = gaps.withColumn("gap", gap).groupBy("true", "class", "unit")
    best = ks.agg(F.max_by("gap", F.abs("gap")).alias("ks"))
    best.write.mode("overwrite").parquet(f"{folder}/sql")


def _scipy(output: Output, units: int) -> None:
    """Distances of some features for every class, true and shuffled labels."""
    rows, true, shuffled = _labelings(output)
    values = np.stack(rows["fc"].to_numpy())
    for unit in range(units):
        x = values[:, unit]
        for labels in (true, shuffled):
            for class_id in range(CLASSES):
                stats.ks_2samp(x[labels == class_id], x[labels != class_id], method="asymp")


# -- growth --------------------------------------------------------------------------------------


def growth(cores: int) -> None:
    """Time a value and memory, by images, classes and shuffles."""
    print(f"\n### Growth, {sum(TWO_LAYERS.values()):,} features, exact distances, {cores} cores\n")
    print("| images | classes | shuffles | seconds | ns a value | the same a labeling | MiB |")
    print("|---|---|---|---|---|---|---|")
    for images in (5_000, 20_000, 50_000, 100_000, 200_000):
        _grown(images, CLASSES, 1, cores)
    for classes in (10, 1_000):
        _grown(IMAGES, classes, 1, cores)
    for shuffles in (10, 100):
        _grown(IMAGES, CLASSES, shuffles, cores)


def _grown(images: int, classes: int, shuffles: int, cores: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        output = Output.at(folder)
        write_study(output, TWO_LAYERS, images, classes)
        settings = {"shuffles": shuffles, "keep_shuffled": shuffles == 1}
        seconds, peak = timed_measure(output, settings, cores)
    each = seconds / images / sum(TWO_LAYERS.values()) * 1e9
    print(
        f"| {images:,} | {classes:,} | {shuffles} | {seconds:.2f} | {each:.2f} "
        f"| {each / (1 + shuffles):.2f} | {peak:.0f} |",
        flush=True,
    )


SECTIONS = {
    "read": against_reading,
    "race": race.race,
    "others": against_others,
    "growth": growth,
}


if __name__ == "__main__":
    main()
