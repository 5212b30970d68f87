"""Images in, features out: numpy on both sides, one network held per process. Runs on executors."""

from __future__ import annotations

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
from kdsspark.network import activations, crops
from kdsspark.network.architectures import skeleton
from kdsspark.network.spec import NetworkSpec

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
    """A network ready to compute the features of images; always in evaluation mode."""

    def __init__(self, spec: NetworkSpec, network: fx.GraphModule, device: str) -> None:
        self.spec = spec
        self.device = device
        self._network = network

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
        their sizes may differ. They go through the network in one pass. Raises ValueError for an
        image of other shape or dtype, or smaller than a crop.
        """
        if not images:
            return {
                layer.name: np.empty((0, layer.units), np.float32) for layer in self.spec.layers
            }
        outputs = self._network(self._views(images))
        return {
            layer.name: output.view(len(images), -1, layer.units).mean(1).cpu().numpy()
            for layer, output in zip(self.spec.layers, outputs, strict=True)
        }

    def _views(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """[images x views, channels, height, width] in the network's precision."""
        spec, size = self.spec, self.spec.preprocessing.crop
        cut = [crops.views(_upload(image, self.device), spec.crops, size) for image in images]
        pixels = crops.normalise(torch.cat(cut), spec.preprocessing)
        return pixels.to(getattr(torch, spec.precision), memory_format=torch.channels_last)


def _upload(image: NDArray[np.uint8], device: str) -> Tensor:
    # Pillow's arrays are read-only, which torch warns about; nothing here writes to them.
    return torch.from_numpy(np.require(image, requirements=["C", "W"])).to(device)
