"""From the configuration to the features of images, with each library's weights."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torchvision.transforms import functional

from kdsspark.config import Preprocessing
from kdsspark.errors import ConfigError, KdssparkError
from kdsspark.network import sources
from kdsspark.network.architectures import initialised, skeleton
from kdsspark.network.extractor import Extractor
from kdsspark.network.projections import Projector
from kdsspark.network.receptive_fields import Whole, receptive_fields
from kdsspark.network.spec import NetworkSpec
from tests.marks import left_out
from tests.network.sources.prepared import prepared

IMAGES = [np.random.default_rng(i).integers(0, 256, (70, 64 + i, 3), np.uint8) for i in range(3)]


def features(spec: NetworkSpec, folder: Path) -> dict[str, np.ndarray]:
    return Extractor.load(spec, folder / "n.safetensors")(IMAGES)


def inputs(spec: NetworkSpec) -> torch.Tensor:
    """The centre crops of the images as torchvision makes them."""
    p = spec.preprocessing
    crops = [functional.center_crop(functional.to_tensor(i), [p.crop, p.crop]) for i in IMAGES]
    return functional.normalize(torch.stack(crops), p.mean, p.std)


@pytest.mark.parametrize(
    ("name", "crop", "path"),
    [
        ("timm/test_vit", 64, "blocks.5"),
        left_out("timm/swin_s3_tiny_224", 64, "layers.3.blocks.1"),
        ("dinov2", 42, "encoder.layer.1"),
        ("clip", 32, "encoder.layers.1"),
    ],
)
def test_features_are_those_of_the_library(
    tmp_path: Path, folders: dict[str, str], name: str, crop: int, path: str
) -> None:
    architecture = folders.get(name, name)
    size = Preprocessing(crop=crop, resize=64)
    if name.startswith("timm/swin"):
        size = Preprocessing(crop=56, resize=64)
    spec = prepared(tmp_path, architecture=architecture, preprocessing=size)
    model = initialised(architecture, spec.preprocessing.crop, 0, spec.settings)
    kept: list[torch.Tensor] = []
    model.get_submodule(path).register_forward_hook(lambda _, __, output: kept.append(output))
    with torch.inference_mode():
        model(inputs(spec))
    last = spec.layers[-1]
    assert last.module == path
    whole = kept[0].numpy()
    over = (1, 2) if whole.ndim == 4 else (1,)
    expected = (whole if whole.ndim == 4 else whole[:, last.prefix :]).mean(over)
    found = features(spec, tmp_path)[last.name]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    # In another order, and among others.
    again = Extractor.load(spec, tmp_path / "n.safetensors")(IMAGES[::-1])[last.name]
    assert np.array_equal(again, found[::-1])
    assert NetworkSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("prefix", "others", "wrapper"),
    [
        left_out("module.", [], None),
        left_out("model.", ["criterion.weight"], None),
        ("module.backbone.", ["module.head.mlp.0.weight"], "state_dict"),
        ("visual.", ["transformer.resblocks.0.attn.in_proj_weight", "norm.weight.x"], "model"),
    ],
)
def test_prefixes_are_accepted_and_told(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    prefix: str,
    others: list[str],
    wrapper: str | None,
) -> None:
    import timm  # takes seconds, which one of two processes need spend

    state = timm.create_model("test_vit", pretrained=False).state_dict()
    path = tmp_path / "given.pth"
    torch.save(state, path)
    plain = prepared(tmp_path, architecture="timm/test_vit", weights=str(path))
    named = {prefix + key: tensor for key, tensor in state.items()}
    named |= {key: torch.ones(2) for key in others}
    torch.save({wrapper: named} if wrapper else named, path)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        spec = prepared(tmp_path, architecture="timm/test_vit", weights=str(path))
    assert spec.fingerprint == plain.fingerprint
    if wrapper:
        assert f"the tensors are those of {wrapper!r} in the file" in caplog.text
    if prefix == "module.":
        assert "module. is left out" in caplog.text
    else:
        below = prefix.removeprefix("module.").removesuffix(".")
        told = f"the {len(state)} tensors below {below} are read, and {len(others)} others are not"
        assert told in caplog.text


def test_the_projection_of_a_network_that_cannot_be_traced(
    tmp_path: Path, folders: dict[str, str]
) -> None:
    """Its gradient where no ReLU is: only the first convolution, whose bias is 0 and batch-norm."""
    size = Preprocessing(crop=64, resize=64)
    layers = {"conv": "embedder.embedder.convolution", "relu": "embedder.embedder.activation"}
    spec = prepared(tmp_path, architecture=folders["resnet"], preprocessing=size, layers=layers)
    projector = Projector.load(spec, tmp_path / "n.safetensors")
    crop = IMAGES[0][:64, :64]
    (found,) = projector([crop], "conv", [3], [(10, 12)])
    weight = load_file(tmp_path / "n.safetensors")["embedder.embedder.convolution.weight"][3]
    side = weight.shape[1]
    top, left = 10 * 2 - side // 2, 12 * 2 - side // 2
    window = found[:, top : top + side, left : left + side]
    assert np.count_nonzero(found) == np.count_nonzero(window)
    ratio = window / weight.numpy()
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-4)
    model = skeleton(spec.architecture, 64, spec.settings)
    fields = receptive_fields(model, spec.layers, spec.activation, 64)
    assert fields["conv"] == Whole("torch.fx cannot trace the network")


MISTAKES: list[tuple[dict[str, Any], type[KdssparkError], str]] = [
    (
        {"architecture": "timm/vit_tinny_patch16_224"},
        ConfigError,
        r"architecture: must be a model of timm, got .* \(did you mean .*vit_tiny_patch16_224",
    ),
    (
        {"architecture": "timm/vit_small_patch16_224.dimo"},
        ConfigError,
        r"got 'vit_small_patch16_224.dimo' \(did you mean .*vit_small_patch16_224.dino",
    ),
    (
        {"architecture": "open_clip/ViT-B-23"},
        ConfigError,
        r"architecture: must be a model of open_clip, got 'ViT-B-23' \(did you mean .*ViT-B-32",
    ),
    ({"architecture": "hf//no/such"}, ConfigError, "must be a folder with a config.json"),
    ({"architecture": "hf/no/such"}, ConfigError, "must be a model of the Hugging Face hub or"),
    (
        {"architecture": "tim/vit"},
        ConfigError,
        r"architecture: must be a model of torchvision, or timm/.., hf/.., open_clip/.., got 'tim",
    ),
    (
        {"architecture": "timm/test_vit", "weights": "IMAGENET1K_V1"},
        ConfigError,
        r"weights: must be random, a published name \(pretrained\), or a path",
    ),
    (
        {"architecture": "timm/test_vit", "preprocessing": Preprocessing(crop=30)},
        ConfigError,
        "preprocessing.crop: must fit timm/test_vit, got 30",
    ),
    (
        {"architecture": "timm/test_efficientnet", "tokens": "cls"},
        ConfigError,
        "tokens: must be mean where no layer has a class token, got 'cls'",
    ),
    (
        {"architecture": "timm/swin_s3_tiny_224", "layers": {"x": "layers.0.blocks.0.attn"}},
        ConfigError,
        r"layers.x: must return \[views, units\], .* got 'layers.0.blocks.0.attn' with",
    ),
    (
        {"architecture": "timm/test_vit", "layers": {"x": "blocks.0.mlp.act:input"}},
        ConfigError,
        r"layers.x: must be the input of a linear layer or convolution, got 'blocks.0.mlp.act:in",
    ),
    (
        {"architecture": "timm/test_vit", "layers": {"x": "blocks.0.mlp.atc"}},
        ConfigError,
        r"layers.x: must be a module path of VisionTransformer, got .*\(blocks.0.mlp.act",
    ),
    (
        {"architecture": "timm/test_vit", "layers": None},
        ConfigError,
        "layers: must be {layer name: module path} or one of blocks, mlp, attention, stages",
    ),
]


@pytest.mark.parametrize(("keys", "error", "message"), MISTAKES)
def test_mistakes_are_one_line(
    tmp_path: Path, keys: dict[str, Any], error: type[KdssparkError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        prepared(tmp_path, **keys)
    assert str(caught.value).startswith("networks.n.")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("library", ["timm", "transformers", "open_clip"])
def test_a_library_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    extra = {"transformers": "hf"}.get(library, library)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"{sources.__name__}.{extra}", raising=False)
    with pytest.raises(ConfigError, match=rf"needs a package .*'kdsspark\[{extra}\]'$"):
        prepared(tmp_path, architecture=f"{extra}/x")
