"""What the extractor computes: against torchvision, and for each setting."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import functional as F  # noqa: N812

from kdsspark.errors import WeightsError
from kdsspark.network.extractor import Extractor
from kdsspark.network.layers.tables import BUILT_IN
from kdsspark.network.spec import describe
from tests.network.extracting import RESNET, SQUEEZE, Image, close, image, load, spec_of, ten_crops

DATA = Path(__file__).parents[3] / "shared" / "data"


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


def test_float32_means_float32_on_gpus(tmp_path: Path) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    load(tmp_path, **SQUEEZE)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


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
