"""Images in, features out: numpy on both sides, one network held per process. Runs on executors."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, fx

from kdsspark.errors import WeightsError
from kdsspark.network import activations, crops, sharing
from kdsspark.network.architectures import skeleton
from kdsspark.network.spec import NetworkSpec

_log = logging.getLogger(__name__)
_cache: dict[tuple[str, str], Extractor] = {}
_cache_lock = threading.Lock()


def default_device() -> str:
    """``cuda`` where torch can use one, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def cached_extractor(
    spec: NetworkSpec, weights_path: str | Path, device: str = "cpu", threads: int | None = None
) -> Extractor:
    """:meth:`Extractor.load`, kept until another network is asked for; safe from threads."""
    key = (spec.fingerprint, device)
    with _cache_lock:
        if key not in _cache:
            _cache.clear()  # one network a process: several would not fit beside each other
            _cache[key] = Extractor.load(spec, weights_path, device, threads)
        return _cache[key]


class Extractor:
    """A network ready to compute the features of images; always in evaluation mode.

    On a CPU the ten crops of an image share the first blocks of networks that allow it
    (:mod:`sharing`). float32 means float32: on GPUs, too, nothing is rounded to TF32.
    """

    def __init__(self, spec: NetworkSpec, network: fx.GraphModule, device: str) -> None:
        self.spec = spec
        self.device = device
        self._network = network
        self._most = sys.maxsize  # images a pass; less, once memory did not suffice
        self._shared: sharing.Shared | None = None
        if device == "cpu":
            self._shared = sharing.split(network, spec)

    @classmethod
    def load(
        cls,
        spec: NetworkSpec,
        weights_path: str | Path,
        device: str = "cpu",
        threads: int | None = None,
    ) -> Extractor:
        """Build the network of ``spec`` around the tensors that ``weights.prepare`` wrote.

        ``threads`` sets torch's threads of this process, null leaves them. Raises WeightsError
        where the file cannot be read or holds other tensors than the network needs.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        model = skeleton(spec.architecture, spec.preprocessing.crop)
        network = activations.read(model, spec.layers, spec.activation, spec.pooling)
        try:
            tensors = load_file(weights_path, device=device)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"cannot read the weights of {spec.name}: {error}") from error
        if tensors.keys() != network.state_dict().keys():
            raise WeightsError(f"{weights_path} must hold the tensors of {spec.name}, got others")
        # Not strict, because batch-norm asks for a count that only training uses.
        network.load_state_dict(tensors, strict=False, assign=True)
        network.requires_grad_(False).eval()
        network.to(getattr(torch, spec.precision)).to(memory_format=torch.channels_last)
        return cls(spec, network, device)

    @torch.inference_mode()
    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        """{layer name: float32 [images, units]}, averaged over each image's views.

        ``images`` are uint8 RGB [height, width, channels], the short side already resized;
        their sizes may differ. They go through the network in one pass, or in smaller ones where
        memory does not suffice. Raises ValueError for an image of other shape or dtype, or
        smaller than a crop, and torch's own error if memory does not suffice for a single one.
        """
        passes = [[torch.empty(0, layer.units) for layer in self.spec.layers]]
        done = 0
        while done < len(images):
            batch = images[done : done + self._most]
            try:
                passes.append(self._features(batch))
            except RuntimeError as error:
                if len(batch) == 1 or not _out_of_memory(error):
                    raise
                self._most = len(batch) // 2
                _log.warning("%d images do not fit into memory, trying %d", len(batch), self._most)
            else:
                done += len(batch)
        features = (torch.cat(layer).numpy() for layer in zip(*passes, strict=True))
        return dict(zip((layer.name for layer in self.spec.layers), features, strict=True))

    def _features(self, images: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        """Float32 [images, units] per layer, on the CPU."""
        if self._shared is not None:
            features = self._shared([self._input(self._mirrored(image)) for image in images])
            # Sharing also computes pixels that no crop has, and 0 x infinity is no number.
            if all(bool(layer.isfinite().all()) for layer in features):
                return features
        outputs = self._network(self._input(torch.cat([self._views(image) for image in images])))
        return [output.view(len(images), -1, output.shape[1]).mean(1).cpu() for output in outputs]

    def _views(self, image: NDArray[np.uint8]) -> Tensor:
        size = self.spec.preprocessing.crop
        return crops.views(_upload(image, self.device), self.spec.crops, size)

    def _mirrored(self, image: NDArray[np.uint8]) -> Tensor:
        return crops.mirrored(_upload(image, self.device), self.spec.preprocessing.crop)

    def _input(self, pixels: Tensor) -> Tensor:
        """uint8 [images or views, channels, height, width] as the network takes them."""
        dtype = getattr(torch, self.spec.precision)
        normal = crops.normalise(pixels, self.spec.preprocessing)
        return normal.to(dtype, memory_format=torch.channels_last)


def _upload(image: NDArray[np.uint8], device: str) -> Tensor:
    # Pillow's arrays are read-only, which torch warns about; nothing here writes to them.
    return torch.from_numpy(np.require(image, requirements=["C", "W"])).to(device)


def _out_of_memory(error: RuntimeError) -> bool:
    # Only GPUs' memory has a class of its own; the others are told by the allocators' names.
    texts = "DefaultCPUAllocator", "bad_alloc", "ALLOC_FAILED"
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(t in str(error) for t in texts)
