"""Which units the figures draw: those of the paper, or those that a plain search finds."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest

from kdsspark import paper
from kdsspark.report.gallery.gallery import FigureUnit, LayerShown, UnitFigure
from kdsspark.report.gallery.unit_figures import RULES, choose, datasets_of

VGG19 = {
    **{f"conv1_{i}": 64 for i in (1, 2)},
    **{f"conv2_{i}": 128 for i in (1, 2)},
    **{f"conv3_{i}": 256 for i in (1, 2, 3, 4)},
    **{f"conv{block}_{i}": 512 for block in (4, 5) for i in (1, 2, 3, 4)},
    "fc6": 4096,
    "fc7": 4096,
}
CONVOLUTIONS = {name: n for name, n in VGG19.items() if name.startswith("conv")}


def layers_of(widths: dict[str, int]) -> list[LayerShown]:
    firsts = [0, *accumulate(widths.values())]
    rows = zip(widths.items(), firsts, strict=False)
    return [LayerShown(name, "conv", d, first, n) for d, ((name, n), first) in enumerate(rows)]


def random(layers: list[LayerShown], n_classes: int, seed: int = 0) -> np.ndarray:
    shape = n_classes, sum(layer.units for layer in layers)
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def named(figure: UnitFigure, layers: list[LayerShown]) -> list[tuple[str, int]]:
    found = []
    for unit in figure.units:
        layer = next(x for x in reversed(layers) if x.first <= unit.feature)
        found.append((layer.name, unit.feature - layer.first))
    return found


def printed(number: int, layers: list[LayerShown]) -> list[tuple[str, int]]:
    """The units that the paper prints for a figure, of the layers at hand."""
    rows = paper.UNITS[paper.UNITS["figure"] == number]
    own = [(x, y) for x, y in zip(rows["layer"], rows["unit"], strict=True)]
    known = {layer.name for layer in layers}
    return list(dict.fromkeys(one for one in own if one[0] in known))


@pytest.mark.parametrize("number", RULES)
def test_the_papers_units_for_the_papers_classes(number: int) -> None:
    """Whatever the signs in the names of the classes; and nothing beside them."""
    layers = layers_of(VGG19)
    rows = paper.UNITS[paper.UNITS["figure"] == number]
    dataset = str(rows["dataset"].iloc[0])
    wanted = list(dict.fromkeys(rows["class_name"]))
    classes = {i: f"{i:03d}.{name.title().replace(' ', '_')}" for i, name in enumerate(wanted, 2)}
    classes |= {0: "another", 1: "one more"}
    (figure,) = choose([number], dataset.upper(), random(layers, 12), layers, classes, True)
    assert figure.named
    assert named(figure, layers) == printed(number, layers)
    for unit, (layer, position) in zip(figure.units, printed(number, layers), strict=True):
        own = rows[(rows["layer"] == layer) & (rows["unit"] == position)]
        want = list(zip(own["class_name"], own["ks"], strict=True))
        assert list(unit.published) == want
        assert list(unit.classes) == [2 + wanted.index(name) for name, _ in want]


def test_the_papers_units_on_another_dataset_and_the_same_choice_of_it() -> None:
    """Figures 3 and 4 draw units of fc7, which the weights at hand may lack."""
    layers = layers_of(CONVOLUTIONS)
    ks = random(layers, 7)
    found = choose(RULES, "mine", ks, layers, {c: f"class {c}" for c in range(7)}, True)
    assert [(f.number, f.named) for f in found] == [
        (2, True), (2, False), (3, False), (4, False), (7, True), (7, False),
    ]  # fmt: skip
    first, last = found[0], found[4]
    assert named(first, layers) == printed(2, layers)
    assert len(first.units) == 6
    for unit in first.units:
        assert unit.classes == (int(ks[:, unit.feature].argmax()),)
    assert named(last, layers) == printed(7, layers)
    one = int(ks[:, [unit.feature for unit in last.units]].mean(axis=1).argmax())
    assert {unit.classes for unit in last.units} == {(one,)}
    every = [unit.feature for figure in found for unit in figure.units]
    assert len(every) == len(set(every))


def plain(number: int, ks: np.ndarray, depth: np.ndarray, taken: set[int]) -> list[FigureUnit]:
    """The choice of figures 2, 3 and 4 as the documentation has it, by loops."""
    rule, n_layers = RULES[number], int(depth.max()) + 1
    third, found = n_layers // 3, []
    for i in range(rule.units):
        wanted = third + round((i + 1) * (n_layers - 1 - third) / rule.units)
        values = {
            int(f): float((rule.sign * ks[:, f]).max()) for f in np.flatnonzero(depth == wanted)
        }
        ten = sorted(values, key=lambda f: (-values[f], f))[:10]
        for f in ten:
            if values[f] > 0 and f not in taken:
                taken.add(f)
                ends = {c: rule.sign * float(row[f]) for c, row in enumerate(ks)}
                order = sorted((c for c in ends if ends[c] > 0), key=lambda c: (-ends[c], c))
                found.append(FigureUnit(f, tuple(order[: rule.classes])))
                break
    return found


@pytest.mark.parametrize("widths", [[3], [2, 2], [9, 30, 1], [20] * 5, [4, 8] * 9])
@pytest.mark.parametrize("seed", range(3))
def test_the_same_choice_is_made_of_other_data(widths: list[int], seed: int) -> None:
    layers = layers_of({f"layer{i}": n for i, n in enumerate(widths)})
    ks = np.round(random(layers, 6, seed), 1)  # with ties
    ks[:, 0] = 0  # never above nor below
    depth = np.repeat(np.arange(len(widths)), widths)
    classes = {c: str(c) for c in range(6)}
    found = {x.number: x for x in choose(RULES, "mine", ks, layers, classes, False)}
    assert found
    assert not any(figure.named for figure in found.values())
    taken: set[int] = set()
    for number in (2, 3, 4):
        want = plain(number, ks, depth, taken)
        assert (list(found[number].units) if number in found else []) == want
    low = np.flatnonzero(depth < max(1, len(widths) // 3))
    if 7 in found:
        c = found[7].units[0].classes[0]
        assert ks[c, low].max() == ks[:, low].max()
        rest = sorted((-float(ks[c, f]), int(f)) for f in low if f not in taken and ks[c, f] > 0)
        assert [unit.feature for unit in found[7].units] == [f for _, f in rest[:4]]
        assert {unit.classes for unit in found[7].units} == {(c,)}


def test_without_distances_there_is_nothing_to_draw() -> None:
    layers = layers_of({"a": 4, "b": 4})
    nothing = np.zeros((1, 8), np.float32)
    assert choose(RULES, "mine", nothing, layers, {0: "only"}, False) == ()


@pytest.mark.parametrize(
    ("names", "want"),
    [
        (["a", "b"], {2: "b", 3: "b", 4: "b", 7: "b"}),
        (["MIT-67", "b"], {2: "MIT-67", 3: "b", 4: "b", 7: "b"}),
        (["b", "flowers102", "cub_200"], {2: "b", 3: "cub_200", 4: "flowers102", 7: "flowers102"}),
    ],
)
def test_a_figure_is_drawn_for_the_papers_dataset_or_the_largest(
    names: list[str], want: dict[int, str]
) -> None:
    assert datasets_of(names, "b") == want
