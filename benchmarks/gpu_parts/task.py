"""A task of the stage ``embed`` without Spark: loader, network and Parquet writer at once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gpu_parts import candidates
from gpu_parts.bare import Bare, Way
from gpu_parts.bench import Bench, Features, dtype_of, errors, tf32
from gpu_parts.decoding import decoded_on_card
from gpu_parts.report import Values
from kdsspark.images import decoding, isolation
from kdsspark.images.clock import Clock
from kdsspark.images.loading import Loaded, Loader
from kdsspark.network import crops
from kdsspark.network.crop_sharing import sharing
from kdsspark.network.extractor import Extractor
from kdsspark.output import parquet
from kdsspark.output.store import Store
from kdsspark.stages.embed.background import fed
from kdsspark.tables import embeddings_schema

Handed = Callable[[], Features]
"""Waits for a pass's features."""

_GROUP_ROWS = 512  # of VGG16's embeddings, as the stage chooses


@dataclass(frozen=True)
class Job:
    """A way to run a task. ``decoder``: threads, processes, or the card's JPEG engine."""

    way: Way
    pipelined: bool = False
    decoder: str = "threads"

    def __str__(self) -> str:
        how = "pipelined" if self.pipelined else "as today"
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
        extractor = bench.extractor(self._architecture, dtype_of(way.precision), self._crops)
        with tf32(way.precision == "tf32"), torch.inference_mode():
            return self._run(job, extractor, files, bare)

    def _run(self, job: Job, extractor: Extractor, files: Sequence[str], bare: float) -> Values:
        bench, clock = self._bench, Clock()
        busy = _Busy(bench)
        network = Pipelined(bench, extractor, job.way, busy) if job.pipelined else None
        submit = network or _today(extractor, busy)
        expected = extractor(bench.pixels(job.way.images))
        take = bench.encoded if job.decoder == "card" else bench.pixels
        moved = errors(submit(take(job.way.images))(), expected)  # and all that happens once
        busy.reset()
        start = time.perf_counter()
        with _loaded(bench, job, files, clock) as loaded:
            passes = _embed(bench, extractor, submit, bool(network), loaded, job, clock)
        end = time.perf_counter()
        assert sum(rows for rows, _ in passes) == len(files)
        quarter = len(passes) // 4  # by then processes have started
        later = sum(rows for rows, _ in passes[quarter + 1 :]) / (end - passes[quarter][1])
        rate = len(files) / (end - start)
        spent = {name: clock.seconds.get(name, 0.0) for name in _ACTIVITIES}
        return {
            "images/s": rate,
            "later": later,
            "of_bare": later / bare,
            "busy": busy.seconds() / (end - start),
            "GiB": bench.peak_gib(),
            "moved": moved["norm"],
            "s": end - start,
            **spent,
        }


_ACTIVITIES = ("wait", "compute", "put", "write", "read", "decode")


def _loaded(bench: Bench, job: Job, files: Sequence[str], clock: Clock) -> Any:
    """A context of what the loader gives."""
    ahead = 2 * max(bench.threads, job.way.images)
    if job.decoder == "processes":
        return _Isolated(bench, files, ahead, clock)
    decode: Any = (
        bytes if job.decoder == "card" else partial(decoding.decode, short_side=bench.resize)
    )
    return closing(Loader(decode, max(2, bench.threads), ahead, 60, clock)(files))


class _Isolated:
    def __init__(self, bench: Bench, files: Sequence[str], ahead: int, clock: Clock) -> None:
        self._decoder = isolation.decoder(bench.resize)
        self._make = partial(Loader, threads=bench.threads, ahead=ahead, seconds=60, clock=clock)
        self._files, self._threads = files, bench.threads

    def __enter__(self) -> Iterator[Loaded]:
        self._loaded = self._make(self._decoder.__enter__())(self._files)
        return self._loaded

    def __exit__(self, *exception: Any) -> None:
        self._loaded.close()
        self._decoder.__exit__(*exception)


