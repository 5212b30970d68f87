from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision import models

from kdsspark import pixels
from kdsspark.config import Network, Preprocessing
from kdsspark.errors import ConfigError, KdssparkError, WeightsError
from kdsspark.network.architectures import skeleton
from kdsspark.network.spec import NetworkSpec, describe
from kdsspark.network.weights import prepare, whole_crops

DATA = Path(__file__).parents[3] / "shared" / "data" / "weights"
FIRE = {"fire9": "features.12"}


def prepared(target: Path, **keys: Any) -> NetworkSpec:
    defaults = {"name": "n", "architecture": "squeezenet1_1", "weights": "random", "layers": FIRE}
    return prepare(Network(**{**defaults, **keys}), target / "n.safetensors")


def written(target: Path) -> dict[str, Tensor]:
    return load_file(target / "n.safetensors")


@pytest.fixture(scope="module")
def vgg11() -> dict[str, Tensor]:
    """The convolutions of VGG11, without its classifier."""
    shapes = {k: t.shape for k, t in skeleton("vgg11", 224).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.rand(shape, generator=generator)
        for key, shape in shapes.items()
        if key.startswith("features")
    }


def saved(state: dict[str, Tensor], folder: Path) -> str:
    torch.save(state, folder / "given.pth")
    return str(folder / "given.pth")


def test_random_is_torchvisions_own_and_depends_on_the_seed_alone(tmp_path: Path) -> None:
    first, again = prepared(tmp_path, seed=3), prepared(tmp_path, seed=3, name="other")
    torch.manual_seed(3)
    expected = models.squeezenet1_1().state_dict()
    found = written(tmp_path)
    assert found.keys() == {key for key in expected if key.startswith("features")}
    assert all(torch.equal(tensor, expected[key]) for key, tensor in found.items())
    assert first.fingerprint == again.fingerprint
    assert first.weights_digest != prepared(tmp_path, seed=4).weights_digest


def test_layers_behind_a_mixed_map_see_the_whole_crop(tmp_path: Path) -> None:
    layers = {"conv5": "features.10", "fc6": "classifier.1", "fc7": "classifier.4"}
    spec = prepared(tmp_path, architecture="alexnet", layers=layers)
    found = whole_crops(spec)
    assert set(found) == {"fc6", "fc7"}
    assert all(why.endswith("mixes the locations of the map") for why in found.values())


def test_the_spec_says_everything(tmp_path: Path) -> None:
    spec = prepared(tmp_path, crops="center", pooling="max", activation="pre_relu")
    values = json.loads(json.dumps(spec.to_dict()))
    assert len(values.pop("weights_digest")) == 32
    assert values == {
        "name": "n",
        "architecture": "squeezenet1_1",
        "layers": [
            {
                **{"name": "fire9", "module": "features.12", "units": 512, "kind": "conv"},
                **{"axis": 1, "prefix": 0, "tokens": "mean"},
            }
        ],
        "activation": "pre_relu",
        "pooling": "max",
        "crops": "center",
        "preprocessing": Preprocessing().model_dump(mode="json"),
        "precision": "float32",
        "weights": "random",
        "settings": "",
    }


def test_half_precision_becomes_float32_of_the_same_digest(
    tmp_path: Path, vgg11: dict[str, Tensor]
) -> None:
    half = {key: tensor.half() for key, tensor in vgg11.items()}
    save_file(half, tmp_path / "half.safetensors")
    single = {key: tensor.float() for key, tensor in half.items()}
    keys = {"architecture": "vgg11", "layers": {"a": "features.3", "b": "features.18"}}
    spec = prepared(tmp_path, weights=str(tmp_path / "half.safetensors"), **keys)
    found = written(tmp_path)
    assert found.keys() == vgg11.keys()
    assert all(torch.equal(tensor, single[key]) for key, tensor in found.items())
    same = prepared(tmp_path, weights=saved({"state_dict": single}, tmp_path), **keys)
    assert same.fingerprint == spec.fingerprint


