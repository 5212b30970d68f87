"""Projections against the deconvnet written out, and against gradients where there is no ReLU."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision import models

from kdsspark.config import Network, Preprocessing
from kdsspark.network import activations
from kdsspark.network.architectures import initialised
from kdsspark.network.extractor import cached_extractor
from kdsspark.network.projections import Projector, cached_projector
from kdsspark.network.spec import NetworkSpec
from kdsspark.network.weights import prepare
from tests.network.deconvnet import Deconvnet, Image, Unpool, added_up, close, noise, normal, plain


def projector(
    folder: Path, architecture: str, layers: dict[str, str], crop: int, **keys: Any
) -> Projector:
    """Of random weights, if none are given."""
    preprocessing = Preprocessing(resize=crop, crop=crop)
    keys = {"name": "n", "weights": "random", "preprocessing": preprocessing} | keys
    network = Network(architecture=architecture, layers=layers, **keys)
    spec = prepare(network, folder / "n.safetensors")
    return Projector.load(spec, folder / "n.safetensors")


def of_model(model: nn.Module, paths: Sequence[str], crop: int) -> Projector:
    """Of a model that is no architecture of torchvision; its layers are called by their paths."""
    table = {path: path for path in paths}
    model = copy.deepcopy(model).eval()
    layers = activations.inspect(copy.deepcopy(model).to("meta"), table, "post_relu", crop)
    network = activations.read(model, layers, "post_relu", "mean", crop).requires_grad_(False)
    spec = NetworkSpec(
        name="n",
        architecture="own",
        layers=layers,
        activation="post_relu",
        pooling="mean",
        crops="center",
        preprocessing=Preprocessing(resize=crop, crop=crop),
        precision="float32",
        weights="own",
        weights_digest="",
    )
    return Projector(spec, network)


@pytest.mark.parametrize("crop", [32, 34])  # 34: the second pool leaves out a row and a column
def test_vgg19_equals_explicit_unpooling(tmp_path: Path, crop: int) -> None:
    torch.manual_seed(0)
    features = models.vgg.make_layers(models.vgg.cfgs["E"][:7])
    torch.save({f"features.{k}": v for k, v in features.state_dict().items()}, tmp_path / "w.pt")
    layers = {"conv1_2": "features.2", "conv2_2": "features.7", "conv3_1": "features.10"}
    found = projector(tmp_path, "vgg19", layers, crop, weights=str(tmp_path / "w.pt"))
    images = noise(crop)
    up = Deconvnet(images, plain)
    names = {module: name for name, module in layers.items()}
    for number, module in enumerate(features):
        if isinstance(module, nn.Conv2d):
            up.conv(module)
            up.relu()
            if name := names.get(f"features.{number}"):
                up.check(found, images, name)
        elif isinstance(module, nn.MaxPool2d):
            up.pool(module)


def squeezenet(images: Sequence[Image], unpool: Unpool) -> Deconvnet:
    """Up to the third fire module, behind two pools that overlap."""
    features = initialised("squeezenet1_1", len(images[0]), seed=0).features
    up = Deconvnet(images, unpool)
    up.conv(features[0])
    up.relu()
    up.pool(features[2])
    up.fire(features[3])
    up.fire(features[4])
    up.pool(features[5])
    up.fire(features[6])
    return up


def test_places_that_overlapping_pools_share_get_the_sum(tmp_path: Path) -> None:
    found = projector(tmp_path, "squeezenet1_1", {"fire4": "features.6"}, 64, seed=0)
    images = noise(64)
    up = squeezenet(images, added_up)
    up.check(found, images, "fire4")
    wrong = squeezenet(images, plain)
    for unit in up.largest(4):
        right, other = up.project(unit)[0], wrong.project(unit)[0]
        assert (right - other).abs().max() > 0.05 * right.abs().max()


def test_shares_of_residual_blocks_add_up(tmp_path: Path) -> None:
    model = initialised("resnet18", 64, seed=0)
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    layers = {"layer1": "layer1", "layer2": "layer2.0"}
    found = projector(tmp_path, "resnet18", layers, 64, weights=str(tmp_path / "w.pt"))
    images = noise(64)
    up = Deconvnet(images)
    up.conv(model.conv1)
    up.norm(model.bn1)
    up.relu()
    up.pool(model.maxpool)
    up.block(model.layer1[0])
    up.block(model.layer1[1])
    up.check(found, images, "layer1")
    up.block(model.layer2[0])
    up.check(found, images, "layer2")


class Spelled(nn.Module):
    """Two convolutions and a linear layer, each behind a ReLU that is written in a certain way."""

    def __init__(self, rectify: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rectify = rectify
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)
        self.drop, self.three = nn.Dropout(), nn.Linear(5 * 4 * 4, 6)

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.rectify(self.two(self.rectify(self.one(pixels))))
        values: Tensor = self.three(self.drop(maps.flatten(1)))
        return values


@pytest.mark.parametrize(
    "rectify",
    [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.ReLU6(inplace=True),
        F.relu,
        F.relu6,
        torch.relu,
        torch.relu_,
        lambda maps: maps.relu(),
        lambda maps: maps.relu_(),
        lambda maps: F.relu(input=maps, inplace=True),
    ],
)
def test_every_spelling_of_a_relu_and_linear_layers(rectify: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    model = Spelled(rectify).eval()
    with torch.no_grad():
        model.one.weight *= 10  # such that ReLU6 cuts values off
    images = noise(8, 2)
    units = [1, 4]
    with torch.no_grad():
        assert model.one(normal(images)).max() > 6
        values = model(normal(images))[range(2), units]
        down = (values[:, None] * model.three.weight[units]).view(2, 5, 4, 4)
        down = F.conv_transpose2d(down.clamp(min=0), model.two.weight)
        expected = F.conv_transpose2d(down.clamp(min=0), model.one.weight)
    close(of_model(model, ["three"], 8)(images, "three", units, None), expected)


def thin_vit() -> nn.Module:
    return models.VisionTransformer(32, 8, 2, 2, hidden_dim=8, mlp_dim=16)


def thin_swin() -> nn.Module:
    return models.SwinTransformer([4, 4], 8, [2, 2], [2, 2], [4, 4])


@pytest.mark.parametrize(
    ("build", "path", "axes", "unit", "place"),
    [
        (thin_vit, "conv_proj", "nuyx", 3, (1, 2)),
        (thin_vit, "encoder.layers.encoder_layer_1", "nxu", 3, (0, 2)),
        (thin_swin, "features.1", "nyxu", 3, (1, 2)),
        (thin_swin, "head", "nu", 3, None),
    ],
)
def test_without_relus_it_is_the_gradient_times_the_activation(
    build: Callable[[], nn.Module],
    path: str,
    axes: str,
    unit: int,
    place: tuple[int, int] | None,
) -> None:
    torch.manual_seed(0)
    model = build().eval()
    kept: list[Tensor] = []
    model.get_submodule(path).register_forward_hook(lambda *args: kept.append(args[-1]))
    if path == "head":
        nn.init.normal_(model.get_parameter("head.weight"))
    images = noise(32)
    pixels = normal(images).requires_grad_()
    model(pixels)
    where = {"n": 0, "u": unit} | dict(zip("yx", place or (), strict=False))
    activation = kept[0][tuple(where[axis] for axis in axes)]
    (gradient,) = torch.autograd.grad(activation, pixels)
    model.get_submodule(path)._forward_hooks.clear()
    found = of_model(model, [path], 32)
    places = [place] if place else None
    close(found(images, path, [unit], places), gradient * activation)


def test_a_layer_that_is_read_before_its_relu_may_be_negative(tmp_path: Path) -> None:
    layers = {"conv1": "features.0", "relu1": "features.1"}
    found = projector(tmp_path, "squeezenet1_1", layers, 32, activation="pre_relu", seed=0)
    images = noise(32)
    first = initialised("squeezenet1_1", 32, seed=0).features[0]
    with torch.no_grad():
        value = first(normal(images))[0, 7].min()
        y, x = divmod(int(first(normal(images))[0, 7].argmin()), 15)
    assert value < 0
    expected = torch.zeros(1, 3, 32, 32)
    expected[0, :, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3] = value * first.weight[7]
    close(found(images, "conv1", [7], [(y, x)]), expected)
    close(found(images, "relu1", [7], [(y, x)]), expected)
    after = projector(tmp_path, "squeezenet1_1", layers, 32, seed=0)
    assert not after(images, "conv1", [7], [(y, x)]).any()


@pytest.fixture(scope="module")
def fire4(tmp_path_factory: pytest.TempPathFactory) -> Projector:
    folder = tmp_path_factory.mktemp("fire4")
    return projector(folder, "squeezenet1_1", {"fire4": "features.6"}, 32, seed=0)


def test_any_number_of_crops_units_and_places_in_one_call(fire4: Projector) -> None:
    images = noise(32, 9)
    units, places = [i * i for i in range(9)], [(i // 3, i % 3) for i in range(9)]
    found = fire4(images, "fire4", units, places)
    assert found.shape == (9, 3, 32, 32)
    for i in range(9):
        alone = fire4([images[i]], "fire4", [units[i]], [places[i]])
        np.testing.assert_allclose(found[i], alone[0], rtol=1e-4, atol=1e-6)
    assert np.ptp([np.abs(one).max() for one in found]) > 0
    assert fire4([], "fire4", [], []).shape == (0, 3, 32, 32)


@pytest.mark.parametrize(
    ("architecture", "layer"),
    [
        ("densenet121", "features.transition1"),
        ("googlenet", "inception3a"),
        ("mobilenet_v2", "features.4"),
        ("mobilenet_v3_small", "features.4"),
        ("shufflenet_v2_x0_5", "stage2"),
    ],
)
def test_other_architectures(tmp_path: Path, architecture: str, layer: str) -> None:
    found = projector(tmp_path, architecture, {"layer": layer}, 64)
    images = noise(64)
    units = list(range(8))
    projections = found(images * 8, "layer", units, [(1, 1)] * 8)
    assert np.isfinite(projections).all()
    assert projections.any()


def test_channels_are_red_green_blue(tmp_path: Path, fire4: Projector) -> None:
    settings = Preprocessing(resize=32, crop=32, channels="bgr")
    keys = {"seed": 0, "preprocessing": settings, "precision": "bfloat16"}  # not for projections
    found = projector(tmp_path, "squeezenet1_1", {"fire4": "features.6"}, 32, **keys)
    images = noise(32)
    turned = [image[..., ::-1] for image in images]  # what the network sees is the same
    expected = fire4(images, "fire4", [9], [(1, 1)])
    assert np.abs(expected - expected[:, ::-1]).max() > 0.1 * np.abs(expected).max()
    np.testing.assert_array_equal(found(turned, "fire4", [9], [(1, 1)])[:, ::-1], expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layer": "conv9"}, "layer must be one of n, got 'conv9'"),
        ({"units": [256]}, r"must lie in fire4, \[256, 3, 3\], got \[256\] and \[\(1, 1\)\]"),
        ({"units": [-1]}, r"must lie in fire4"),
        ({"places": [(3, 0)]}, "must lie in fire4"),
        ({"places": [(0, -1)]}, "must lie in fire4"),
        ({"places": None}, "must lie in fire4"),
        ({"places": [(0, 0), (1, 1)]}, "must be equally many, got 1, 1 and 2"),
        ({"units": [1, 2]}, "must be equally many, got 1, 2 and 1"),
        ({"images": noise(31)}, r"crop must be 32 x 32 x 3, got \(31, 31, 3\)"),
    ],
)
def test_what_the_network_does_not_have(
    fire4: Projector, given: dict[str, Any], message: str
) -> None:
    good = {"images": noise(32), "layer": "fire4", "units": [1], "places": [(1, 1)]}
    with pytest.raises(ValueError, match=message):
        fire4(**good | given)


def test_one_network_a_process(tmp_path: Path, fire4: Projector) -> None:
    spec, path = fire4.spec, tmp_path / "n.safetensors"
    projector(tmp_path, "squeezenet1_1", {"fire4": "features.6"}, 32, seed=0)
    first = cached_projector(spec, path)
    assert cached_projector(dataclasses.replace(spec, name="other"), path) is first
    extractor = cached_extractor(spec, path)
    assert cached_projector(spec, path) is not first
    assert cached_extractor(spec, path) is not extractor
