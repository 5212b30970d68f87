"""Part f: memory that does not suffice for a pass makes passes smaller, and loses nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from gpu_parts.bench import Bench, errors
from gpu_parts.report import Step, Values
from kdsspark.network.batches import batch_images, image_bytes
from kdsspark.network.extractor import Extractor

_FITS = 5  # images, about


def steps(bench: Bench) -> Iterator[Step]:
    """By the memory that PyTorch may take; without a card, by an error that is made up."""
    yield "images a pass, chosen", lambda: _chosen(bench)
    for precision in ("float32", "bfloat16"):
        yield f"passes of {precision} halved", lambda precision=precision: _halved(bench, precision)


def _chosen(bench: Bench) -> Values:
    spec = bench.spec(bench.vgg, "bfloat16", "ten")
    mib = image_bytes(spec) / 2**20
    return {"images": batch_images(spec, bench.device), "MiB an image": mib}


def _halved(bench: Bench, precision: str) -> Values:
    extractor = bench.extractor(bench.vgg, precision)
    pixels = bench.pixels(7 if bench.quick else 32)
    expected = extractor(pixels)
    bench.tidy()
    heard = _Heard()
    logger = logging.getLogger("kdsspark.network.extractor")
    logger.addHandler(heard)
    with _scarce(bench, extractor):
        found = extractor(pixels)
        again = extractor(pixels)
    logger.removeHandler(heard)
    complete = all(values.shape == expected[layer].shape for layer, values in found.items())
    finite = all(bool(np.isfinite(values).all()) for values in found.values())
    same = all(np.array_equal(found[layer], again[layer]) for layer in found)
    moved = errors(found, expected)
    return {
        "halvings": len(heard.texts),
        "images a pass": extractor.batch,
        "complete": complete and finite,
        "again equal": same,
        "moved_norm": moved["norm"],
        "GiB": bench.peak_gib(),
    }


@contextmanager
def _scarce(bench: Bench, extractor: Extractor) -> Iterator[None]:
    if bench.on_gpu:
        wanted = torch.cuda.memory_allocated() + _FITS * image_bytes(extractor.spec)
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(wanted / total)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    forward = extractor.forward

    def fails(inputs: Sequence[Tensor]) -> list[Tensor]:
        if len(inputs) > _FITS:
            raise torch.cuda.OutOfMemoryError("made up")
        return forward(inputs)

    extractor.forward = fails  # type: ignore[method-assign]
    yield


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
