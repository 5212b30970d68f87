"""What a network's layers are and need, by the graph and by hooks, against small networks."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from kdsspark.errors import ConfigError
from kdsspark.network.activations import graph, inspect, needs, read, shapes, unpooled
from kdsspark.network.activations.reading import unit_axis
from tests.network.activations.small import tiny


@pytest.fixture(params=["graph", "hooks"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the network is read; hooks are taken where torch.fx cannot trace it."""
    if request.param == "hooks":
        monkeypatch.setattr(graph, "trace", lambda _: None)
    return str(request.param)


def test_needs_grow_with_depth_and_leave_out_what_only_training_uses() -> None:
    table = {"conv": "features.conv", "norm": "features.norm", "fc": "classifier.fc"}
    found = needs(tiny(), table, "pre_relu", 8)
    norm = {f"features.norm.{x}" for x in ("weight", "bias", "running_mean", "running_var")}
    assert found["conv"] == {"features.conv.weight", "features.conv.bias"} | norm
    everything = {k for k in tiny().state_dict() if "out" not in k and "num_batches" not in k}
    assert found["fc"] == everything


def test_inspect_tells_units_kind_and_axis() -> None:
    table = {"a": "features.conv", "b": "features.plain", "c": "classifier.fc", "d": "classifier"}
    layers = inspect(tiny().to("meta"), table | {"e": "classifier.drop"}, "post_relu", 8)
    found = [(layer.name, layer.module, layer.units, layer.kind) for layer in layers]
    assert found == [
        ("a", "features.conv", 4, "conv"),
        ("b", "features.plain", 5, "conv"),
        ("c", "classifier.fc", 7, "fc"),
        ("d", "classifier", 2, "fc"),
        ("e", "classifier.drop", 7, "other"),
    ]


class Odd(nn.Module):
    """Outputs that no embedding can be made of."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Conv2d(3, 3, 1)
        self.attention = nn.MultiheadAttention(3, 1)
        self.flat = nn.Flatten(0)
        self.uneven = nn.AvgPool2d((1, 2))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        out: Tensor = self.flat(self.uneven(x)).sum() + self.attention(tokens, tokens, tokens)[0]
        return out


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("unsued", r"layers.x: must be a module path of Odd, got 'unsued' \(unused\)"),
        ("", "must be a module path of Odd, got ''"),
        ("unused", "must be a module that returns one tensor on the way .* got 'unused'"),
        ("attention.out_proj", "must be a module that returns one tensor on the way"),
        ("flat", r"got 'flat' with \[192\]"),
        ("uneven", r"got 'uneven' with \[2, 3, 8, 4\]"),
    ],
)
def test_refuses(path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        inspect(Odd().eval().to("meta"), {"x": path}, "post_relu", 8)


@pytest.mark.usefixtures("way")
def test_shapes_are_those_of_the_modules() -> None:
    table = {"maps": "features.last", "pooled": "features.pool", "fc": "classifier.fc"}
    found = shapes(tiny().to("meta"), table, "pre_relu", 8)
    assert {name: list(shape) for name, shape in found.items()} == {
        "maps": [2, 6, 8, 8],
        "pooled": [2, 6, 2, 2],
        "fc": [2, 7],
    }


def test_only_a_traced_network_has_a_graph(way: str) -> None:
    found = unpooled(tiny().to("meta"), {"a": "features.conv"}, "post_relu")
    if way == "hooks":
        assert found is None
        return
    assert found is not None
    assert set(found[1]) == {"a"}
    assert "features_plain" not in {str(node) for node in found[0].graph.nodes}


@pytest.mark.usefixtures("way")
def test_a_reader_has_no_tensor_for_training_alone() -> None:
    layers = inspect(tiny().to("meta"), {"a": "features.norm"}, "post_relu", 8)
    kept = read(tiny(), layers, "post_relu", "mean", 8).state_dict()
    norm = {f"features.norm.{x}" for x in ("weight", "bias", "running_mean", "running_var")}
    assert set(kept) == {"features.conv.weight", "features.conv.bias"} | norm


@pytest.mark.parametrize(
    ("shape", "larger", "axis"),
    [
        ((2, 7), (2, 7), 1),
        ((2, 17, 32), (2, 65, 32), 2),  # tokens
        ((2, 64, 8, 8), (2, 64, 16, 16), 1),
        ((2, 8, 8, 64), (2, 16, 16, 64), 3),  # Swin
        ((2, 64, 8, 8), (2, 64, 8, 8), 1),  # a network for one size only
        ((2, 8, 8, 64), (2, 8, 8, 64), 3),
        ((2, 8, 8, 8), (2, 8, 16, 16), 1),  # as many units as places
        ((2, 64, 8, 4), (2, 64, 16, 8), None),  # maps that are not square
        ((192,), (768,), None),
        ((1, 7), (1, 7), None),  # not a row for each of two views
        ((2, 3, 4, 4, 4), (2, 3, 8, 8, 8), None),
    ],
)
def test_units_are_along_the_axis_that_does_not_grow(
    shape: tuple[int, ...], larger: tuple[int, ...], axis: int | None
) -> None:
    assert unit_axis(shape, larger) == axis
