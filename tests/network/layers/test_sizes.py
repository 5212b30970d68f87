"""Neurons and parameters of layers: by torchvision's own modules, and the paper's table 1."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

from kdsspark import paper
from kdsspark.config import Preprocessing
from kdsspark.network.activations import inspect
from kdsspark.network.architectures import skeleton
from kdsspark.network.layers.sizes import layer_sizes, map_shapes
from kdsspark.network.layers.tables import layer_table
from kdsspark.network.spec import NetworkSpec


def spec(architecture: str, table: dict[str, str], crop: int) -> NetworkSpec:
    layers = inspect(skeleton(architecture, crop), table, "post_relu", crop)
    preprocessing = Preprocessing(resize=crop, crop=crop)
    return NetworkSpec(
        "net", architecture, layers, "post_relu", "mean", "center", preprocessing, "float32", "", ""
    )


@pytest.mark.parametrize(
    ("architecture", "table", "crop"),
    [
        ("vgg16", None, 224),
        ("squeezenet1_1", {"conv1": "features.0", "fire9": "features.12"}, 96),
        ("resnet18", {"block": "layer2.1", "pooled": "avgpool"}, 64),
    ],
)
def test_sizes_are_those_of_the_modules(
    architecture: str, table: dict[str, str] | None, crop: int
) -> None:
    table = layer_table(architecture, table)
    with torch.device("meta"):
        model = models.get_model(architecture, weights=None).eval()
    neurons: dict[str, int] = {}
    for name, path in table.items():
        model.get_submodule(path).register_forward_hook(
            lambda _module, _inputs, output, name=name: neurons.update({name: output.numel()})
        )
    model(torch.empty(1, 3, crop, crop, device="meta"))
    state = model.state_dict()
    trained = {name for name, _ in model.named_parameters()}
    parameters = {
        name: sum(state[key].numel() for key in trained if key.startswith(f"{path}."))
        for name, path in table.items()
    }
    found = layer_sizes(spec(architecture, table, crop))
    assert {name: size.neurons for name, size in found.items()} == neurons
    assert {name: size.parameters for name, size in found.items()} == parameters


def test_those_of_vgg16_are_the_papers() -> None:
    """Which rounds them; 300k and 600k of conv3_x are 295,168 and 590,080."""
    found = layer_sizes(spec("vgg16", layer_table("vgg16", None), 224))
    rows = paper.LAYERS.set_index("layer")
    assert list(found) == list(rows.index)
    assert found["conv1_1"] == (64 * 224 * 224, 3 * 9 * 64 + 64)
    for layer, (neurons, parameters) in found.items():
        assert rows.loc[layer, "neurons"] == pytest.approx(neurons, rel=0.03)
        assert rows.loc[layer, "parameters"] == pytest.approx(parameters, rel=0.07)


@pytest.mark.parametrize(
    ("architecture", "table", "crop", "expected"),
    [
        ("vgg16", {"first": "features.0", "last": "features.28", "fc": "classifier.0"}, 224, None),
        ("resnet18", {"block": "layer2.1", "pooled": "avgpool"}, 64, None),
        ("swin_t", {"last": "features.1"}, 64, {"last": (96, 16)}),  # units behind the places
        ("vit_b_32", {"tokens": "encoder.layers.encoder_layer_0"}, 64, {"tokens": (768, 0)}),
    ],
)
def test_maps_have_units_and_a_side(
    architecture: str,
    table: dict[str, str],
    crop: int,
    expected: dict[str, tuple[int, int]] | None,
) -> None:
    found = map_shapes(spec(architecture, table, crop))
    if expected is None:
        with torch.device("meta"):
            model = models.get_model(architecture, weights=None).eval()
        expected = {}
        for name, path in table.items():
            model.get_submodule(path).register_forward_hook(
                lambda _module, _inputs, output, name=name: expected.update(
                    {name: (output.shape[1], output.shape[2] if output.ndim == 4 else 0)}
                )
            )
        model(torch.empty(1, 3, crop, crop, device="meta"))
    assert found == expected
