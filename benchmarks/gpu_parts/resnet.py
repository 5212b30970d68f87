"""Part e: ResNet18 on one crop of 224 pixels, which public comparisons of engines use."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import models

from gpu_parts.bare import OURS, Bare
from gpu_parts.bench import Bench
from gpu_parts.report import Step, Values
from gpu_parts.task import Job, Tasks

_NAME = "resnet18"


def steps(bench: Bench) -> Iterator[Step]:
    """A task, the script that users write, and the network alone."""
    images = 2 if bench.quick else 320
    tasks = Tasks(bench, _NAME, "center")
    half, exact = (replace(way, images=images) for way in OURS)
    yield str(Job(half)), partial(tasks.measure, Job(half), 1)
    yield "plain script", partial(_script, bench)
    for job in (Job(half, decoder="processes"), Job(exact, decoder="processes")):
        yield str(job), partial(tasks.measure, job, 1)
    bare = Bare(bench, _NAME, "center")
    for way in (replace(half, mode="eager"), half, exact, replace(half, mode="compiled")):
        yield f"alone, {way}", partial(bare.measure, way, 0.4)


class _Photographs(Dataset[Tensor]):
    def __init__(self, files: Sequence[str]) -> None:
        self._files = files
        self._transform = models.ResNet18_Weights.IMAGENET1K_V1.transforms()

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Tensor:
        return self._transform(Image.open(self._files[index]).convert("RGB"))


def _script(bench: Bench) -> Values:
    """Torchvision's own preprocessing in a DataLoader's processes; PyTorch's default precision."""
    files = bench.files(12 if bench.quick else 12000)
    batch = 4 if bench.quick else 128
    model = models.resnet18(weights=None).eval().to(bench.device)
    data = _Photographs(files)
    loader = DataLoader(data, batch, num_workers=bench.threads, pin_memory=bench.on_gpu)
    labels: list[Tensor] = []
    start = time.perf_counter()
    torch.backends.cudnn.allow_tf32 = True
    try:
        with torch.inference_mode():
            for number, images in enumerate(loader):
                labels.append(model(images.to(bench.device)).argmax(1).cpu())
                if number == 0:  # processes and network have started
                    start = time.perf_counter()
    finally:
        torch.backends.cudnn.allow_tf32 = False
    return {"images/s": (len(files) - batch) / (time.perf_counter() - start)}
