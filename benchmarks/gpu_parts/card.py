"""Part 0: what the card can do at most: matrix products and copies."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from functools import partial

import PIL
import torch
import torchvision

from gpu_parts.bench import Bench
from gpu_parts.report import Step, Values

_COPY_BYTES = {False: 2**31, True: 2**20}  # by whether the run is a quick one
_PHOTOGRAPHS_BYTES = 32 * 256 * 341 * 3  # of a forward pass


def steps(bench: Bench) -> Iterator[Step]:
    """Ceilings, which the other parts are compared with."""
    yield "machine", partial(_machine, bench)
    for precision in ("bfloat16", "float32", "tf32", "float16"):
        yield f"matrix product, {precision}", partial(_matrix, bench, precision)
    yield "copy within the card", partial(_copy, bench)
    for pinned in (False, True):
        name = "pinned" if pinned else "pageable"
        yield f"32 photographs to the card, {name}", partial(_upload, bench, pinned)


def _machine(bench: Bench) -> Values:
    name = torch.cuda.get_device_name() if bench.on_gpu else platform.processor()
    versions = {"torchvision": torchvision.__version__, "Pillow": PIL.__version__}
    return {"device": name, "cores": os.cpu_count(), "torch": torch.__version__, **versions}


def _matrix(bench: Bench, precision: str) -> Values:
    return {"TFLOP/s": bench.matrix_rate(precision) / 1e12}


def _copy(bench: Bench) -> Values:
    a = torch.randint(256, (_COPY_BYTES[bench.quick],), dtype=torch.uint8, device=bench.device)
    b = torch.empty_like(a)
    return {"GB/s": 2 * a.nbytes / bench.seconds(lambda: b.copy_(a)) / 1e9}


def _upload(bench: Bench, pinned: bool) -> Values:
    source = torch.randint(256, (_PHOTOGRAPHS_BYTES,), dtype=torch.uint8)
    if pinned and bench.on_gpu:
        source = source.pin_memory()
    target = torch.empty_like(source, device=bench.device)
    seconds = bench.seconds(lambda: target.copy_(source, non_blocking=pinned))
    return {"GB/s": source.nbytes / seconds / 1e9, "ms": 1e3 * seconds}
