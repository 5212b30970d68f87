"""One table of what fits this machine in ten minutes: each number beside what it is compared with.

    python benchmarks/summary.py        # make bench

A ratio compares two times of one run. It, and not the time, is what to compare with other machines
and versions. The other scripts of this folder say more about each line.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import embed
import exemplars
import measure
import race
from studies import VGG16, write_study

from kdsspark.output.output import Output

CORES = os.cpu_count() or 1


class Line(NamedTuple):
    """One line of the table."""

    what: str
    beside: str
    ratio: float
    measured: str


def of_distances() -> Iterator[Line]:
    """Exact distances with all that comes with them, in CPU time."""
    given = race.made_up(100, 0.45, CORES)
    found = {racer.name: racer for racer in race.RACERS}
    seconds = {}
    for name in ("kdsspark, columns in memory", "illico", "sklearn f_classif"):
        try:
            seconds[name] = min(race.cpu_seconds(found[name].run, given) for _ in range(3))
        except ModuleNotFoundError:
            continue
    ours = seconds.pop("kdsspark, columns in memory")
    cost = f"{ours / given.rows.size * 1e9:.1f} core-ns a value"
    for name, spent in seconds.items():
        yield Line("ks, AUC, p: times faster", name, spent / ours, cost)


def of_measuring() -> Iterator[Line]:
    """The stage `measure`, 20,000 images x 12,416 features, 100 classes, one shuffle."""
    values = measure.IMAGES * measure.FULL_WIDTH
    with tempfile.TemporaryDirectory() as folder:
        output = Output.at(folder)
        write_study(output, VGG16, measure.IMAGES, measure.CLASSES)
        reading = measure.bare_read(output, CORES)
        for what, settings in (("measure", {}), ("measure, no exact", {"exact": False})):
            seconds, peak = measure.timed_measure(output, settings, CORES)
            cost = f"{seconds * CORES / values * 1e9:.1f} core-ns a value, {peak:.0f} MiB a task"
            yield Line(f"{what}: times as long", "pyarrow reading", seconds / reading, cost)


def of_embedding() -> Iterator[Line]:
    """The stage `embed`, ten crops of VGG16, from JPEG files to Parquet."""
    for precision in ("float32", "bfloat16"):
        options = embed.parser().parse_args(["--images", "24", "--precision", precision])
        with tempfile.TemporaryDirectory() as folder:
            found, _ = embed.rates(Path(folder), options)
        rate = f"{found.stage:.2f} images/s"
        what = f"embed, VGG16, {precision}: times faster"
        yield Line(what, "a plain script in float32", found.stage / found.plain, rate)
        yield Line(what, "the bare network", found.stage / found.alone, rate)


def of_exemplars() -> Iterator[Line]:
    """The stage `exemplars`, centre crops of SqueezeNet, in CPU time."""
    with tempfile.TemporaryDirectory() as folder:
        for name, cost in exemplars.costs(Path(folder), 24, "3", ["squeezenet1_1"]):
            spent = f"{cost.one:.1f} CPU s, {cost.peaks[1]:.0f} MiB"
            yield Line(f"exemplars, {name}: share", "embed, ten crops", cost.one / cost.ten, spent)


def main() -> None:
    """Print the table, a line when it is known."""
    print(f"{race.processor()}, {CORES} cores\n")
    print("| what | beside | ratio | measured |")
    print("|---|---|---|---|")
    for lines in (of_distances, of_measuring, of_embedding, of_exemplars):
        for line in lines():
            print(
                f"| {line.what} | {line.beside} | {line.ratio:.2f} | {line.measured} |", flush=True
            )


if __name__ == "__main__":
    main()
