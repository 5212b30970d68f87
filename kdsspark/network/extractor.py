"""Images in, features out: numpy on both sides, one network held per process. Runs on executors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, fx, nn

from kdsspark.errors import WeightsError
from kdsspark.network import activations, batches, crop_sharing, crops, devices, fusing
from kdsspark.network.architectures import skeleton
from kdsspark.network.spec import NetworkSpec

_log = logging.getLogger(__name__)
_held: dict[Hashable, Any] = {}
_held_lock = threading.Lock()

Held = TypeVar("Held")


def held(key: Hashable, load: Callable[[], Held]) -> Held:
    """What ``load`` returns, kept until another key comes; safe from threads.

    One network a process: several would not fit beside each other.
    """
    with _held_lock:
        if key not in _held:
            _held.clear()
            _held[key] = load()
        kept: Held = _held[key]
        return kept


def cached_extractor(
    spec: NetworkSpec,
    weights_path: str | Path,
    device: str = "cpu",
    threads: int | None = None,
    batch: int | None = None,
) -> Extractor:
    """:meth:`Extractor.load`, kept until other arguments come; safe from threads."""
    key = (Extractor, spec.fingerprint, device, threads, batch)
    return held(key, lambda: Extractor.load(spec, weights_path, device, threads, batch))


def loaded(spec: NetworkSpec, weights_path: str | Path, device: str) -> nn.Module:
    """The float32 network of ``spec`` around the tensors that ``weights.prepare`` wrote.

    It maps crops to the layers' features (:func:`activations.read`), in evaluation mode. Raises
    WeightsError if the file cannot be read or holds other tensors than the network needs.
    """
    # float32 means float32: GPUs would round it to TF32.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    # Trying algorithms out would choose another one, with other last bits, in every process.
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    model = skeleton(spec.architecture, spec.preprocessing.crop, spec.settings)
    how = spec.activation, spec.pooling, spec.preprocessing.crop
    network = activations.read(model, spec.layers, *how)
    try:
        tensors = load_file(weights_path, device=device)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"cannot read the weights of {spec.name}: {error}") from error
    if tensors.keys() != network.state_dict().keys():
        raise WeightsError(f"{weights_path} must hold the tensors of {spec.name}, got others")
    # Not strict, because batch-norm asks for a count that only training uses.
    network.load_state_dict(tensors, strict=False, assign=True)
    return network.requires_grad_(False).eval()


class Extractor:
    """A network ready to compute the features of images; always in evaluation mode.

    On one kind of device (:func:`devices.kind`), the features of an image depend on its pixels and
    on the network alone, to the last bit. Therefore every forward pass has ``batch`` images,
    repeats of the last one included, and is computed by a single thread on a CPU, where
    ``threads`` passes run side by side.

    On a CPU the ten crops of an image share the first blocks of networks that allow it
    (:mod:`crop_sharing`). Convolutions are fused with ReLUs (:mod:`fusing`). On a GPU, all passes
    of a call are queued before the first one's features are fetched, so that the GPU computes
    while the next pass is prepared. float32 means float32: GPUs do not round it to TF32
    either.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        network: nn.Module,
        device: str,
        threads: int = 1,
        batch: int | None = None,
    ) -> None:
        self.spec = spec
        self.device = device
        self.batch = batch or batches.batch_images(spec, device)
        self.threads = batches.passes_at_once(spec, self.batch, threads)
        self._network = network
        self._layout = _layout(spec, device)
        shares = device == "cpu" and spec.pooling == "mean"  # parts have no whole maps
        traced = network if shares and isinstance(network, fx.GraphModule) else None
        self._shared = crop_sharing.split(traced, spec) if traced is not None else None

    @classmethod
    def load(
        cls,
        spec: NetworkSpec,
        weights_path: str | Path,
        device: str = "cpu",
        threads: int | None = None,
        batch: int | None = None,
    ) -> Extractor:
        """Build the network of ``spec`` around the tensors that ``weights.prepare`` wrote.

        ``threads`` passes run side by side on a CPU, or fewer where memory is short; null: as many
        as torch has threads. ``batch`` images are a pass; null: :func:`batches.batch_images`.
        Raises like :func:`loaded`.
        """
        network = loaded(spec, weights_path, device)
        network.to(getattr(torch, spec.precision)).to(memory_format=_layout(spec, device))
        if isinstance(network, fx.GraphModule):
            fusing.fuse(network)
        return cls(spec, network, device, threads or torch.get_num_threads(), batch)

    @property
    def arithmetic(self) -> str:
        """What features are computed by; where it is equal for a network, so are they."""
        return devices.arithmetic(self.device, self.batch)

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        """{layer name: float32 [images, units]}, averaged over each image's views.

        With the pooling ``peak``, [images, units, 4] (:func:`activations.over_views`). With
        ``grids`` and ``maps``, at least one image, and layers of maps as :mod:`.activations.cells`
        has them.

        ``images`` are uint8 RGB [height, width, channels], the short side already resized; their
        sizes may differ. Where memory does not suffice, fewer passes run side by side from then
        on; then, on a GPU, passes have fewer images, which :attr:`arithmetic` says. Raises
        ValueError for an image of other shape or dtype, or smaller than a crop, and torch's own
        error if memory does not suffice for the smallest pass.
        """
        while True:
            try:
                outputs = self._passes(images)
                break
            except RuntimeError as error:
                if not (_out_of_memory(error) and self._take_less()):
                    raise
        if not outputs:
            found = (4,) if self.spec.pooling == activations.PEAK else ()
            outputs.append([torch.empty(0, layer.units, *found) for layer in self.spec.layers])
        features = (torch.cat(layer).numpy() for layer in zip(*outputs, strict=True))
        return dict(zip((layer.name for layer in self.spec.layers), features, strict=True))

    def _passes(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Tensor]]:
        """Float32 [images, units] per layer, pass by pass."""
        parts = [images[i : i + self.batch] for i in range(0, len(images), self.batch)]
        if self.device != "cpu":
            queued = [self._pass(part) for part in parts]
            return [[layer.cpu() for layer in features] for features in queued]
        with _one_thread_each(self.threads) as pool:
            return list(pool.map(self._pass, parts))

    @torch.inference_mode()
    def _pass(self, images: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        inputs = self.inputs(images)
        repeats = [inputs[-1]] * (self.batch - len(images))
        return [layer[: len(images)] for layer in self.forward([*inputs, *repeats])]

    def _take_less(self) -> bool:
        """Take less memory from now on; False if nothing is left to reduce."""
        if self.device == "cpu" and self.threads > 1:
            self.threads //= 2
            _log.warning("memory is short, trying %d passes side by side", self.threads)
        elif self.device != "cpu" and self.batch > 1:
            self.batch //= 2
            _log.warning(
                "memory is short, trying passes of %d images, which have other last bits",
                self.batch,
            )
        else:
            return False
        return True

    def inputs(self, images: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        """Each image as :meth:`forward` takes it: on the device, cut, mirrored, normalised."""
        pixels = _upload(images, self.device)
        size = self.spec.preprocessing.crop
        if self._shared is not None:
            return [self._normal(crops.mirrored(image, size)) for image in pixels]
        n = crops.VIEWS[self.spec.crops]
        views = torch.cat([crops.views(image, self.spec.crops, size) for image in pixels])
        normal = self._normal(views)
        return [normal[i : i + n] for i in range(0, len(normal), n)]

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Float32 [images, units] per layer, on the device: one pass, with all of ``inputs``."""
        if self._shared is not None:
            return self._shared(inputs)
        outputs = self._network(torch.cat(tuple(inputs)))
        return [activations.over_views(o, len(inputs), self.spec.pooling) for o in outputs]

    def _normal(self, pixels: Tensor) -> Tensor:
        """uint8 [images or views, channels, height, width] as the network takes them."""
        dtype = getattr(torch, self.spec.precision)
        normal = crops.normalise(pixels, self.spec.preprocessing)
        return normal.to(dtype, memory_format=self._layout)


def _layout(spec: NetworkSpec, device: str) -> torch.memory_format:
    """How maps lie in memory: GPUs compute float32 faster, in half the memory, by channels."""
    if device != "cpu" and spec.precision == "float32":
        return torch.contiguous_format
    return torch.channels_last


@contextmanager
def _one_thread_each(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of ``threads``, in which torch's operations use no further threads.

    Torch splits sums, vectors and matrices by the number of its threads, and so rounds otherwise.
    """
    before = torch.get_num_threads()
    alone = partial(torch.set_num_threads, 1)
    try:
        with ThreadPoolExecutor(threads, initializer=alone) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def _upload(images: Sequence[NDArray[np.uint8]], device: str) -> list[Tensor]:
    """The images on the device; on a GPU by one copy, queued behind what it still computes."""
    flat = torch.from_numpy(np.concatenate([image.ravel() for image in images]))
    if device != "cpu":
        # Only from pinned memory are copies made while this thread goes on.
        flat = flat.pin_memory().to(device, non_blocking=True)
    parts = flat.split([image.size for image in images])  # type: ignore[no-untyped-call]
    return [part.view(image.shape) for part, image in zip(parts, images, strict=True)]


def _out_of_memory(error: RuntimeError) -> bool:
    # Only GPUs' memory has a class of its own; the other errors name the allocator that failed.
    texts = "DefaultCPUAllocator", "bad_alloc", "ALLOC_FAILED"
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(t in str(error) for t in texts)
