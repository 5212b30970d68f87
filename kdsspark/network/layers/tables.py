"""Which modules of a network are its layers: by a table's name, or as the configuration lists them.

=========  =====================================================================================
table      modules
=========  =====================================================================================
blocks     every block of a transformer, or residual (or similar) block of a convolutional network
mlp        hidden units of every block's perceptron, after the activation function or, where a
           gate multiplies them (SwiGLU), after the product
attention  what every block's attention adds to its tokens
stages     the last block of each size of maps
=========  =====================================================================================

They are found by how the network is built and what it calls, on the meta device. A block is one of
a sequence of modules most of which have at least two convolutions or linear layers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from torch import nn

from kdsspark.errors import ConfigError
from kdsspark.network.activations.hooks import VIEWS, Call, survey
from kdsspark.network.activations.points import INPUT
from kdsspark.network.architectures import crop_error, skeleton
from kdsspark.network.sources.torchvision import BUILT_IN

Table = dict[str, str]
"""{layer name: module path}."""

_WEIGHTED: Final = (nn.Conv2d, nn.Linear, nn.MultiheadAttention)
_CONTAINERS: Final = (nn.Sequential, nn.ModuleList)


def layer_table(
    architecture: str, layers: Mapping[str, str] | str | None, crop: int = 224, settings: str = ""
) -> Table:
    """{layer name: module path} of a network, in the order of the embedding.

    ``layers`` comes from the configuration; null takes the built-in table of the papers' networks.
    Raises ConfigError if the architecture has no such table, or if ``layers`` is empty.
    """
    if layers is None and architecture in BUILT_IN:
        return dict(BUILT_IN[architecture])
    if isinstance(layers, str):
        model = skeleton(architecture, crop, settings)
        try:
            found = TABLES[layers](model, survey(model, crop))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise crop_error(architecture, crop, error) from error
        if found:
            return found
        raise ConfigError(f"layers: must be modules of {architecture}, which has no {layers}")
    if layers:
        return dict(layers)
    raise ConfigError(
        f"layers: must be {{layer name: module path}} or one of {', '.join(TABLES)} for "
        f"{architecture}, got {layers} (null is for {', '.join(BUILT_IN)})"
    )


def _blocks(model: nn.Module, calls: Sequence[Call]) -> Table:
    return _named("block", [call.path for call in _calls_of_blocks(model, calls)])


def _stages(model: nn.Module, calls: Sequence[Call]) -> Table:
    blocks = _calls_of_blocks(model, calls)
    sizes = [_places(call) for call in blocks]
    after = zip(blocks, sizes, [*sizes[1:], -1], strict=False)
    last = [block.path for block, size, then in after if size != then]
    return _named("stage", last)


def _mlp(model: nn.Module, calls: Sequence[Call]) -> Table:
    modules = dict(model.named_modules())
    found = []
    for block in _calls_of_blocks(model, calls):
        inside = [call for call in _within(block, calls) if not any(modules[call.path].children())]
        hidden = _gated(inside, modules) or _hidden(inside, modules)
        found += [hidden] if hidden else []
    return _named("mlp", found)


def _attention(model: nn.Module, calls: Sequence[Call]) -> Table:
    """The module itself, or what it passes its output on to where that is cut into windows."""
    modules = dict(model.named_modules())
    times = Counter(call.path for call in calls)
    found = []
    for block in _calls_of_blocks(model, calls):
        inside = [call for call in _within(block, calls) if times[call.path] == 1]
        for i, call in reversed(list(enumerate(inside))):
            if "attention" in (name := type(modules[call.path]).__name__.lower()) or "attn" in name:
                whole = (c.path for c in inside[i:] if _like(c, block))
                found += [path for path in [next(whole, None)] if path]
                break
    return _named("attention", found)


TABLES: Final[Mapping[str, Callable[[nn.Module, Sequence[Call]], Table]]] = {
    "blocks": _blocks,
    "mlp": _mlp,
    "attention": _attention,
    "stages": _stages,
}
"""Each table by its name in the configuration."""


def _named(kind: str, paths: Sequence[str]) -> Table:
    return {f"{kind}{i}": path for i, path in enumerate(paths)}


def _calls_of_blocks(model: nn.Module, calls: Sequence[Call]) -> list[Call]:
    """The innermost blocks, in the order of their calls."""
    modules = dict(model.named_modules())
    paths = set(_paths_of_blocks(modules))
    outer = {p for p in paths if any(q.startswith(f"{p}.") for q in paths)}
    last = {call.path: call for call in calls if call.path in paths - outer and call.shape}
    return sorted(last.values(), key=lambda call: call.ended)


def _paths_of_blocks(modules: Mapping[str, nn.Module]) -> Iterator[str]:
    for path, module in modules.items():
        if not isinstance(module, _CONTAINERS):
            continue
        children = [f"{path}.{name}".lstrip(".") for name, _ in module.named_children()]
        blocks = [child for child in children if _is_block(modules[child])]
        if 2 * len(blocks) > len(children):
            yield from blocks


def _is_block(module: nn.Module) -> bool:
    weighted = sum(isinstance(part, _WEIGHTED) for part in module.modules())
    return weighted > 1 and not isinstance(module, _CONTAINERS)


def _within(block: Call, calls: Sequence[Call]) -> Iterator[Call]:
    """The calls that a call of a block makes, in the order of their ends."""
    return (c for c in calls if block.begun < c.begun and c.ended < block.ended)


def _hidden(leaves: Sequence[Call], modules: Mapping[str, nn.Module]) -> str | None:
    """The last activation function between two linear layers, or convolutions of one pixel.

    What it is given must be wider than the input of the first, and what it returns go to the second
    as it is, unlike in squeeze-and-excitation.
    """
    found = None
    for i, call in enumerate(leaves):
        before = next((c for c in reversed(leaves[:i]) if _width(modules[c.path])), None)
        after = next((c for c in leaves[i:] if _width(modules[c.path])), None)
        if before is None or after is None or _width(modules[call.path]):
            continue
        taken, given = _width(modules[before.path]), _width(modules[after.path])
        assert taken is not None
        assert given is not None
        wider = taken[0] < taken[1] == given[0] and call.shape == after.input_shape
        if wider and _activates(modules[call.path]):
            found = call.path
    return found


def _gated(leaves: Sequence[Call], modules: Mapping[str, nn.Module]) -> str | None:
    """Where the last linear layer gets the products of two halves, one of them a gate.

    Both come from one layer twice as wide, or from two of equal sizes with an activation function
    behind one of them. Wider than what these are given, as in :func:`_hidden`. The product is what
    the first module after it returns (timm has a dropout there), or the layer's own input.
    """
    found = None
    linear = [(i, width) for i, c in enumerate(leaves) if (width := _width(modules[c.path]))]
    for nth, (last, (hidden, _)) in enumerate(linear[1:], start=1):
        before, (units, wide) = linear[nth - 1]
        first = linear[nth - 2][0] if nth > 1 and linear[nth - 2][1] == (units, hidden) else before
        gates = [i for i in range(first, last) if _activates_at(leaves, modules, i)]
        of_two = first != before and wide == hidden and bool(gates)
        if units >= hidden or not (of_two or wide == 2 * hidden):
            continue
        after = max([before, *gates]) + 1
        found = f"{leaves[last].path}{INPUT}"
        if after < last and leaves[after].shape == leaves[last].input_shape:
            found = leaves[after].path
    return found


def _activates_at(leaves: Sequence[Call], modules: Mapping[str, nn.Module], i: int) -> bool:
    module = modules[leaves[i].path]
    return not _width(module) and _activates(module)


def _width(module: nn.Module) -> tuple[int, int] | None:
    """Input and output units of a linear layer or a convolution of one pixel."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, nn.Conv2d):
        pixels = module.kernel_size == (1, 1)
        return (module.in_channels, module.out_channels) if pixels else (-1, -2)
    return None


def _activates(module: nn.Module) -> bool:
    """Whether it is an activation function: it has no parameter, and drops or keeps nothing."""
    name = type(module).__name__.lower()
    return "activations" in type(module).__module__ or any(kind in name for kind in _FUNCTIONS)


_FUNCTIONS: Final = ("relu", "gelu", "silu", "swish", "mish", "elu", "tanh", "sigmoid", "softplus")


def _places(call: Call) -> int:
    """Places of a square map, or tokens."""
    assert call.shape is not None
    _, first, *rest = call.shape
    if len(rest) == 2:  # [views, units, height, width], or with the units last
        return rest[0] ** 2 if rest[0] == rest[1] else first**2
    return first if rest else 1


def _like(call: Call, block: Call) -> bool:
    """Whether it returns as many tokens as the block, as many units each, or maps of its size."""
    return call.shape is not None and call.shape[0] == VIEWS and call.shape == block.shape
