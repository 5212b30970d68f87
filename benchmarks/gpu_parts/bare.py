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
    mode: str = "eager"  # with any of: fused, graph, compiled, tuned
    crops: str = "apart"

    def __str__(self) -> str:
        return f"{self.precision} {self.images} {self.memory} {self.mode} {self.crops}"


_TODAY = Way()
_FLOAT = Way("float32")
_FUSED = Way(mode="fused")
_TOGETHER = Way(mode="fused", crops="together")
_WAYS = (
    _TODAY,
    _FUSED,
    replace(_TODAY, crops="together"),
    _TOGETHER,
    _FLOAT,
    replace(_FLOAT, memory="nchw"),
    replace(_TODAY, crops="each"),
    replace(_FLOAT, mode="fused"),
    replace(_FLOAT, mode="fused", crops="together"),
    replace(_FLOAT, mode="fused", memory="nchw"),
    Way("tf32"),
    Way("tf32", mode="fused"),
    Way("float16"),
    Way("float16", mode="fused"),
    replace(_TODAY, memory="nchw"),
    replace(_TODAY, mode="tuned"),
    replace(_FLOAT, mode="tuned"),
    replace(_FLOAT, mode="tuned", memory="nchw"),
    replace(_TODAY, images=8),
    replace(_TODAY, images=64),
    replace(_FUSED, images=8),
    replace(_FUSED, images=16),
    replace(_FUSED, images=64),
    replace(_TOGETHER, images=8),
    replace(_TOGETHER, images=64),
    replace(_TOGETHER, images=128),
    replace(_TODAY, mode="compiled"),
    replace(_TOGETHER, mode="fused graph"),
    replace(_TODAY, mode="graph"),
    replace(_TODAY, images=1),
    replace(_FUSED, images=1),
    replace(_FUSED, images=1, mode="fused graph"),
    replace(_TODAY, images=1, crops="each", mode="graph"),
    replace(_TODAY, mode="compiled", crops="together"),
    replace(_FLOAT, mode="compiled"),
    replace(_FLOAT, images=8),
    replace(_FLOAT, images=64),
    Way("tf32", mode="fused", crops="together"),
    Way("tf32", memory="nchw"),
    Way("float16", mode="fused", crops="together"),
    replace(_TODAY, images=128),
)
_QUICK = (
    Way("float32", images=2),
    Way("float32", images=2, mode="fused", memory="nchw"),
    Way("tf32", images=2, crops="each"),
    Way("float32", images=2, mode="fused", crops="together"),
    Way("float32", images=2, mode="compiled"),
    Way("float32", images=2, mode="graph"),
)


def steps(bench: Bench) -> Iterator[Step]:
    """The most telling ways first."""
    bare = Bare(bench)
    for number, way in enumerate(_QUICK if bench.quick else _WAYS):
        yield str(way), partial(bare.measure, way)
        if number == 3:
            for profiled in (replace(way, mode="eager", crops="apart"), way):
                yield f"profile, {profiled}", partial(_profile, bench, profiled)
            yield "means over space, bfloat16", partial(_pooling, bench)


class Bare:
    """One network in one way after the other."""

    def __init__(self, bench: Bench, architecture: str | None = None, crops: str = "ten") -> None:
        self._bench, self._crops = bench, crops
        self._architecture = architecture or bench.vgg
        self._expected: dict[tuple[str, int], Features] = {}
        self._extractors: dict[str, Extractor] = {}

    def measure(self, way: Way, wanted: float = 0.6) -> Values:
        """Images a second, share of the matrix rate, and how far features move from eager ones."""
        bench = self._bench
        extractor = self._extractor(dtype_of(way.precision))
        with tf32(way.precision == "tf32"), _tuned("tuned" in way.mode), torch.inference_mode():
            call = forward(extractor, bench, way)
            seconds = bench.seconds(call, wanted)
            moved = self._moved(way, named(extractor.spec, call()))
        rate = way.images / seconds
        share = rate * flops(extractor.spec) / bench.matrix_rate(way.precision)
        return {"images/s": rate, "share": share, "GiB": bench.peak_gib(), **moved}

    def _extractor(self, precision: str) -> Extractor:
        if precision not in self._extractors:
            made = self._bench.extractor(self._architecture, precision, self._crops)
            made._shared = None
            self._extractors[precision] = made
        return self._extractors[precision]

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
    run = (
        _apart(extractor, way, pixels) if way.crops == "apart" else _shared(extractor, way, pixels)
    )
    return _captured(run) if "graph" in way.mode else run


def _apart(extractor: Extractor, way: Way, pixels: Sequence[Pixels]) -> Forward:
    extractor._shared = None
    views = torch.cat(extractor.inputs(pixels))
    layout = torch.channels_last if way.memory == "nhwc" else torch.contiguous_format
    network = extractor._network.to(memory_format=layout)
    views = views.contiguous(memory_format=layout)
    if "fused" in way.mode:
        network = candidates.fused(network)
    if "compiled" in way.mode:
        network = torch.compile(network, dynamic=False)
    images = len(pixels)
    return lambda: [out.view(images, -1, out.shape[1]).mean(1) for out in network(views)]


def _shared(extractor: Extractor, way: Way, pixels: Sequence[Pixels]) -> Forward:
    extractor._network.to(memory_format=torch.channels_last)
    shared = sharing.split(extractor._network, extractor.spec)
    assert shared is not None
    extractor._shared = shared
    pairs = extractor.inputs(pixels)
    if "fused" in way.mode:
        shared = candidates.fused_shared(shared)
    if way.crops == "each":
        return lambda: shared(pairs)
    stacked = torch.cat([pair[i : i + 1] for i in range(2) for pair in pairs])
    stacked = stacked.contiguous(memory_format=torch.channels_last)
    together = candidates.Together(shared, len(pixels))
    together(stacked)  # counts what does not change
    run = torch.compile(together.__call__, dynamic=False) if "compiled" in way.mode else together
    return lambda: run(stacked)


def _captured(call: Forward) -> Forward:
    """The call's kernels as one CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = call()

    def replay() -> Sequence[Tensor]:
        graph.replay()
        return outputs

    return replay


class _tuned:  # noqa: N801  (used as a function)
    """Whether cuDNN tries its algorithms out for every shape."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted

    def __enter__(self) -> None:
        torch.backends.cudnn.benchmark = self._wanted

    def __exit__(self, *_: object) -> None:
        torch.backends.cudnn.benchmark = False


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


def _pooling(bench: Bench) -> Values:
    """Three ways to the means of the largest maps: a reduction, products with ones, and pooling."""
    shape = (20, 8, 28, 28) if bench.quick else (320, 64, 224, 224)
    maps = torch.randn(shape, device=bench.device).to(torch.bfloat16)
    maps = maps.contiguous(memory_format=torch.channels_last)
    views, channels, height, width = shape
    ones = torch.ones(views * height, 1, width, device=bench.device, dtype=torch.bfloat16)
    rows = maps.permute(0, 2, 3, 1).reshape(views * height, width, channels)

    def products() -> Tensor:
        sums = candidates.products(ones, rows)
        return sums.view(views, height, channels).sum(1) / (height * width)

    calls = {
        "mean": lambda: maps.mean((2, 3), dtype=torch.float32),
        "products": products,
        "pooling": lambda: torch.nn.functional.adaptive_avg_pool2d(maps, 1),
        "relu_": maps.relu_,
    }
    return {
        f"{name} GB/s": maps.nbytes / bench.seconds(call, 0.1) / 1e9 for name, call in calls.items()
    }
