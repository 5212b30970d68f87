"""Cuts a network into the blocks that it begins with, which crops can share, and what follows.

A block is a chain of convolutions, batch-norms and ReLUs with a 2 x 2 max pooling behind them, as
in every VGG; the convolutions have stride 1, and zero padding that keeps the size. Such layers see
the same neighbourhood in a crop as in the whole image, except for the padding at its border.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from torch import fx, nn

from kdsspark.network import activations
from kdsspark.network.fusing import ConvolutionReLU
from kdsspark.network.receptive_fields import Window, windows

_POINTWISE: Final = (nn.ReLU, nn.ReLU6, nn.BatchNorm2d)


@dataclass(frozen=True)
class Step:
    """One module of a block."""

    module: nn.Module
    reach: int  # pixels from the border that its zero padding affects
    layers: tuple[int, ...]  # positions of the layers that are read at its output


@dataclass(frozen=True)
class Block:
    """Modules in the order of their calls; a 2 x 2 max pooling follows the last."""

    steps: tuple[Step, ...]

    @property
    def reach(self) -> int:
        """Pixels from the border that the zero padding of the modules affects."""
        return sum(step.reach for step in self.steps)


@dataclass(frozen=True)
class Stretch:
    """A stretch of the network as a module: from a tensor to float32 [views, units] per layer.

    If another stage follows, the input of that one is the last output.
    """

    module: fx.GraphModule
    layers: tuple[int, ...]  # their positions in the embedding


def find_blocks(reader: fx.GraphModule) -> list[tuple[Block, fx.Node]]:
    """The blocks at the beginning of a module of :func:`activations.read`, and where each ends.

    Empty if it begins with anything else, for example a convolution of stride 2.
    """
    found: list[tuple[Block, fx.Node]] = []
    steps: list[Step] = []
    outputs = _outputs(reader)
    for node in _chain(next(iter(reader.graph.nodes))):
        module = _module(reader, node)
        layers = tuple(outputs.index(user) for user in node.users if _is_reading(user))
        reach = _reach(module)
        if module is not None and reach is not None:
            steps.append(Step(module, reach, layers))
        elif _halves(module):
            found.append((Block(tuple(steps)), node))
            steps = []
            if layers:  # read behind the blocks, which therefore end here
                return found
        else:
            return found
    return found


def stretches(reader: fx.GraphModule, end: fx.Node) -> tuple[Stretch, Stretch | None]:
    """What follows node ``end``: up to the first linear layer, and from that layer on.

    The second is None if no linear layer follows in one chain.
    """
    outputs = _outputs(reader)
    behind = {i: node for i, node in enumerate(outputs) if end in activations.ancestors(node)}
    cut = _before_linear(reader, end)
    late = {i: node for i, node in behind.items() if cut and cut in activations.ancestors(node)}
    early = {i: node for i, node in behind.items() if i not in late}
    if cut is None or not late:
        return _stretch(reader, end, early), None
    return _stretch(reader, end, early, cut), _stretch(reader, cut, late)


def _stretch(
    reader: fx.GraphModule, start: fx.Node, layers: dict[int, fx.Node], *others: fx.Node
) -> Stretch:
    """The stretch from the output of ``start`` to the nodes of ``layers`` and to ``others``."""
    graph = fx.Graph()
    copies = {start: graph.placeholder("maps")}
    outputs = [*layers.values(), *others]
    needed = set().union(*(activations.ancestors(node, start) for node in outputs))
    for node in reader.graph.nodes:
        if node in needed and node is not start:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in outputs))
    return Stretch(fx.GraphModule(reader, graph), tuple(layers))


def _before_linear(reader: fx.GraphModule, start: fx.Node) -> fx.Node | None:
    before = start
    for node in _chain(start):
        if isinstance(_module(reader, node), nn.Linear):
            return before
        before = node
    return None


def _chain(node: fx.Node) -> Iterator[fx.Node]:
    """The nodes behind ``node``, as long as each passes its output to a single other node."""
    while True:
        following = [user for user in node.users if not _is_reading(user)]
        if len(following) != 1:
            return
        node = following[0]
        yield node


def _is_reading(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target is activations.pool


def _module(reader: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return reader.get_submodule(str(node.target)) if node.op == "call_module" else None


def _outputs(reader: fx.GraphModule) -> list[fx.Node]:
    return list(next(iter(reversed(reader.graph.nodes))).args[0])


def _reach(module: nn.Module | None) -> int | None:
    """Pixels from the border that the padding of a module affects; None if it fits no block.

    A convolution must have stride 1, and zeros around its input that keep its size.
    """
    if isinstance(module, ConvolutionReLU):
        module = module.convolution
    if isinstance(module, _POINTWISE):
        return 0
    if not isinstance(module, nn.Conv2d):
        return None
    reach = module.kernel_size[0] // 2
    keeps_size = Window(2 * reach + 1, stride=1, padding=reach, dilation=1)
    return reach if windows(module) == (keeps_size, keeps_size) else None


def _halves(module: nn.Module | None) -> bool:
    """Whether it is the plain max pooling of 2 x 2 pixels into one."""
    two = Window(2, stride=2, padding=0, dilation=1)
    return (
        isinstance(module, nn.MaxPool2d) and windows(module) == (two, two) and not module.ceil_mode
    )
