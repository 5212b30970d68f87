"""Layers read by hooks, of a network that torch.fx cannot trace, against plain arithmetic."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

from kdsspark.errors import ConfigError
from kdsspark.network.activations import graph, hooks

PIXELS = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Untraced(nn.Module):
    """Branches on a size, which torch.fx refuses; overwrites what its layers returned."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, 5)
        self.out = nn.Linear(5, 2)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv(x)).mean((2, 3))
        if x.shape[0] > 0:
            x = self.fc(x)
        out: Tensor = self.out(x.mul_(2))
        return out


@pytest.fixture
def model() -> Untraced:
    torch.manual_seed(1)
    return Untraced().eval()


def _wanted(
    model: nn.Module, table: dict[str, str]
) -> tuple[dict[str, hooks.WantedLayer], list[hooks.Call]]:
    calls = hooks.survey(model, 4)
    return hooks.wanted(model, table, "pre_relu", calls), calls


def test_a_survey_has_every_call_in_the_order_of_the_ends(model: Untraced) -> None:
    assert graph.trace(model) is None
    calls = hooks.survey(model, 4)
    assert [call.path for call in calls] == ["conv", "relu", "fc", "out", ""]
    assert [call.shape for call in calls] == [(2, 4, 4, 4), (2, 4, 4, 4), (2, 5), (2, 2), (2, 2)]
    assert [call.input_shape for call in calls][2:4] == [(2, 4), (2, 5)]
    whole = calls[-1]
    assert all(whole.begun < c.begun < c.ended < whole.ended for c in calls[:-1])
    assert not next(model.parameters()).is_meta


def test_a_layer_needs_the_tensors_of_what_began_before_its_end(model: Untraced) -> None:
    found, calls = _wanted(model, {"conv": "conv", "given": "fc:input", "fc": "fc", "out": "out"})
    needed = {name: hooks.tensors_until(model, calls, one.ended) for name, one in found.items()}
    conv = {"conv.weight", "conv.bias", "unused.weight", "unused.bias"}  # the model may use it
    fc = conv | {"fc.weight", "fc.bias"}
    assert needed["conv"] == conv
    assert needed["given"] == fc  # it begins with the layer whose input it is
    assert needed["fc"] == fc
    assert needed["out"] == fc | {"out.weight", "out.bias"}


def test_layers_are_what_they_were_before_they_were_overwritten(model: Untraced) -> None:
    found, calls = _wanted(model, {"conv": "conv", "given": "fc:input", "fc": "fc"})
    assert {name: one.kind for name, one in found.items()} == {
        "conv": "conv",
        "given": "other",
        "fc": "fc",
    }
    reader = hooks.read(model, list(found.values()), [torch.clone] * 3, calls)
    with torch.inference_mode():
        conv, given, fc = reader(PIXELS)
        weight, bias = model.conv.weight[:, :, 0, 0], model.conv.bias[:, None, None]
        by_hand = torch.einsum("uc,vcyx->vuyx", weight, PIXELS) + bias
        pooled = by_hand.clamp(min=0).mean((2, 3))
        torch.testing.assert_close(conv, by_hand)
        torch.testing.assert_close(given, pooled)
        torch.testing.assert_close(fc, pooled @ model.fc.weight.T + model.fc.bias)
        assert torch.equal(reader.activation(2, PIXELS), fc)


def test_what_comes_after_the_last_layer_is_removed_and_never_computed(model: Untraced) -> None:
    found, calls = _wanted(model, {"conv": "conv"})
    reader = hooks.read(model, list(found.values()), [torch.clone], calls)
    assert {path for path, _ in reader.named_children()} == {"conv", "unused"}
    assert reader.get_submodule("conv").weight.data_ptr() == model.conv.weight.data_ptr()
    assert model.fc is not None  # the model itself keeps all
    (values,) = reader(PIXELS)
    assert values.shape == (2, 4, 4, 4)


def test_threads_do_not_see_the_layers_of_each_other(model: Untraced) -> None:
    found, calls = _wanted(model, {"conv": "conv", "fc": "fc"})
    reader = hooks.read(model, list(found.values()), [torch.clone] * 2, calls)
    inputs = [torch.full((1, 3, 4, 4), float(i)) for i in range(8)]
    with torch.inference_mode():
        alone = [reader(one)[1] for one in inputs]
    together: list[Tensor | None] = [None] * len(inputs)

    def run(i: int) -> None:
        with torch.inference_mode():
            together[i] = reader(inputs[i])[1]

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True) if b is not None)
    assert None not in together


@pytest.mark.parametrize("path", ["unused", "unused:input"])
def test_a_module_that_is_never_called_is_refused(model: Untraced, path: str) -> None:
    with pytest.raises(ConfigError, match=f"layers.x: must be a module that returns .*{path!r}"):
        _wanted(model, {"x": path})
