"""Part a: all layers on the card against float64 on the CPU, which has code of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from gpu_parts.bench import Bench, Features, dtype_of, errors, tf32
from gpu_parts.report import Step, Values

_IMAGES = 2
_SEVERAL_PASSES = 40  # images


def steps(bench: Bench) -> Iterator[Step]:
    """Fused against apart, bit for bit; then every precision."""
    for architecture in (bench.vgg, "squeezenet1_1", "alexnet", "resnet18"):
        for precision in ("bfloat16", "float32"):
            name = f"{architecture}, {precision}, equal"
            yield name, partial(_equal, bench, architecture, precision)
    comparison = _Comparison(bench, bench.vgg)
    yield f"{bench.vgg}, float64 on the CPU", comparison.expect
    for precision in ("float32", "tf32", "bfloat16", "float16"):
        yield f"{bench.vgg}, {precision}", partial(comparison.on_device, precision)
    yield f"{bench.vgg}, float32, CPU", partial(comparison.on_cpu, "float32")


def _equal(bench: Bench, architecture: str, precision: str) -> Values:
    """Whether features equal others to the last bit: without fusing, of a second call, alone."""
    pixels = bench.pixels(3 if bench.quick else _SEVERAL_PASSES)
    ours = bench.extractor(architecture, precision)
    found = ours(pixels)
    others = {
        "unfused": bench.extractor(architecture, precision, fused=False)(pixels),
        "again": ours(pixels),
        "alone": _joined([ours([one]) for one in pixels[-3:]]),
    }
    return {
        name: all(np.array_equal(found[k][-len(v) :], v) for k, v in features.items())
        for name, features in others.items()
    }


def _joined(outputs: Sequence[Features]) -> Features:
    return {layer: np.concatenate([one[layer] for one in outputs]) for layer in outputs[0]}


class _Comparison:
    def __init__(self, bench: Bench, architecture: str) -> None:
        self._bench, self._architecture = bench, architecture
        self._expected: Features = {}
        self._float32: Features = {}

    def expect(self) -> Values:
        extractor = self._bench.extractor(self._architecture, "float64", device="cpu")
        extractor._shared = None
        self._expected = extractor(self._bench.pixels(_IMAGES))
        units = sum(values.shape[1] for values in self._expected.values())
        return {"layers": len(self._expected), "units": units}

    def on_device(self, precision: str) -> Values:
        with tf32(precision == "tf32"):
            found = self._features(precision, self._bench.device)
        if precision == "float32":
            self._float32 = found
        return errors(found, self._expected)

    def on_cpu(self, precision: str) -> Values:
        found = self._features(precision, "cpu")
        values = errors(found, self._expected)
        if precision == "float32":
            between = errors(self._float32, found)
            values["card_to_cpu_norm"] = between["norm"]
            values["card_to_cpu_of_std"] = between["of_std"]
        return values

    def _features(self, precision: str, device: str) -> Features:
        extractor = self._bench.extractor(self._architecture, dtype_of(precision), device=device)
        with tf32(precision == "tf32"):  # loading switches it off
            return extractor(self._bench.pixels(_IMAGES))
