"""What all parts share: the device, photographs, networks with random weights, and a clock."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch
from photographs import write_photograph
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from kdsspark.config import Network
from kdsspark.images import decoding
from kdsspark.network import activations, fusing, weights
from kdsspark.network.architectures import skeleton
from kdsspark.network.crops import VIEWS
from kdsspark.network.extractor import Extractor
from kdsspark.network.sources.torchvision import BUILT_IN
from kdsspark.network.spec import NetworkSpec

Pixels = npt.NDArray[np.uint8]
Features = dict[str, npt.NDArray[np.float32]]

_BLOCKS = {f"layer{i}": f"layer{i}" for i in (1, 2, 3, 4)}
_FIRES = {f"fire{i}": f"features.{at}" for i, at in enumerate((3, 4, 6, 7, 9, 10, 11, 12), start=2)}
LAYERS = {
    "resnet18": _BLOCKS | {"avgpool": "avgpool"},
    "resnet50": _BLOCKS | {"avgpool": "avgpool"},
    "squeezenet1_1": {"conv1": "features.0"} | _FIRES,
}
_DISTINCT = 256  # photographs; more files are links to them


@dataclass(eq=False)
class Bench:
    """Where and on what to measure."""

    folder: Path
    device: str  # cpu or cuda
    quick: bool  # tiny sizes, to see whether all works
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)

    @property
    def on_gpu(self) -> bool:
        """Whether there is a card to measure."""
        return self.device == "cuda"

    @property
    def resize(self) -> int:
        """Short side of photographs as networks take them, in pixels."""
        return 112 if self.quick else 256

    @property
    def vgg(self) -> str:
        """The network with ten crops, whose first blocks they can share."""
        return "vgg11" if self.quick else "vgg16"

    @cached_property
    def _photographs(self) -> list[Path]:
        number = 4 if self.quick else _DISTINCT
        paths = [self.folder / "photographs" / f"{i:04d}.jpg" for i in range(number)]
        with ThreadPoolExecutor(self.threads) as pool:  # Pillow and numpy let other threads run
            list(pool.map(write_photograph, paths, map(np.random.default_rng, range(number))))
        return paths

    def files(self, number: int) -> list[str]:
        """As many files of photographs."""
        paths = self._photographs
        folder = self.folder / "files"
        folder.mkdir(exist_ok=True)
        found = []
        for i in range(number):
            path = folder / f"{i:06d}.jpg"
            if not path.exists():
                path.hardlink_to(paths[i % len(paths)])
            found.append(str(path))
        return found

    def encoded(self, number: int) -> list[bytes]:
        """The bytes of as many photographs."""
        return [Path(path).read_bytes() for path in self.files(number)]

    @cached_property
    def _decoded(self) -> list[Pixels]:
        data = [path.read_bytes() for path in self._photographs]
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(lambda one: decoding.decode(one, self.resize), data))

    def pixels(self, number: int) -> list[Pixels]:
        """As many photographs, decoded and resized."""
        return [self._decoded[i % len(self._decoded)] for i in range(number)]

    def spec(self, architecture: str, precision: str, crops: str) -> NetworkSpec:
        """The description of a network; float16 and float64, too, which no configuration has."""
        spec = replace(self._prepared(architecture), precision=precision, crops=crops)
        if self.quick:
            small = spec.preprocessing.model_copy(update={"resize": 112, "crop": 96})
            return replace(spec, preprocessing=small)
        return spec

    @cache  # noqa: B019  (there is one bench)
    def _prepared(self, architecture: str) -> NetworkSpec:
        layers = None if architecture in BUILT_IN else LAYERS[architecture]
        network = Network(name="net", architecture=architecture, weights="random", layers=layers)
        return weights.prepare(network, self._weights(architecture))

    def _weights(self, architecture: str) -> Path:
        return self.folder / f"{architecture}.safetensors"

    def extractor(
        self,
        architecture: str,
        precision: str,
        crops: str = "ten",
        device: str | None = None,
        batch: int | None = None,
        fused: bool = True,
    ) -> Extractor:
        """The network as a task loads it, or without fused convolutions."""
        spec = self.spec(architecture, precision, crops)
        device = device or self.device
        with nullcontext() if fused else patch.object(fusing, "fuse"):
            return Extractor.load(spec, self._weights(architecture), device, None, batch)

    def tidy(self) -> None:
        """Give memory back that nothing holds any more."""
        gc.collect()
        if self.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def synchronize(self) -> None:
        """Wait for the card."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], object], wanted: float = 0.6) -> float:
        """What a call takes: the median of three rounds of ``wanted`` / 3 seconds, warmed up."""
        if self.quick:
            return self._time(call, 1)
        call()
        self.synchronize()
        once = self._time(call, 1)
        calls = max(1, min(1000, round(wanted / 3 / once)))
        return statistics.median(self._time(call, calls) for _ in range(3))

    def _time(self, call: Callable[[], object], calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        self.synchronize()
        return (time.perf_counter() - start) / calls

    @cache  # noqa: B019  (there is one bench)
    def matrix_rate(self, precision: str) -> float:
        """FLOP/s of the product of two large matrices."""
        side = 256 if self.quick else 8192
        dtype = getattr(torch, dtype_of(precision))
        a, b = (torch.randn(side, side, device=self.device).to(dtype) for _ in range(2))
        with tf32(precision == "tf32"):
            return 2 * side**3 / self.seconds(lambda: a @ b)

    def peak_gib(self) -> float:
        """Most memory of the card that tensors took since :meth:`tidy`."""
        return torch.cuda.max_memory_allocated() / 2**30 if self.on_gpu else 0.0


def flops(spec: NetworkSpec) -> int:
    """Of the convolutions and linear layers, per image, all views apart."""
    crop = spec.preprocessing.crop
    model = skeleton(spec.architecture, crop, spec.settings)
    reader = activations.read(model, spec.layers, spec.activation, spec.pooling, crop)
    with FlopCounterMode(display=False) as counter:
        reader(torch.empty(1, 3, crop, crop, device="meta"))
    return counter.get_total_flops() * VIEWS[spec.crops]


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether float32 may be rounded to TF32; afterwards it may not."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def dtype_of(precision: str) -> str:
    """What tensors are of; ``tf32`` is how float32 is multiplied."""
    return "float32" if precision == "tf32" else precision


def errors(found: Features, expected: Features) -> dict[str, object]:
    """How far the features of images are off; the worst layer of two measures.

    ``norm``: length of the difference by the length of what was expected. ``of_std``: the largest
    difference by the standard deviation of the layer's features.
    """
    norms, of_std = {}, {}
    for layer, values in expected.items():
        exact = values.astype(np.float64)
        gap = found[layer].astype(np.float64) - exact
        norms[layer] = float(np.linalg.norm(gap) / np.linalg.norm(exact))
        of_std[layer] = float(np.abs(gap).max() / exact.std())
    worst = max(norms, key=norms.__getitem__)
    return {
        "norm": norms[worst],
        "of_std": max(of_std.values()),
        "worst": worst,
        "layers": {"norm": norms, "of_std": of_std},
    }


def named(spec: NetworkSpec, features: Sequence[Tensor]) -> Features:
    """Layers by their names, on the host."""
    return {
        layer.name: values.float().cpu().numpy()
        for layer, values in zip(spec.layers, features, strict=True)
    }
