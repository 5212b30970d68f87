"""From the configuration to the features of images, with each library's weights."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torchvision.transforms import functional

from kdsspark.config import Network, Preprocessing
from kdsspark.errors import ConfigError, KdssparkError, WeightsError
from kdsspark.network import sources
from kdsspark.network.architectures import initialised, skeleton
from kdsspark.network.extractor import Extractor
from kdsspark.network.projections import Projector
from kdsspark.network.receptive_fields import Whole, receptive_fields
from kdsspark.network.spec import NetworkSpec
from kdsspark.network.weights import prepare

IMAGES = [np.random.default_rng(i).integers(0, 256, (70, 64 + i, 3), np.uint8) for i in range(3)]


def prepared(folder: Path, **keys: Any) -> NetworkSpec:
    defaults = {"name": "n", "weights": "random", "layers": "blocks", "crops": "center"}
    return prepare(Network(**{**defaults, **keys}), folder / "n.safetensors")


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
        ("timm/swin_s3_tiny_224", 64, "layers.3.blocks.1"),
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


def test_weights_of_a_folder_are_read_by_transformers(
    tmp_path: Path, folders: dict[str, str]
) -> None:
    for name in ("vit", "clip", "resnet"):
        spec = prepared(tmp_path, architecture=folders[name], weights="pretrained")
        saved = load_file(Path(folders[name].removeprefix("hf/")) / "model.safetensors")
        written = load_file(tmp_path / "n.safetensors")
        weights = {k: v for k, v in written.items() if v.is_floating_point()}
        values = [v for k, v in saved.items() if not k.startswith("text_model")]
        for tensor in weights.values():
            assert any(v.shape == tensor.shape and torch.equal(v, tensor) for v in values)
        assert spec.weights == "pretrained"


def test_the_preprocessing_of_a_folder(tmp_path: Path, folders: dict[str, str]) -> None:
    import transformers as hf

    folder = Path(folders["vit"].removeprefix("hf/"))
    spec = prepared(tmp_path, architecture=f"hf/{folder}")
    assert (spec.preprocessing.crop, spec.preprocessing.interpolation) == (32, "bilinear")
    given = {"do_center_crop": True, "crop_size": {"height": 32, "width": 32}}
    hf.CLIPImageProcessor(size={"shortest_edge": 40}, resample=3, **given).save_pretrained(folder)
    try:
        spec = prepared(tmp_path, architecture=f"hf/{folder}")
        assert spec.preprocessing == Preprocessing(
            resize=40,
            crop=32,
            mean=(0.48145466, 0.4578275, 0.40821073),
            std=(0.26862954, 0.26130258, 0.27577711),
            interpolation="bicubic",
        )
    finally:
        (folder / "preprocessor_config.json").unlink()


def test_pretrained_weights_are_fetched_by_timm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = timm.create_model("test_vit", pretrained=False)
    fetched: list[str] = []

    def fetch(model_id: str, *_: Any, **__: Any) -> dict[str, torch.Tensor]:
        fetched.append(model_id)
        return model.state_dict()

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", fetch)
    monkeypatch.setattr("timm.models._builder.has_hf_hub", lambda *_, **__: True)
    spec = prepared(tmp_path, architecture="timm/test_vit", weights="pretrained")
    written = load_file(tmp_path / "n.safetensors")
    assert fetched == ["timm/test_vit.r160_in1k"]
    assert written
    assert all(torch.equal(written[k], model.state_dict()[k]) for k in written)
    assert spec.preprocessing.interpolation == "bicubic"
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    own = prepared(
        tmp_path, architecture="timm/test_vit", weights=str(tmp_path / "own.safetensors")
    )
    assert own.fingerprint == spec.fingerprint


@pytest.mark.parametrize(
    ("prefix", "others", "wrapper"),
    [
        ("module.", [], None),
        ("model.", ["criterion.weight"], None),
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


def test_a_crop_that_a_model_of_transformers_does_not_take(
    tmp_path: Path, folders: dict[str, str]
) -> None:
    size = Preprocessing(crop=24)
    with pytest.raises(ConfigError, match=r"preprocessing.crop: must fit hf/.*, got 24: .*32"):
        prepared(tmp_path, architecture=folders["vit"], preprocessing=size)


def test_weights_that_cannot_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="weights: cannot download pretrained: "):
        prepared(tmp_path, architecture="timm/test_vit", weights="pretrained")


@pytest.mark.parametrize("library", ["timm", "transformers", "open_clip"])
def test_a_library_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    extra = {"transformers": "hf"}.get(library, library)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"{sources.__name__}.{extra}", raising=False)
    with pytest.raises(ConfigError, match=rf"needs a package .*'kdsspark\[{extra}\]'$"):
        prepared(tmp_path, architecture=f"{extra}/x")


def test_tags_of_open_clip_are_those_of_its_activation_function() -> None:
    from kdsspark.network.sources import open_clip

    assert "openai" not in open_clip.published("ViT-B-32")
    assert {"pretrained", "laion2b_s34b_b79k"} < set(open_clip.published("ViT-B-32"))
    assert "openai" in open_clip.published("ViT-B-32-quickgelu")
    openai = open_clip.preprocessing("ViT-B-32", "laion2b_s34b_b79k", "")
    assert (openai.resize, openai.crop, openai.interpolation) == (224, 224, "bicubic")
