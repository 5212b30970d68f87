from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kdsspark.network.activations import over_views, pool
from kdsspark.network.spec import Tokens


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_pool(pooling: str) -> None:
    tokens = torch.randn(2, 5, 3)
    expected = tokens.mean(1) if pooling == "mean" else tokens.amax(1)
    torch.testing.assert_close(pool(tokens, 2, pooling), expected)
    vector = torch.randn(2, 3)
    copy = pool(vector, 1, pooling)
    assert torch.equal(copy, vector)
    assert copy.data_ptr() != vector.data_ptr()


@pytest.mark.parametrize("shape", [(2, 5), (2, 6, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_whole_activations_are_kept_as_new_tensors(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    activation = torch.randn(shape).to(dtype)
    found = pool(activation, 1 if len(shape) == 4 else len(shape) - 1, "whole")
    assert found.dtype == torch.float32
    assert torch.equal(found, activation.float())
    assert found.data_ptr() != activation.data_ptr()  # which an in-place ReLU overwrites
    assert torch.equal(over_views(found, 2, "whole"), found)  # one view an image


@pytest.mark.parametrize(
    ("tokens", "kept"), [("mean", [2, 3, 4]), ("cls", [0]), ("cls+mean", [0, 2, 3, 4])]
)
def test_whole_tokens_are_those_that_are_read(tokens: Tokens, kept: list[int]) -> None:
    activation = torch.randn(2, 5, 3)
    assert torch.equal(pool(activation, 2, "whole", 2, tokens), activation[:, kept])


def first_maxima(maps: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """[views, units, 3]: value, row and column of the first maximum, found one by one."""
    units = np.moveaxis(maps, axis, 1)
    found = np.empty((*units.shape[:2], 3), np.float32)
    for at in np.ndindex(found.shape[:2]):
        place = np.unravel_index(units[at].argmax(), units[at].shape)
        y, x = ([0] * 2 + [*place])[-2:] if place else (-1, -1)
        found[at] = units[at][place], y, x
    return found


FORMS = [  # shape, axis of the units, layout
    ((3, 4, 5, 7), 1, torch.contiguous_format),
    ((3, 4, 5, 7), 1, torch.channels_last),
    ((3, 4, 1, 1), 1, torch.channels_last),
    ((3, 5, 7, 4), 3, torch.contiguous_format),  # Swin
    ((3, 6, 4), 2, torch.contiguous_format),  # tokens
    ((3, 4), 1, torch.contiguous_format),
]
KINDS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "different values": lambda normal: normal,
    "ties": np.round,
    "rectified": lambda normal: np.maximum(np.round(normal - 1), 0),  # often 0 everywhere
    "negative": lambda normal: -1 - np.abs(np.round(normal)),
    "one value": np.zeros_like,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "axis", "layout"), FORMS)
def test_peaks_are_the_first_maxima_of_the_maps(
    shape: tuple[int, ...], axis: int, layout: torch.memory_format, kind: str, dtype: torch.dtype
) -> None:
    values = KINDS[kind](np.random.default_rng(0).normal(size=shape))
    maps = torch.tensor(values, dtype=dtype).contiguous(memory_format=layout)
    found = pool(maps, axis, "peak")
    assert found.dtype == torch.float32
    assert np.array_equal(found, first_maxima(maps.float().numpy(), axis))


def test_peaks_stay_when_the_map_is_overwritten() -> None:
    vector = torch.tensor([[-1.0, 2.0]])
    found = pool(vector, 1, "peak")
    vector.relu_()
    assert found.tolist() == [[[-1, -1, -1], [2, -1, -1]]]


def test_a_map_with_an_undefined_value_has_no_defined_peak() -> None:
    maps = torch.zeros(1, 2, 3, 3)
    maps[0, 1, 2, 0] = torch.nan
    assert pool(maps, 1, "peak")[0, :, 0].isnan().tolist() == [False, True]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_views", [1, 2, 10])
def test_the_peak_of_an_image_is_that_of_the_first_view_that_has_it(
    n_views: int, kind: str
) -> None:
    n_images, units = 3, 5
    values = KINDS[kind](np.random.default_rng(1).normal(size=(n_images * n_views, units)))
    places = np.random.default_rng(2).integers(0, 9, (n_images * n_views, units, 2))
    peaks = np.concatenate([values[..., None], places], 2).astype(np.float32)
    found = over_views(torch.tensor(peaks), n_images, "peak")
    assert found.shape == (n_images, units, 4)
    by_image = peaks.reshape(n_images, n_views, units, 3)
    for image, unit in np.ndindex(n_images, units):
        views = by_image[image, :, unit]
        best = max(range(n_views), key=lambda view: (views[view, 0], -view))
        assert found[image, unit].tolist() == [*views[best], best]


def test_other_features_of_an_image_are_means_over_its_views() -> None:
    values = torch.arange(12.0).view(6, 2)
    assert over_views(values, 2, "mean").tolist() == [[2, 3], [8, 9]]


def test_means_of_bfloat16_are_accumulated_in_float32() -> None:
    ones = torch.ones(1, 1, 64, 64, dtype=torch.bfloat16)
    ones[..., ::2] = 1 + 2**-7  # the next bfloat16; their mean is none
    mean = pool(ones, 1, "mean")
    assert mean.dtype == torch.float32
    assert mean.item() == 1 + 2**-8


TOKENS = np.random.default_rng(3).normal(size=(2, 2 + 4, 3)).astype(np.float32)
CLASS, PATCHES = TOKENS[:, 0], TOKENS[:, 2:]  # a class token, a register, and four patches


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("tokens", ["mean", "cls", "cls+mean"])
def test_registers_and_the_class_token_are_left_out_unless_it_is_asked_for(
    tokens: str, pooling: str, dtype: torch.dtype
) -> None:
    pooled = PATCHES.mean(1) if pooling == "mean" else PATCHES.max(1)
    expected = {"mean": [pooled], "cls": [CLASS], "cls+mean": [CLASS, pooled]}[tokens]
    found = pool(torch.tensor(TOKENS, dtype=dtype), 2, pooling, 2, tokens)  # type: ignore[arg-type]
    close = {"rtol": 2e-2, "atol": 2e-2} if dtype == torch.bfloat16 else {"rtol": 1e-6}
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), np.concatenate(expected, 1), **close)


def test_columns_of_peaks_count_all_tokens() -> None:
    tokens = torch.zeros(1, 5, 2)
    tokens[0, :, 0] = torch.tensor([9.0, 8, 1, 3, 2])
    tokens[0, :, 1] = torch.tensor([-9.0, 8, -4, -3, -2])
    assert pool(tokens, 2, "peak", 2).tolist() == [[[3, 0, 3], [-2, 0, 4]]]
    assert pool(tokens, 2, "peak", 2, "cls").tolist() == [[[9, 0, 0], [-9, 0, 0]]]
    both = [[[9, 0, 0], [-9, 0, 0], [3, 0, 3], [-2, 0, 4]]]
    assert pool(tokens, 2, "peak", 2, "cls+mean").tolist() == both
