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
from kdsspark.network import activations, crops
from kdsspark.network.architectures import skeleton
from kdsspark.network.crop_sharing import overlap, sharing
from kdsspark.network.spec import NetworkSpec

_log = logging.getLogger(__name__)
_cache: dict[tuple[str, str], Extractor] = {}
_cache_lock = threading.Lock()


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
                passes.append([layer.cpu() for layer in self.forward(self.inputs(batch))])
            except RuntimeError as error:
                if len(batch) == 1 or not _out_of_memory(error):
                    raise
                self._most = len(batch) // 2
                _log.warning("%d images do not fit into memory, trying %d", len(batch), self._most)
            else:
                done += len(batch)
        features = (torch.cat(layer).numpy() for layer in zip(*passes, strict=True))
        return dict(zip((layer.name for layer in self.spec.layers), features, strict=True))

    def inputs(self, images: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        """What :meth:`forward` takes of each image: on the device, cut, mirrored, normalised."""
        pixels = [_upload(image, self.device) for image in images]
        size = self.spec.preprocessing.crop
        if self._shared is not None:
            return [self._normal(crops.mirrored(image, size)) for image in pixels]
        return [self._normal(crops.views(image, self.spec.crops, size)) for image in pixels]

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Float32 [images, units] per layer, on the device: nothing but the network, once."""
        if self._shared is None:
            return _means(self._network(torch.cat(tuple(inputs))), len(inputs))
        features = self._shared(inputs)
        # Sharing also computes pixels that no crop has, and 0 x infinity is no number.
        if all(bool(layer.isfinite().all()) for layer in features):
            return features
        views = [overlap.ten(pair, self.spec.preprocessing.crop) for pair in inputs]
        return _means(self._network(torch.cat(views)), len(inputs))

    def _normal(self, pixels: Tensor) -> Tensor:
        """uint8 [images or views, channels, height, width] as the network takes them."""
        dtype = getattr(torch, self.spec.precision)
        normal = crops.normalise(pixels, self.spec.preprocessing)
        return normal.to(dtype, memory_format=torch.channels_last)


def _means(outputs: Sequence[Tensor], images: int) -> list[Tensor]:
    """[images x views, units] per layer to [images, units]."""
    return [output.view(images, -1, output.shape[1]).mean(1) for output in outputs]


def _upload(image: NDArray[np.uint8], device: str) -> Tensor:
    # Pillow's arrays are read-only, which torch warns about; nothing here writes to them.
    return torch.from_numpy(np.require(image, requirements=["C", "W"])).to(device)


def _out_of_memory(error: RuntimeError) -> bool:
    # Only GPUs' memory has a class of its own; the others are told by the allocators' names.
    texts = "DefaultCPUAllocator", "bad_alloc", "ALLOC_FAILED"
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(t in str(error) for t in texts)
