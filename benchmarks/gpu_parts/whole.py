"""Part d: a whole task without Spark, ten crops: files in, Parquet out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from gpu_parts.bare import Way
from gpu_parts.bench import Bench
from gpu_parts.report import Step
from gpu_parts.task import Job, Tasks


def steps(bench: Bench) -> Iterator[Step]:
    """As it is today, then what might be gained."""
    today = Way(images=2) if bench.quick else Way()
    fused = replace(today, mode="fused")
    together = replace(fused, crops="together")
    exact = replace(today, precision="float32")
    jobs = (
        Job(today),
        Job(today, pipelined=True),
        Job(fused, pipelined=True),
        Job(together, pipelined=True),
        Job(exact),
        Job(fused, pipelined=True, decoder="card"),
        Job(together, pipelined=True, decoder="processes"),
        Job(together, pipelined=True, decoder="card"),
        Job(replace(exact, memory="nchw", mode="fused"), pipelined=True),
        Job(today, decoder="processes"),
        Job(replace(today, images=today.images * 2)),
        Job(replace(together, images=today.images * 2), pipelined=True),
        Job(replace(together, precision="float32"), pipelined=True),
    )
    tasks = Tasks(bench, bench.vgg, "ten")
    for job in jobs[:7] if bench.quick else jobs:
        yield str(job), partial(tasks.measure, job)
