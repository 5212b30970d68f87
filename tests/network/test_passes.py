"""Passes of the extractor: the company of an image, threads, and memory that is short."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torchvision import models

from kdsspark.network import devices
from kdsspark.network import extractor as extractor_module
from kdsspark.network.extractor import Extractor, cached_extractor
from tests.marks import left_out
from tests.network.extracting import RESNET, SQUEEZE, Image, close, image, load, spec_of


@pytest.fixture(scope="module")
def vgg11_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Those of the convolutions alone: a random vgg11 fills 133 million weights."""
    path = tmp_path_factory.mktemp("vgg11") / "features.pt"
    torch.manual_seed(0)
    features = models.vgg.make_layers(models.vgg.cfgs["A"])
    torch.save({f"features.{k}": v for k, v in features.state_dict().items()}, path)
    return str(path)


def test_pixels_that_no_crop_has_do_not_matter(tmp_path: Path, vgg11_weights: str) -> None:
    """Not even if their activations are infinite, and the crops share work."""
    layers = {"conv1_1": "features.0", "conv2_1": "features.3"}
    extractor = load(tmp_path, architecture="vgg11", layers=layers, weights=vgg11_weights)
    next(extractor._network.parameters())[0] = 1e37
    pixels = np.full((64, 250, 3), (123, 115, 103), np.uint8)  # just below 0 once normalised
    expected = extractor([pixels])
    pixels[:, 75:80] = 255  # the crops begin at 0, 93 and 186
    for name, features in extractor([pixels]).items():
        assert np.isfinite(features).all()
        close(features, expected[name], 1e-5)


VGG11 = {"conv1_1": "features.0", "conv2_1": "features.3", "conv4_1": "features.11"}
SHALLOW = {"conv1_1": "features.0", "conv2_1": "features.3"}
ENDS = {"early": "features.2", "last": "features.8"}
CASES: dict[str, dict[str, Any]] = {
    "shared crops": {"architecture": "vgg11", "layers": VGG11},
    "shared, shallow": {"architecture": "vgg11", "layers": SHALLOW},
    "ten crops": SQUEEZE,
    "residual": RESNET,
    "twelve": {**SQUEEZE, "crops": "twelve"},
    "center": {**SQUEEZE, "crops": "center"},
    "residual center": {**RESNET, "crops": "center"},
    "efficient center": {"architecture": "efficientnet_b0", "layers": ENDS, "crops": "center"},
    "strongest": {**RESNET, "crops": "center", "pooling": "max"},
}
QUICK = ("shared crops", "ten crops", "twelve", "center", "residual center", "strongest")
HALVED = ("shared, shallow", "ten crops")  # others are slow on processors
SIZES = [(72, 99), (120, 72), (72, 72), (72, 300), (64, 64), (72, 99), (99, 72)]
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, vgg11_weights: str) -> Callable[..., Alone]:
    """(case, precision, device) -> an extractor, and images with their features on their own."""

    @cache
    def load_case(case: str, precision: str, device: str) -> Alone:
        folder = tmp_path_factory.mktemp("alone")
        keys = CASES[case]
        if keys["architecture"] == "vgg11":
            keys = keys | {"weights": vgg11_weights}
        extractor = load(folder, device, **keys, precision=precision)
        images = [image(*size, seed) for seed, size in enumerate(SIZES)]
        return Alone(extractor, images, [extractor([pixels]) for pixels in images])

    return load_case


class Alone(NamedTuple):
    extractor: Extractor
    images: list[Image]
    features: list[dict[str, NDArray[np.float32]]]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("case", "precision"),
    [
        *((case, "float32") for case in QUICK),
        *((case, "bfloat16") for case in HALVED),
        *(left_out(case, "float32") for case in CASES if case not in QUICK),
        *(left_out(case, "bfloat16") for case in CASES if case not in HALVED),
    ],
)
@settings(max_examples=4)
@given(
    chosen=st.lists(st.integers(0, len(SIZES) - 1), min_size=1, max_size=10),  # a pass has 8
    threads=st.integers(1, 3),
    of_torch=st.integers(1, 2),
)
def test_features_do_not_depend_on_company_order_or_threads(
    alone: Callable[..., Alone],
    case: str,
    precision: str,
    device: str,
    chosen: list[int],
    threads: int,
    of_torch: int,
) -> None:
    extractor, images, features = alone(case, precision, device)
    assert (extractor._shared is not None) == (case.startswith("shared") and device == "cpu")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(of_torch)
        extractor.threads = threads
        together = extractor([images[i] for i in chosen])
        assert torch.get_num_threads() == of_torch
    finally:
        torch.set_num_threads(before)
    for name, found in together.items():
        expected = np.concatenate([features[i][name] for i in chosen])
        assert np.isfinite(found).all()
        assert found.std() > 0
        np.testing.assert_array_equal(found, expected)


