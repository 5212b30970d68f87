from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import functional as F  # noqa: N812

from kdsspark.config import Network, Preprocessing
from kdsspark.errors import WeightsError
from kdsspark.network import devices
from kdsspark.network import extractor as extractor_module
from kdsspark.network.extractor import Extractor, cached_extractor
from kdsspark.network.layers.tables import BUILT_IN
from kdsspark.network.spec import NetworkSpec, describe
from kdsspark.network.weights import prepare

DATA = Path(__file__).parents[3] / "shared" / "data"
SMALL = Preprocessing(resize=72, crop=64)
RESNET: dict[str, Any] = {
    "architecture": "resnet18",
    "layers": {"a": "layer2.0", "b": "layer4", "c": "fc"},
}
SQUEEZE: dict[str, Any] = {
    "architecture": "squeezenet1_1",
    "layers": {"first": "features.0", "fire9": "features.12", "last": "classifier.1"},
}

Image = NDArray[np.uint8]


def image(height: int, width: int, seed: int = 0) -> Image:
    """Smooth colours and a little noise, more like a photograph than noise alone."""
    random = np.random.default_rng(seed)
    coarse = torch.from_numpy(random.random((3, 6, 6)))
    smooth = F.resize(coarse, [height, width]).permute(1, 2, 0).numpy() * 230
    pixels: Image = (smooth + random.random((height, width, 3)) * 25).astype(np.uint8)
    return pixels


def load(folder: Path, /, device: str = "cpu", **keys: Any) -> Extractor:
    defaults = {"name": "n", "weights": "random", "preprocessing": SMALL}
    spec = prepare(Network(**{**defaults, **keys}), folder / "n.safetensors")
    return Extractor.load(spec, folder / "n.safetensors", device)


def ten_crops(pixels: Image, crop: int) -> Tensor:
    """[10, 3, crop, crop] as torchvision makes and normalises them."""
    tensor = F.convert_image_dtype(torch.tensor(pixels).permute(2, 0, 1))
    views = torch.stack(F.ten_crop(tensor, [crop, crop]))
    return F.normalize(views, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def plain(
    model: nn.Module, modules: Sequence[nn.Module], pixels: Image, crop: int
) -> list[NDArray[np.float64]]:
    """[units] of each module: the mean of its output over the ten crops, and over space."""
    copies: dict[nn.Module, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda m, _, output: copies.update({m: output.double()}))
        for module in modules
    ]
    with torch.inference_mode():
        model.eval()(ten_crops(pixels, crop))
    for hook in hooks:
        hook.remove()
    return [copies[m].reshape(*copies[m].shape[:2], -1).mean((0, 2)).numpy() for m in modules]


def close(found: NDArray[np.float32], expected: NDArray[Any], tolerance: float = 1e-4) -> None:
    assert found.dtype == np.float32
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory: pytest.TempPathFactory) -> tuple[Extractor, models.VGG]:
    """The extractor, and torchvision's model with the same weights."""
    folder = tmp_path_factory.mktemp("vgg16")
    extractor = load(folder, architecture="vgg16")
    with torch.device("meta"):  # to fill 138 million weights takes a second
        model = models.vgg16().eval()
    tensors = load_file(folder / "n.safetensors")
    (folder / "n.safetensors").unlink()  # 0.5 GB
    missing = model.load_state_dict(tensors, strict=False, assign=True).missing_keys
    assert missing == ["classifier.6.weight", "classifier.6.bias"]
    return extractor, model


def test_vgg16_is_the_embedding_of_the_paper(vgg16: tuple[Extractor, models.VGG]) -> None:
    spec = vgg16[0].spec
    units = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512, 4096, 4096]
    assert [layer.units for layer in spec.layers] == units
    assert [(layer.name, layer.module) for layer in spec.layers] == list(BUILT_IN["vgg16"].items())
    assert [layer.kind for layer in spec.layers] == ["conv"] * 13 + ["fc"] * 2
    rows = describe(spec)
    assert len(rows) == 12_416
    assert rows[4224] == ("fc6", 0, 4224, "fc", 13, None)


