"""The grid of squares against a plain loop over torchvision's own network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torchvision import models

from kdsspark.config import Network, Preprocessing
from kdsspark.network import crops
from kdsspark.network.extractor import Extractor
from kdsspark.network.occlusion import Occlusion, mean_colour, occlude, square
from kdsspark.network.weights import prepare

SIZE, SIDE, STRIDE = 72, 24, 12
GREY = (124, 116, 104)
PREPROCESSING = Preprocessing(resize=SIZE, crop=SIZE)
LAYERS = {"fire9": "features.12", "classes": "classifier.1"}


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("occlusion") / "weights.safetensors"


@pytest.fixture(scope="module")
def extractor(weights: Path) -> Extractor:
    network = Network(
        name="n",
        architecture="squeezenet1_1",
        weights="random",
        layers=LAYERS,
        crops="center",
        preprocessing=PREPROCESSING,
    )
    return Extractor.load(prepare(network, weights), weights, threads=1, batch=8)


@pytest.fixture(scope="module")
def found(extractor: Extractor, image: np.ndarray) -> Occlusion:
    return occlude(extractor, image, "fire9", "classes", GREY, SIDE, STRIDE)


def plain(weights: Path, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The means of all maps of fire9, and the probabilities of all classes."""
    model = models.squeezenet1_1()
    model.load_state_dict(load_file(weights))
    model.eval()
    pixels = torch.from_numpy(image / 255.0).permute(2, 0, 1).float()
    mean, std = (torch.tensor(v)[:, None, None] for v in (PREPROCESSING.mean, PREPROCESSING.std))
    with torch.inference_mode():
        maps = model.features[:13](((pixels - mean) / std)[None])
        values = model.classifier(maps).flatten(1)
    return maps.mean((2, 3))[0].numpy(), values.softmax(1)[0].numpy()


def test_every_place_against_a_plain_loop(
    found: Occlusion, weights: Path, image: np.ndarray
) -> None:
    means, chances = plain(weights, image)
    assert found.unit == means.argmax()
    assert found.plain_activation == pytest.approx(means.max(), rel=1e-4)
    assert found.chances is not None
    np.testing.assert_allclose(found.plain_chances, chances, rtol=1e-4)
    places = range(0, SIZE - SIDE + 1, STRIDE)
    assert found.activation.shape == (len(places), len(places)) == (5, 5)
    assert found.chances.shape == (5, 5, 1000)
    for row, y in enumerate(places):
        for column, x in enumerate(places):
            covered = image.copy()
            for channel, value in enumerate(GREY):
                covered[y : y + SIDE, x : x + SIDE, channel] = value
            means, chances = plain(weights, covered)
            at = row, column
            assert found.activation[at] == pytest.approx(means[found.unit], rel=1e-4)
            np.testing.assert_allclose(found.chances[at], chances, rtol=1e-4)
    assert (
        np.ptp(found.activation) > 1e-3 * found.plain_activation
    )  # the square does hide something


def test_the_square_may_cover_the_whole_image(extractor: Extractor, image: np.ndarray) -> None:
    whole = occlude(extractor, image, "fire9", "classes", GREY, SIZE, STRIDE)
    assert whole.activation.shape == (1, 1)


def test_without_a_classifier_there_are_no_probabilities(
    extractor: Extractor, image: np.ndarray, found: Occlusion
) -> None:
    alone = occlude(extractor, image, "fire9", None, GREY, SIDE, STRIDE)
    assert alone.chances is None
    assert alone.plain_chances is None
    np.testing.assert_array_equal(alone.activation, found.activation)


@pytest.mark.parametrize("side", [0, 73])
def test_what_does_not_fit_is_refused(extractor: Extractor, image: np.ndarray, side: int) -> None:
    with pytest.raises(ValueError, match=f"side must be from 1 to 72, got {side}"):
        occlude(extractor, image, "fire9", "classes", GREY, side, STRIDE)


@pytest.mark.parametrize(("size", "expected"), [(224, (48, 16)), (448, (96, 32)), (4, (1, 1))])
def test_the_square_is_in_proportion_to_the_crop(size: int, expected: tuple[int, int]) -> None:
    assert square(size) == expected


@pytest.mark.parametrize(
    ("keys", "colour"),
    [
        ({}, (124, 116, 104)),
        ({"mean": (123.7, 116.3, 103.5), "std": (1, 1, 1), "scale": 255}, (124, 116, 104)),
        ({"mean": (0.1, 0.2, 0.4), "channels": "bgr"}, (102, 51, 26)),
    ],
)
def test_the_mean_colour(keys: dict[str, Any], colour: tuple[int, int, int]) -> None:
    """As the network takes it, it is 0 to half a level."""
    preprocessing = Preprocessing(**keys)
    assert mean_colour(preprocessing) == colour
    pixels = torch.tensor(colour, dtype=torch.uint8).reshape(1, 3, 1, 1)
    levels = crops.normalise(pixels, preprocessing).reshape(3) * torch.tensor(preprocessing.std)
    assert (levels * 255 / preprocessing.scale).abs().max() < 0.51