def _embed(
    bench: Bench,
    extractor: Extractor,
    submit: Callable[[Sequence[Any]], Handed],
    ahead: bool,
    loaded: Iterable[Loaded],
    job: Job,
    clock: Clock,
) -> list[tuple[int, float]]:
    """Write every image's row; returns each pass's images, and when it was submitted."""
    store = Store.at(str(bench.folder / "out"))
    schema = embeddings_schema([layer.name for layer in extractor.spec.layers])
    write = partial(_write, store, schema, clock)
    waiting: deque[Handed] = deque()
    outputs: list[Features] = []
    passes = []
    images = clock.until_next("wait", loaded)
    with fed(write) as put:
        while some := list(islice(images, job.way.images)):
            with clock.time("compute"):
                waiting.append(submit([image.result for image in some]))
                if len(waiting) > int(ahead):
                    outputs.append(waiting.popleft()())
            passes.append((len(some), time.perf_counter()))
            if len(outputs) * job.way.images >= _GROUP_ROWS:
                with clock.time("put"):
                    put(outputs)
                outputs = []
        with clock.time("compute"):
            outputs += [handed() for handed in waiting]
        put(outputs)
    return passes


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


# -- networks --------------------------------------------------------------------------------------


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


def _today(extractor: Extractor, busy: _Busy) -> Callable[[Sequence[Any]], Handed]:
    """The extractor as the stage calls it."""
    extractor.forward = busy.around(extractor.forward)  # type: ignore[method-assign]

    def submit(images: Sequence[Any]) -> Handed:
        features = extractor(images)
        return lambda: features

    return submit


class Pipelined:
    """One copy to the card for a pass, from pinned memory; features are fetched a pass later."""

    def __init__(self, bench: Bench, extractor: Extractor, way: Way, busy: _Busy) -> None:
        self._bench, self._extractor, self._way = bench, extractor, way
        self._layers = extractor.spec.layers
        self._forward = busy.around(self._together if way.crops == "together" else self._apart)
        self._layout = torch.channels_last if way.memory == "nhwc" else torch.contiguous_format
        network = extractor._network.to(memory_format=self._layout)
        self._network = candidates.fused(network) if "fused" in way.mode else network
        if way.crops == "together":
            shared = sharing.split(network, extractor.spec)
            assert shared is not None
            self._shared = candidates.fused_shared(shared) if "fused" in way.mode else shared
            self._plans: dict[int, candidates.Together] = {}

    def __call__(self, images: Sequence[Any]) -> Handed:
        if isinstance(images[0], bytes):
            decoded = decoded_on_card(self._bench, images, self._bench.resize)
            pixels = [image.permute(1, 2, 0) for image in decoded]
        else:
            pixels = self._uploaded(images)
        features = torch.cat(self._forward(pixels), 1)
        host = torch.empty(features.shape, pin_memory=self._bench.on_gpu)
        host.copy_(features, non_blocking=True)
        done = torch.cuda.Event() if self._bench.on_gpu else None
        if done is not None:
            done.record()
        return partial(self._handed, host, done)

    def _handed(self, host: Tensor, done: torch.cuda.Event | None) -> Features:
        if done is not None:
            done.synchronize()
        parts = host.split([layer.units for layer in self._layers], 1)
        return {layer.name: part.numpy() for layer, part in zip(self._layers, parts, strict=True)}

    def _uploaded(self, images: Sequence[np.ndarray[Any, Any]]) -> list[Tensor]:
        sizes = [image.size for image in images]
        host = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=self._bench.on_gpu)
        np.concatenate([image.reshape(-1) for image in images], out=host.numpy())
        flat = host.to(self._bench.device, non_blocking=True).split(sizes)
        return [part.view(image.shape) for part, image in zip(flat, images, strict=True)]

    def _apart(self, pixels: Sequence[Tensor]) -> list[Tensor]:
        spec = self._extractor.spec
        size = spec.preprocessing.crop
        views = torch.cat([crops.views(image, spec.crops, size) for image in pixels])
        normal = self._extractor._normal(views).contiguous(memory_format=self._layout)
        outputs = self._network(normal)
        return [out.view(len(pixels), -1, out.shape[1]).mean(1) for out in outputs]

    def _together(self, pixels: Sequence[Tensor]) -> list[Tensor]:
        images = torch.stack(tuple(pixels))  # of one size
        pairs = torch.cat([images, images.flip(2)]).permute(0, 3, 1, 2)
        plan = self._plans.setdefault(len(pixels), candidates.Together(self._shared, len(pixels)))
        return plan(self._extractor._normal(pairs))
