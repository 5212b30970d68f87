"""Part b: the network alone with pooled means, on inputs that lie on the card.

The share is of the rate of a large matrix product in the same precision. It counts the operations
of separate crops, also where crops share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from gpu_parts import candidates
from gpu_parts.bench import Bench, Features, Pixels, dtype_of, errors, flops, named, tf32
from gpu_parts.report import Step, Values
from kdsspark.network.crop_sharing import sharing
from kdsspark.network.extractor import Extractor

Forward = Callable[[], Sequence[Tensor]]


@dataclass(frozen=True)
class Way:
    """One way to run the network.

    ``apart``: ten crops. ``each``: crops of an image share work, as on CPUs, image by image.
    ``together``: so do those of all images at once (:class:`candidates.Together`).
    """

    precision: str = "bfloat16"
    images: int = 32
    memory: str = "nhwc"  # or nchw
    mode: str = "fused"  # or eager, or compiled
    crops: str = "apart"

    def __str__(self) -> str:
        return f"{self.precision} {self.images} {self.memory} {self.mode} {self.crops}"


OURS = Way(), Way("float32", memory="nchw")
"""As the package computes."""

_EAGER = replace(OURS[0], mode="eager")
_TOGETHER = replace(OURS[0], crops="together")
_WAYS = (
    _EAGER,
    OURS[0],
    Way("float32", memory="nhwc", mode="eager"),
    replace(OURS[1], mode="eager"),
    OURS[1],
    _TOGETHER,
    Way("tf32", mode="eager"),
    Way("tf32"),
    Way("float16", mode="eager"),
    Way("float16"),
    replace(OURS[0], images=8),
    replace(OURS[0], images=64),
    replace(OURS[0], images=1),
    replace(OURS[1], images=16),
    Way("float32", memory="nhwc"),
    replace(_EAGER, mode="compiled"),
    replace(_EAGER, crops="each"),
)
_QUICK = (
    Way("float32", images=2, mode="eager"),
    Way("float32", images=2, memory="nchw"),
    Way("tf32", images=2, crops="each"),
    Way("float32", images=2, crops="together"),
    Way("float32", images=2, mode="compiled"),
)


def steps(bench: Bench) -> Iterator[Step]:
    """The most telling ways first."""
    bare = Bare(bench)
    ways = _QUICK if bench.quick else _WAYS
    for way in ways:
        yield str(way), partial(bare.measure, way)
        if way == ways[1]:
            yield f"profile, {way}", partial(_profile, bench, way)


class Bare:
    """One network in one way after the other."""

    def __init__(self, bench: Bench, architecture: str | None = None, crops: str = "ten") -> None:
        self._bench, self._crops = bench, crops
        self._architecture = architecture or bench.vgg
        self._expected: dict[tuple[str, int], Features] = {}
        self._extractors: dict[tuple[str, bool], Extractor] = {}

    def measure(self, way: Way, wanted: float = 0.6) -> Values:
        """Images a second, share of the matrix rate, and how far features move from eager ones."""
        bench = self._bench
        extractor = self._extractor(dtype_of(way.precision), way.mode == "fused")
        with tf32(way.precision == "tf32"), torch.inference_mode():
            call = forward(extractor, bench, way)
            seconds = bench.seconds(call, wanted)
            moved = self._moved(way, named(extractor.spec, call()))
        rate = way.images / seconds
        share = rate * flops(extractor.spec) / bench.matrix_rate(way.precision)
        return {"images/s": rate, "share": share, "GiB": bench.peak_gib(), **moved}

    def _extractor(self, precision: str, fused: bool) -> Extractor:
        key = precision, fused
        if key not in self._extractors:
            made = self._bench.extractor(self._architecture, precision, self._crops, fused=fused)
            self._extractors[key] = made
        return self._extractors[key]

    def _moved(self, way: Way, found: Features) -> Values:
        """The first way of a precision and number of images is what others are compared with."""
        key = way.precision, way.images
        if key not in self._expected:
            self._expected[key] = found
            return {}
        moved = errors(found, self._expected[key])
        return {"moved_norm": moved["norm"], "layers": moved["layers"]}


def forward(extractor: Extractor, bench: Bench, way: Way) -> Forward:
    """The forward pass of ``way``, on some photographs."""
    pixels = bench.pixels(way.images)
    if way.crops == "apart":
        return _apart(extractor, way, pixels)
    return _shared(bench, extractor, way, pixels)


def _apart(extractor: Extractor, way: Way, pixels: Sequence[Pixels]) -> Forward:
    extractor._shared = None
    views = torch.cat(extractor.inputs(pixels))
    layout = torch.channels_last if way.memory == "nhwc" else torch.contiguous_format
    network = extractor._network.to(memory_format=layout)
    views = views.contiguous(memory_format=layout)
    if way.mode == "compiled":
        network = torch.compile(network, dynamic=False)
    images = len(pixels)
    return lambda: [out.view(images, -1, out.shape[1]).mean(1) for out in network(views)]


def _shared(bench: Bench, extractor: Extractor, way: Way, pixels: Sequence[Pixels]) -> Forward:
    spec, fused = extractor.spec, way.mode == "fused"
    whole = bench.extractor(spec.architecture, spec.precision, spec.crops, fused=fused)
    whole._network.to(memory_format=torch.channels_last)
    shared = sharing.split(whole._network, spec)
    assert shared is not None
    whole._shared, whole._layout = shared, torch.channels_last
    pairs = whole.inputs(pixels)
    if way.crops == "each":
        return lambda: shared(pairs)
    stacked = torch.cat([pair[i : i + 1] for i in range(2) for pair in pairs])
    stacked = stacked.contiguous(memory_format=torch.channels_last)
    together = candidates.Together(shared, len(pixels))
    together(stacked)  # counts what does not change
    return lambda: together(stacked)


def _profile(bench: Bench, way: Way) -> Values:
    """Which operations take the time of a forward pass, in percent."""
    extractor = bench.extractor(bench.vgg, dtype_of(way.precision))
    kind = "device" if bench.on_gpu else "cpu"
    with torch.inference_mode():
        call = forward(extractor, bench, way)
        call()
        bench.synchronize()
        with torch.profiler.profile() as profile:
            call()
            bench.synchronize()
    times = {e.key: getattr(e, f"self_{kind}_time_total") for e in profile.key_averages()}
    operations = {k: v for k, v in times.items() if k.startswith("aten::") and v > 0}
    total = sum(operations.values())
    most = sorted(operations, key=operations.__getitem__, reverse=True)[:8]
    shares = {name.removeprefix("aten::"): 100 * operations[name] / total for name in most}
    kernels = {k[:80]: v for k, v in times.items() if not k.startswith("aten::") and v > 0}
    return {"ms": total / 1e3, **shares, "kernels": kernels}
