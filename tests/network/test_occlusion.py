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
from kdsspark.network.occlusion import Occlusion, mean_colour, occlude
from kdsspark.network.weights import prepare

SIZE, SIDE, STRIDE, TRUE = 72, 24, 12, 7
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
    return occlude(extractor, image, "fire9", "classes", TRUE, GREY, SIDE, STRIDE)


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
    assert found.plain_likeliest == chances.argmax()
    assert found.plain_activation == pytest.approx(means.max(), rel=1e-4)
    assert found.plain_probability == pytest.approx(chances[TRUE], rel=1e-4)
    places = range(0, SIZE - SIDE + 1, STRIDE)
    assert found.activation.shape == found.likeliest.shape == (len(places), len(places)) == (5, 5)
    for row, y in enumerate(places):
        for column, x in enumerate(places):
            covered = image.copy()
            for channel, value in enumerate(GREY):
                covered[y : y + SIDE, x : x + SIDE, channel] = value
            means, chances = plain(weights, covered)
            at = row, column
            assert found.activation[at] == pytest.approx(means[found.unit], rel=1e-4)
            assert found.probability[at] == pytest.approx(chances[TRUE], rel=1e-4)
            best = found.likeliest[at]
            assert chances[best] == pytest.approx(chances.max(), rel=1e-4)
    assert (
        np.ptp(found.activation) > 1e-3 * found.plain_activation
    )  # the square does hide something


def test_the_square_may_cover_the_whole_image(extractor: Extractor, image: np.ndarray) -> None:
    whole = occlude(extractor, image, "fire9", "classes", TRUE, GREY, SIZE, STRIDE)
    assert whole.activation.shape == (1, 1)


@pytest.mark.parametrize(
    ("side", "true", "message"),
    [
        (0, 0, "side must be from 1 to 72, got 0"),
        (73, 0, "side must be from 1 to 72, got 73"),
        (72, 1000, "true must be from 0 to 999, got 1000"),
        (72, -1, "true must be from 0 to 999, got -1"),
    ],
)
def test_what_does_not_fit_is_refused(
    extractor: Extractor, image: np.ndarray, side: int, true: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        occlude(extractor, image, "fire9", "classes", true, GREY, side, STRIDE)


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