def test_only_the_covered_layers_of_the_built_in_table(
    tmp_path: Path, vgg11: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    keys: dict[str, Any] = {"architecture": "vgg11", "layers": None}
    with caplog.at_level(logging.WARNING):
        spec = prepared(tmp_path, weights=saved(vgg11, tmp_path), **keys)
    names = [layer.name for layer in spec.layers]
    assert names == (
        ["conv1_1", "conv2_1", "conv3_1", "conv3_2", "conv4_1", "conv4_2", "conv5_1", "conv5_2"]
    )
    assert "cover only conv1_1, conv2_1" in caplog.text
    fewer = {key: tensor for key, tensor in vgg11.items() if key != "features.11.bias"}
    spec = prepared(tmp_path, weights=saved(fewer, tmp_path), **keys)
    assert [layer.name for layer in spec.layers] == names[:4]
    assert written(tmp_path).keys() == {
        f"features.{i}.{x}" for i in (0, 3, 6, 8) for x in ("weight", "bias")
    }


def refused(target: Path, error: type[KdssparkError], message: str, **keys: Any) -> None:
    with pytest.raises(error, match=message) as caught:
        prepared(target, **keys)
    assert str(caught.value).startswith("networks.n.")
    assert "\n" not in str(caught.value)
    assert not (target / "n.safetensors").exists()


def test_uncovered_layers_that_were_asked_for(tmp_path: Path, vgg11: dict[str, Tensor]) -> None:
    path = saved(vgg11, tmp_path)
    message = r"must cover layer b, classifier.0.bias, classifier.0.weight \(2\) missing"
    layers = {"a": "features.0", "b": "classifier.0"}
    refused(tmp_path, WeightsError, message, architecture="vgg11", layers=layers, weights=path)
    path = saved({"classifier.0.bias": torch.ones(4096)}, tmp_path)
    message = r"must cover layer conv1_1, features.0.bias, features.0.weight \(2\) missing"
    refused(tmp_path, WeightsError, message, architecture="vgg11", layers=None, weights=path)


def test_unexpected_tensors(tmp_path: Path) -> None:
    state = {f"extra.{i}": torch.ones(1) for i in range(5)}
    message = r"extra.0, extra.1, extra.2, .. \(5\) unexpected and features.0.bias, .* \(50\) mis"
    refused(tmp_path, WeightsError, message, weights=saved(state, tmp_path))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.ones(64, 3, 5, 5), r"float32 \[64, 3, 3, 3\], got float32 \[64, 3, 5, 5\] \(1\)"),
        (torch.ones(64, 3, 3, 3, dtype=torch.int8), r"float32 .* got int8 \[64, 3, 3, 3\] \(1\)"),
    ],
)
def test_wrong_shapes_and_types(tmp_path: Path, wrong: Tensor, message: str) -> None:
    state = {**models.squeezenet1_1().state_dict(), "features.0.weight": wrong}
    refused(tmp_path, WeightsError, f"features.0.weight {message}", weights=saved(state, tmp_path))


def test_another_number_of_classes_does_not_matter(tmp_path: Path) -> None:
    state = models.squeezenet1_1(num_classes=365).state_dict()
    prepared(tmp_path, weights=saved(state, tmp_path))
    found = written(tmp_path)
    assert found.keys() == {key for key in state if key.startswith("features")}
    assert all(torch.equal(tensor, state[key]) for key, tensor in found.items())
    message = r"classifier.1.weight float32 \[1000, 512, 1, 1\], got float32 \[365, 512, 1, 1\]"
    path = str(tmp_path / "given.pth")
    (tmp_path / "n.safetensors").unlink()
    refused(tmp_path, WeightsError, message, weights=path, layers={"x": "classifier.1"})


def test_tensors_that_share_memory_or_are_not_contiguous(tmp_path: Path) -> None:
    state = models.squeezenet1_1().state_dict()
    weight = state["features.0.weight"]
    state["features.0.weight"] = weight.clone(memory_format=torch.channels_last)
    state["features.4.expand1x1.weight"] = state["features.3.expand1x1.weight"]
    plain = prepared(
        tmp_path, weights=saved({k: t.contiguous() for k, t in state.items()}, tmp_path)
    )
    assert torch.equal(written(tmp_path)["features.0.weight"], weight)
    odd = prepared(tmp_path, weights=saved(state, tmp_path))
    assert odd.weights_digest == plain.weights_digest


def test_batch_norm_needs_no_count_of_batches(tmp_path: Path) -> None:
    state = models.resnet18().state_dict()
    state = {key: tensor for key, tensor in state.items() if "num_batches" not in key}
    keys = {"architecture": "resnet18", "layers": {"x": "avgpool"}}
    prepared(tmp_path, weights=saved(state, tmp_path), **keys)
    assert written(tmp_path).keys() == {key for key in state if not key.startswith("fc")}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"architecture": "vgg61"}, "architecture: must be a torchvision"),
        ({"layers": None}, "layers: must be .* for squeezenet1_1"),
        ({"layers": {"x": "features.99"}}, "layers.x: must be a module path of SqueezeNet"),
        ({"weights": "IMAGENET1K_V9"}, "weights: must be random, a published name"),
        (
            {"preprocessing": Preprocessing(resize=8, crop=2)},
            "preprocessing.crop: must fit squeezenet1_1, got 2",
        ),
    ],
)
def test_mistakes_in_the_configuration(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    refused(tmp_path, ConfigError, message, **keys)


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_real_vgg19_covers_its_convolutions(tmp_path: Path) -> None:
    path = str(DATA / "vgg19_features_imagenet_fp16.safetensors")
    spec = prepared(tmp_path, architecture="vgg19", layers=None, weights=path)
    counts = {1: 2, 2: 2, 3: 4, 4: 4, 5: 4}
    expected = [f"conv{block}_{i}" for block in counts for i in range(1, counts[block] + 1)]
    assert [layer.name for layer in spec.layers] == expected
    assert sum(layer.units for layer in spec.layers) == 4224 + 256 + 512 + 512


def test_pixels_are_one_layer_of_named_units_whatever_is_configured(tmp_path: Path) -> None:
    one = prepared(tmp_path, architecture="pixels", layers=None)
    other = prepared(tmp_path, architecture="pixels", layers=None, crops="ten", pooling="max")
    assert one.fingerprint == other.fingerprint
    assert written(tmp_path) == {}
    rows = describe(one)
    assert [row[:5] for row in rows] == [("pixels", i, i, "other", 0) for i in range(14)]
    assert [row[5] for row in rows] == list(pixels.NAMES)
    message = "layers: must be null for pixels, got {'fire9': 'features.12'}"
    refused(tmp_path / "none", ConfigError, message, architecture="pixels")
