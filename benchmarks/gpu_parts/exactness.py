"""Part a: all layers on the card against float64 on the CPU, which has code of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpu_parts.bench import Bench, Features, dtype_of, errors, tf32
from gpu_parts.report import Step, Values

_IMAGES = 2
_NETWORKS = ("vgg16", "resnet50", "squeezenet1_1", "alexnet")


def steps(bench: Bench) -> Iterator[Step]:
    """Every precision of a few networks."""
    for architecture in _NETWORKS[2:] if bench.quick else _NETWORKS:
        comparison = _Comparison(bench, architecture)
        yield f"{architecture}, float64 on the CPU", comparison.expect
        for precision in ("float32", "tf32", "bfloat16", "float16"):
            yield f"{architecture}, {precision}", partial(comparison.on_device, precision)
        for precision in ("float32", "bfloat16"):
            yield f"{architecture}, {precision}, CPU", partial(comparison.on_cpu, precision)


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