def test_vgg16_equals_a_plain_pass_over_ten_crops(vgg16: tuple[Extractor, models.VGG]) -> None:
    extractor, model = vgg16
    pixels = image(72, 99)
    found = extractor([pixels])
    steps = [*model.features, model.avgpool, nn.Flatten(), *model.classifier[:-1]]
    value = ten_crops(pixels, 64)
    expected = []
    with torch.inference_mode():
        for step in steps:
            if isinstance(step, nn.ReLU):
                value = value.clamp(min=0)
                pooled = value.mean((2, 3)) if value.ndim == 4 else value
                expected.append(pooled.mean(0, keepdim=True).numpy())
            else:
                value = step(value)
    assert len(expected) == len(found) == 15
    for (name, features), reference in zip(found.items(), expected, strict=True):
        assert reference.std() > 0, name
        close(features, reference, 1e-5)


@pytest.mark.parametrize("keys", [RESNET, SQUEEZE])
def test_explicit_layers_of_other_architectures(tmp_path: Path, keys: dict[str, Any]) -> None:
    extractor = load(tmp_path, **keys, activation="pre_relu")
    torch.manual_seed(0)
    model = models.get_model(keys["architecture"])
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    pixels = image(72, 99)
    modules = [model.get_submodule(path) for path in keys["layers"].values()]
    found = extractor([pixels])
    for features, expected in zip(found.values(), plain(model, modules, pixels, 64), strict=True):
        close(features, expected[None])


def test_before_and_after_the_relu(tmp_path: Path) -> None:
    keys = {**SQUEEZE, "layers": {"first": "features.0"}, "crops": "center"}
    pixels = image(72, 99)
    torch.manual_seed(0)
    conv = models.squeezenet1_1().features[0]
    with torch.inference_mode():
        maps = conv(ten_crops(pixels, 64)[4:5])
    before = load(tmp_path, **keys, activation="pre_relu")([pixels])["first"]
    after = load(tmp_path, **keys, activation="post_relu")([pixels])["first"]
    strongest = load(tmp_path, **keys, pooling="max")([pixels])["first"]
    assert before.min() < 0
    close(before, maps.mean((2, 3)).numpy())
    close(after, maps.clamp(min=0).mean((2, 3)).numpy())
    close(strongest, maps.clamp(min=0).amax((2, 3)).numpy())


