"""Part d: a whole task without Spark, ten crops: files in, Parquet out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from gpu_parts.bare import OURS
from gpu_parts.bench import Bench
from gpu_parts.report import Step
from gpu_parts.task import Job, Tasks


def steps(bench: Bench) -> Iterator[Step]:
    """As the package computes, and without its overlap."""
    half, exact = (replace(way, images=2) if bench.quick else way for way in OURS)
    tasks = Tasks(bench, bench.vgg, "ten")
    for job in (
        Job(half),
        Job(half, decoder="processes"),
        Job(exact),
        Job(half, overlapped=False),
        Job(half, overlapped=False, decoder="processes"),
        Job(exact, overlapped=False),
    ):
        yield str(job), partial(tasks.measure, job)
