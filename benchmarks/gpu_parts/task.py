"""A task of the stage ``embed`` without Spark: loader, network and Parquet writer at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from gpu_parts.bare import Bare, Way
from gpu_parts.bench import Bench, Features, dtype_of, tf32
from gpu_parts.report import Values
from kdsspark.images import decoding, isolation
from kdsspark.images.clock import Clock
from kdsspark.images.loading import Loaded, Loader
from kdsspark.network import batches
from kdsspark.network.extractor import Extractor
from kdsspark.output import parquet
from kdsspark.output.store import Store
from kdsspark.stages.embed.background import fed
from kdsspark.tables import embeddings_schema

_GROUP_ROWS = 512  # of VGG16's embeddings, as the stage chooses


@dataclass(frozen=True)
class Job:
    """A way to run a task. ``overlapped``: the extractor gets several passes in a call."""

    way: Way
    overlapped: bool = True
    decoder: str = "threads"  # or processes

    def __str__(self) -> str:
        how = "as in embed" if self.overlapped else "pass by pass"
        return f"{how}, {self.way}, {self.decoder}"


class Tasks:
    """One network in one job after the other."""

    def __init__(self, bench: Bench, architecture: str, crops: str) -> None:
        self._bench, self._architecture, self._crops = bench, architecture, crops
        self._bare = Bare(bench, architecture, crops)
        self._rates: dict[Way, float] = {}

    def measure(self, job: Job, seconds: float = 4) -> Values:
        """Images a second, the share of the bare network's, and who waited for what."""
        bench, way = self._bench, job.way
        if way not in self._rates:
            self._rates[way] = self._bare.measure(way, 0.3)["images/s"]
            bench.tidy()
        bare = self._rates[way]
        number = 3 * way.images if bench.quick else int(min(12000, max(512, bare * seconds)))
        files = bench.files(number)
        extractor = bench.extractor(
            self._architecture, dtype_of(way.precision), self._crops, batch=way.images
        )
        with tf32(way.precision == "tf32"):
            return self._run(job, extractor, files, bare)

    def _run(self, job: Job, extractor: Extractor, files: Sequence[str], bare: float) -> Values:
        bench, clock, busy = self._bench, Clock(), _Busy(self._bench)
        call = job.way.images
        if job.overlapped:
            call = batches.call_images(call, bench.device, bench.threads)
        extractor.forward = busy.around(extractor.forward)  # type: ignore[method-assign]
        extractor(bench.pixels(job.way.images))  # and all that happens once
        busy.reset()
        start = time.perf_counter()
        with _loaded(bench, job, files, call, clock) as loaded:
            calls = _embed(bench, extractor, loaded, call, clock)
        end = time.perf_counter()
        assert sum(rows for rows, _ in calls) == len(files)
        quarter = len(calls) // 4  # by then processes have started
        later = sum(rows for rows, _ in calls[quarter + 1 :]) / (end - calls[quarter][1])
        rate = len(files) / (end - start)
        spent = {name: clock.seconds.get(name, 0.0) for name in _ACTIVITIES}
        return {
            "images/s": rate,
            "later": later,
            "of_bare": later / bare,
            "busy": busy.seconds() / (end - start),
            "GiB": bench.peak_gib(),
            "s": end - start,
            **spent,
        }


_ACTIVITIES = ("wait", "compute", "put", "write", "read", "decode")


def _loaded(bench: Bench, job: Job, files: Sequence[str], call: int, clock: Clock) -> Any:
    """A context of what the loader gives."""
    ahead = 2 * max(bench.threads, call)
    if job.decoder == "processes":
        return _Isolated(bench, files, ahead, clock)
    decode = partial(decoding.decode, short_side=bench.resize)
    return closing(Loader(decoding.read, decode, max(2, bench.threads), ahead, 60, clock)(files))


class _Isolated:
    def __init__(self, bench: Bench, files: Sequence[str], ahead: int, clock: Clock) -> None:
        self._decoder = isolation.decoder(decoding.Decoder(bench.resize))
        self._make = partial(Loader, threads=bench.threads, ahead=ahead, seconds=60, clock=clock)
        self._files, self._threads = files, bench.threads

    def __enter__(self) -> Iterator[Loaded]:
        self._loaded = self._make(decoding.read, self._decoder.__enter__())(self._files)
        return self._loaded

    def __exit__(self, *exception: Any) -> None:
        self._loaded.close()
        self._decoder.__exit__(*exception)


def _embed(
    bench: Bench, extractor: Extractor, loaded: Iterable[Loaded], call: int, clock: Clock
) -> list[tuple[int, float]]:
    """Write every image's row; returns each call's images, and when it was done."""
    store = Store.at(str(bench.folder / "out"))
    schema = embeddings_schema([layer.name for layer in extractor.spec.layers])
    write = partial(_write, store, schema, clock)
    outputs: list[Features] = []
    calls = []
    images = clock.until_next("wait", loaded)
    with fed(write) as put:
        while some := list(islice(images, call)):
            with clock.time("compute"):
                outputs.append(extractor([image.result for image in some]))
            calls.append((len(some), time.perf_counter()))
            if len(outputs) * call >= _GROUP_ROWS:
                with clock.time("put"):
                    put(outputs)
                outputs = []
        if outputs:
            put(outputs)
    return calls


def _write(
    store: Store, schema: pa.Schema, clock: Clock, groups: Iterable[Sequence[Features]]
) -> None:
    with parquet.writer(store, "part.parquet", schema) as part:
        for outputs in groups:
            with clock.time("write"):
                part.write(_table(schema, outputs))


def _table(schema: pa.Schema, outputs: Sequence[Features]) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    layers = list(outputs[0])
    rows = sum(len(output[layers[0]]) for output in outputs)
    for field in schema:
        if field.name in layers:
            flat = np.concatenate([output[field.name] for output in outputs]).ravel()
            offsets = np.arange(rows + 1, dtype=np.int32) * (len(flat) // rows)
            columns[field.name] = pa.ListArray.from_arrays(
                pa.array(offsets), pa.array(flat), type=field.type
            )
        else:
            columns[field.name] = pa.array(range(rows)).cast(field.type)
    return pa.table(columns, schema=schema)


class _Busy:
    """How long the card computes, by events around what is queued."""

    def __init__(self, bench: Bench) -> None:
        self._on_gpu = bench.on_gpu
        self._pairs: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def reset(self) -> None:
        self._pairs.clear()

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        if not self._on_gpu:
            return call

        def timed(*arguments: Any) -> Any:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            output = call(*arguments)
            end.record()
            self._pairs.append((start, end))
            return output

        return timed

    def seconds(self) -> float:
        if self._on_gpu:
            torch.cuda.synchronize()
        return sum(start.elapsed_time(end) for start, end in self._pairs) / 1e3