def test_twelve_views_are_averaged(tmp_path: Path) -> None:
    keys = {**SQUEEZE, "layers": {"pixels": "features.0"}, "activation": "pre_relu"}
    pixels = image(72, 100)  # even margins: the centre of the mirror is the centre's mirror
    found = load(tmp_path, **keys, crops="twelve")([pixels])["pixels"]
    torch.manual_seed(0)
    conv = models.squeezenet1_1().features[0]
    whole = F.resize(torch.tensor(pixels).permute(2, 0, 1), [64, 64], antialias=True)
    views = torch.stack([whole, F.hflip(whole)]).float() / 255
    views = F.normalize(views, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.inference_mode():
        maps = conv(torch.cat([ten_crops(pixels, 64), views]))
    close(found, maps.mean((0, 2, 3)).numpy()[None])


def test_images_of_different_sizes_in_one_pass(tmp_path: Path) -> None:
    extractor = load(tmp_path, **SQUEEZE)
    images = [image(72, 99, 1), image(120, 72, 2), image(72, 72, 3)]
    images[1].setflags(write=False)
    images[2] = images[2][:, ::-1]
    together = extractor(images)
    for name, features in together.items():
        assert features.shape == (3, {"first": 64, "fire9": 512, "last": 1000}[name])
        for i, pixels in enumerate(images):
            np.testing.assert_array_equal(features[i : i + 1], extractor([pixels])[name])
    assert {k: v.shape for k, v in extractor([]).items()} == {
        "first": (0, 64),
        "fire9": (0, 512),
        "last": (0, 1000),
    }
    with pytest.raises(ValueError, match="at least 64 pixels a side, got 40 x 99"):
        extractor([image(40, 99)])


def test_bfloat16_is_close_to_float32(tmp_path: Path) -> None:
    pixels = image(72, 99)
    single = load(tmp_path, **SQUEEZE)([pixels])
    half = load(tmp_path, **SQUEEZE, precision="bfloat16")([pixels])
    for name, expected in single.items():
        close(half[name], expected, 0.02)
        assert not np.array_equal(half[name], expected)


def test_evaluation_mode(tmp_path: Path) -> None:
    """Batch-norm uses its running statistics and dropout is off, whatever came before."""
    layers = {"norm": "features.1", "drop": "classifier.0", "last": "classifier.1"}
    extractor = load(tmp_path, architecture="mobilenet_v2", layers=layers)
    dark, light = image(72, 99) // 4, image(72, 99)
    first = extractor([light])
    with_another = extractor([light, dark])
    for name, features in first.items():
        np.testing.assert_array_equal(extractor([light])[name], features)
        np.testing.assert_array_equal(with_another[name][:1], features)
    assert not any(module.training for module in extractor._network.modules())


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
ENDS = {"early": "features.2", "last": "features.8"}
CASES: dict[str, dict[str, Any]] = {
    "shared crops": {"architecture": "vgg11", "layers": VGG11},
    "ten crops": SQUEEZE,
    "residual": RESNET,
    "twelve": {**SQUEEZE, "crops": "twelve"},
    "center": {**SQUEEZE, "crops": "center"},
    "residual center": {**RESNET, "crops": "center"},
    "efficient center": {"architecture": "efficientnet_b0", "layers": ENDS, "crops": "center"},
    "strongest": {**RESNET, "crops": "center", "pooling": "max"},
}
HALVED = ("shared crops", "ten crops", "residual center")  # the others are slow on processors
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
        *((case, "float32") for case in CASES),
        *((case, "bfloat16") for case in HALVED),
        *(
            pytest.param(case, "bfloat16", marks=pytest.mark.cluster)
            for case in CASES
            if case not in HALVED
        ),
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
    assert (extractor._shared is not None) == (case == "shared crops" and device == "cpu")
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


def test_float32_means_float32_on_gpus(tmp_path: Path) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    load(tmp_path, **SQUEEZE)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


def spec_of(folder: Path, **keys: Any) -> NetworkSpec:
    return load(folder, **{**SQUEEZE, **keys}).spec


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


def test_other_files_are_refused(tmp_path: Path) -> None:
    fewer = spec_of(tmp_path, layers={"first": "features.0"})
    spec = dataclasses.replace(fewer, layers=spec_of(tmp_path / "..").layers)
    (tmp_path / "bad.safetensors").write_bytes(b"no safetensors")
    for name, message in [
        ("n", "must hold the tensors of n"),
        ("bad", "cannot read the weights of n"),
        ("absent", "cannot read the weights of n"),
    ]:
        with pytest.raises(WeightsError, match=message):
            Extractor.load(spec, tmp_path / f"{name}.safetensors")


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_real_squeezenet_equals_torchvision(tmp_path: Path) -> None:
    path = DATA / "weights" / "squeezenet1_1_imagenet.safetensors"
    keys = {"architecture": "squeezenet1_1", "layers": {"fire9": "features.12"}}
    pixels = image(256, 300)
    found = load(tmp_path, **keys, weights=str(path), preprocessing=None)([pixels])
    model = models.squeezenet1_1()
    model.load_state_dict(load_file(path))
    (expected,) = plain(model, [model.features[12]], pixels, 224)
    close(found["fire9"], expected[None])