def test_the_arithmetic_is_the_devices_kind_and_the_images_of_a_pass(tmp_path: Path) -> None:
    extractor = load(tmp_path, **SQUEEZE, crops="center")
    assert extractor.arithmetic == f"{devices.kind()}, 8 images a pass"
    other = Extractor.load(extractor.spec, tmp_path / "n.safetensors", batch=3)
    assert other.arithmetic == f"{devices.kind()}, 3 images a pass"
    images = [image(72, 99, seed) for seed in range(4)]
    expected = extractor(images)
    for name, features in other(images).items():
        close(features, expected[name], 1e-5)


def cpu_error() -> RuntimeError:
    with pytest.raises(RuntimeError) as info:
        torch.empty(10**15)
    return info.value


def test_passes_side_by_side_that_do_not_fit_are_halved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extractor = load(tmp_path, **SQUEEZE)
    images = [image(72, 99, seed) for seed in range(7)]
    expected = extractor(images)
    network, error = extractor._network, cpu_error()

    def fits_once(views: Tensor) -> Any:
        if extractor.threads > 1:
            raise error
        return network(views)

    extractor._network, extractor.threads = fits_once, 5  # type: ignore[assignment]
    for _ in range(2):
        for name, features in extractor(images).items():
            np.testing.assert_array_equal(features, expected[name])
    # Learnt once: the second call does not try five again.
    assert [r.message for r in caplog.records] == [
        "memory is short, trying 2 passes side by side",
        "memory is short, trying 1 passes side by side",
    ]


def on_a_gpu(extractor: Extractor, monkeypatch: pytest.MonkeyPatch, views: int) -> None:
    """Let it think that it computes on a GPU, where more than so many views do not fit."""
    network, upload = extractor._network, extractor_module._upload

    def forward(pixels: Tensor) -> Any:
        if len(pixels) > views:
            raise torch.cuda.OutOfMemoryError("no memory left")
        return network(pixels)

    monkeypatch.setattr(extractor_module, "_upload", lambda images, _: upload(images, "cpu"))
    monkeypatch.setattr(devices, "kind", lambda device: f"kind of {device}")
    extractor._network = forward  # type: ignore[assignment]
    extractor.device = "cuda"


def test_passes_that_do_not_fit_on_a_gpu_are_halved_and_said_to_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = load(tmp_path, **SQUEEZE)
    images = [image(72, 99, seed) for seed in range(7)]
    expected = extractor(images)
    extractor.batch = 7
    on_a_gpu(extractor, monkeypatch, views=20)
    for _ in range(2):
        for name, features in extractor(images).items():
            close(features, expected[name], 1e-5)
    assert [r.message for r in caplog.records] == [
        "memory is short, trying passes of 3 images, which have other last bits",
        "memory is short, trying passes of 1 images, which have other last bits",
    ]
    assert extractor.arithmetic == "kind of cuda, 1 images a pass"


def test_too_little_memory_for_the_smallest_pass_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = load(tmp_path, **SQUEEZE)
    on_a_gpu(extractor, monkeypatch, views=9)
    with pytest.raises(RuntimeError, match="no memory left"):
        extractor([image(72, 99)])


def test_other_errors_are_raised_at_once(tmp_path: Path) -> None:
    extractor = load(tmp_path, **SQUEEZE)
    calls = []

    def fail(views: Tensor) -> Any:
        calls.append(len(views))
        raise RuntimeError("device-side assert")

    extractor._network, extractor.threads = fail, 2  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="device-side assert"):
        extractor([image(72, 99)])
    assert calls == [10]


def test_one_copy_per_process_and_fingerprint(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    path = tmp_path / "n.safetensors"
    extractor = cached_extractor(spec, path)
    assert cached_extractor(dataclasses.replace(spec, name="other"), path) is extractor
    assert cached_extractor(dataclasses.replace(spec, pooling="max"), path) is not extractor


def test_as_many_passes_side_by_side_as_torch_has_threads_or_as_are_given(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    path = tmp_path / "n.safetensors"
    before = torch.get_num_threads()
    assert Extractor.load(spec, path).threads == before
    assert Extractor.load(spec, path, threads=before + 1).threads == before + 1
    assert cached_extractor(spec, path, threads=2).threads == 2
    assert cached_extractor(spec, path, threads=1).threads == 1
    assert torch.get_num_threads() == before
