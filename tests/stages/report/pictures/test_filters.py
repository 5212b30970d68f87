"""The filters of a first layer, as colours."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from kdsspark.pipeline.study import Study
from kdsspark.stages.embed.networks import saved_networks
from kdsspark.stages.report.pictures import filters


def pixels(content: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    return np.asarray(image, int)


def drawn(canvas: np.ndarray, n: int, side: int) -> list[np.ndarray]:
    """Each filter again, a pixel a weight."""
    scale = max(1, 64 // side)
    step = side * scale + 4
    where = [(i // 16 * step, i % 16 * step) for i in range(n)]
    blocks = [canvas[y : y + side * scale, x : x + side * scale] for y, x in where]
    for block in blocks:
        small = block[::scale, ::scale]
        assert (block == small.repeat(scale, axis=0).repeat(scale, axis=1)).all()
    return [block[::scale, ::scale] for block in blocks]


@pytest.mark.parametrize(("n", "side"), [(1, 3), (16, 7), (17, 11), (40, 3)])
def test_all_filters_are_stretched_alike(n: int, side: int) -> None:
    weights = np.random.default_rng(n).normal(size=(n, 3, side, side)).astype(np.float32)
    weights[0, 0] = 0
    canvas = pixels(filters.drawn(weights))
    assert canvas.shape[1] == min(n, 16) * (64 // side * side + 4) - 4
    want = 127.5 + 127.5 * weights.transpose(0, 2, 3, 1) / np.abs(weights).max()
    np.testing.assert_allclose(drawn(canvas, n, side), want, atol=0.5001)
    if n == 17:
        assert (canvas[-1, 100:] == 255).all()  # beside the last one


def test_filters_without_weights_are_grey() -> None:
    canvas = pixels(filters.drawn(np.zeros((2, 3, 3, 3), np.float32)))
    assert (np.stack(drawn(canvas, 2, 3)) == 128).all()


def test_they_are_the_weights_of_the_first_layer(fruit: Study) -> None:
    (file,) = Path(fruit.output.path("_networks")).glob("*.safetensors")
    weights = load_file(file)["features.0.weight"]
    (content,) = filters.of_networks(fruit.output, fruit.config).values()
    want = 127.5 + 127.5 * weights.transpose(0, 2, 3, 1) / np.abs(weights).max()
    np.testing.assert_allclose(drawn(pixels(content), 64, 3), want, atol=0.5001)


def test_channels_are_red_green_blue(fruit: Study) -> None:
    spec = saved_networks(fruit.output, fruit.config)["tiny"]
    swapped = replace(spec, preprocessing=spec.preprocessing.model_copy(update={"channels": "bgr"}))
    rgb, bgr = (filters._first(fruit.output, s) for s in (spec, swapped))
    assert rgb is not None
    assert bgr is not None
    assert (rgb[:, ::-1] == bgr).all()


def test_a_first_layer_that_reads_no_colours_has_no_picture(fruit: Study) -> None:
    spec = saved_networks(fruit.output, fruit.config)["tiny"]
    later = replace(spec, layers=spec.layers[1:])
    assert filters._first(fruit.output, later) is None
