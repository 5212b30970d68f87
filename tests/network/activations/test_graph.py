from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from kdsspark.network.activations import inspect, needs, read
from kdsspark.network.architectures import initialised, skeleton
from tests.marks import left_out
from tests.network.activations.small import tiny


def by_hand(x: Tensor) -> dict[str, Tensor]:
    """Every activation of Tiny, by functions that overwrite nothing."""
    model = tiny()
    f, c = model.features, model.classifier
    conv = F.conv2d(x, f.conv.weight, f.conv.bias, padding=1)
    mean, var = f.norm.running_mean, f.norm.running_var
    norm = (conv - mean.view(-1, 1, 1)) / (var.view(-1, 1, 1) + 1e-5).sqrt()
    plain = F.conv2d(norm.clamp(min=0), f.plain.weight, f.plain.bias, padding=1)
    last = F.conv2d(plain.clamp(min=0), f.last.weight, f.last.bias, padding=1)
    alone = F.conv2d(F.max_pool2d(last, 4), model.alone.weight, model.alone.bias)
    fc = F.linear(alone.clamp(min=0).flatten(1), c.fc.weight, c.fc.bias)
    values = dict(conv=conv, norm=norm, plain=plain, last=last, alone=alone, fc=fc)
    return values | {f"{name}+relu": value.clamp(min=0) for name, value in values.items()}


PIXELS = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))

RULE = [
    ("post_relu", "features.conv", "norm+relu"),
    ("post_relu", "features.norm", "norm+relu"),
    ("post_relu", "features.relu", "norm+relu"),
    ("post_relu", "features.plain", "plain+relu"),
    ("post_relu", "features.last", "last"),  # a pooling follows
    ("post_relu", "alone", "alone"),  # a ReLU follows, but not in a Sequential
    ("post_relu", "classifier.fc", "fc+relu"),
    ("pre_relu", "features.conv", "norm"),
    ("pre_relu", "features.norm", "norm"),
    ("pre_relu", "features.relu", "norm"),
    ("pre_relu", "features.plain", "plain"),
    ("pre_relu", "features.plain_relu", "plain"),
    ("pre_relu", "features.last", "last"),
    ("pre_relu", "alone", "alone"),
    ("pre_relu", "classifier.fc", "fc"),
    ("pre_relu", "classifier.fc_relu", "fc"),
]


def features(
    model: nn.Module, table: dict[str, str], activation: str, pooling: str
) -> list[Tensor]:
    layers = inspect(tiny().to("meta"), table, activation, 8)
    with torch.inference_mode():
        outputs: list[Tensor] = read(model, layers, activation, pooling, 8)(PIXELS)
    return outputs


@pytest.mark.parametrize("pooling", ["mean", "max", "peak"])
@pytest.mark.parametrize(("activation", "path", "expected"), RULE)
def test_where_a_module_is_read(activation: str, path: str, expected: str, pooling: str) -> None:
    # All layers of this activation at once, so that later in-place layers run as well.
    table = {p: p for a, p, _ in RULE if a == activation}
    outputs = dict(zip(table, features(tiny(), table, activation, pooling), strict=True))
    value = by_hand(PIXELS)[expected]
    if value.ndim == 4:
        value = value.mean((2, 3)) if pooling == "mean" else value.amax((2, 3))
    found = outputs[path][..., 0] if pooling == "peak" else outputs[path]
    torch.testing.assert_close(found, value)


def test_what_no_layer_needs_is_dropped() -> None:
    layers = inspect(tiny().to("meta"), {"a": "features.plain"}, "post_relu", 8)
    reader = read(tiny(), layers, "post_relu", "mean", 8)
    kinds = {type(module).__name__ for module in reader.modules()}
    assert kinds & {"Linear", "Dropout", "MaxPool2d"} == set()
    names = ("features.conv", "features.norm", "features.plain")
    assert {key.rpartition(".")[0] for key in reader.state_dict()} == set(names)
    assert needs(tiny(), {"a": "features.plain"}, "post_relu", 8)["a"] == set(reader.state_dict())


def plain_outputs(model: nn.Module, paths: list[str], pixels: Tensor) -> dict[str, Tensor]:
    """The oracle for whole networks: copies taken by hooks in an ordinary forward pass."""
    copies: dict[str, Tensor] = {}
    for path in paths:
        model.get_submodule(path).register_forward_hook(
            lambda _, __, output, path=path: copies.update({path: output.clone()})
        )
    with torch.inference_mode():
        model(pixels)
    return copies


@pytest.mark.parametrize(
    ("architecture", "crop", "paths", "axes"),
    [
        ("resnet18", 64, ["relu", "layer1.0", "layer2.1.bn2", "layer4", "avgpool", "fc"], 1),
        ("densenet121", 64, ["features.norm5", "features.denseblock1", "features"], 1),
        left_out("swin_t", 64, ["features.1", "features.3.0.norm1", "features.7"], 3),
        left_out("vit_b_32", 64, ["encoder.layers.encoder_layer_1", "encoder"], 2),
        ("mobilenet_v3_small", 64, ["features.1", "features.4.block.2", "features.12"], 1),
    ],
)
def test_whole_networks_against_hooks(
    architecture: str, crop: int, paths: list[str], axes: int
) -> None:
    model = initialised(architecture, crop, 0)
    layers = inspect(skeleton(architecture, crop), {p: p for p in paths}, "post_relu", crop)
    pixels = torch.randn(2, 3, crop, crop, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        outputs = read(model, layers, "post_relu", "mean", crop)(pixels)
    expected = plain_outputs(model, paths, pixels)
    for layer, output in zip(layers, outputs, strict=True):
        whole = expected[layer.module]
        assert layer.axis == (axes if whole.ndim > 2 else 1)
        over = [axis for axis in range(1, whole.ndim) if axis != layer.axis]
        if architecture.startswith("vit"):
            whole = whole[:, 1:]  # the first token is of no patch
        torch.testing.assert_close(output, whole.mean(over) if over else whole)


def test_one_graph_without_breaks_for_torch_compile() -> None:
    layers = inspect(tiny().to("meta"), {"a": "features.conv", "b": "classifier.fc"}, "pre_relu", 8)
    reader = read(tiny(), layers, "pre_relu", "mean", 8)
    compiled = torch.compile(reader, backend="eager", fullgraph=True)
    with torch.inference_mode():
        for output, expected in zip(compiled(PIXELS), reader(PIXELS), strict=True):
            torch.testing.assert_close(output, expected)
