"""What tasks that look at chosen images share, against torchvision and scipy."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax
from torchvision.transforms import functional

from kdsspark.config import Embed, Preprocessing
from kdsspark.errors import DatasetError
from kdsspark.network.spec import Layer
from kdsspark.output.output import Output
from kdsspark.stages.embed import image_job
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.experiments.chosen import seeing
from kdsspark.stages.experiments.chosen.classes import ClassLayer
from kdsspark.stages.experiments.chosen.images import ChosenImage
from tests.stages.embed.fakes import PAIR, SPEC

pytestmark = pytest.mark.usefixtures("task")

RNG = np.random.default_rng(0)


def _pixels(height: int, width: int) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def job(tmp_path: Path) -> ImageJob:
    return ImageJob(Output.at(str(tmp_path / "out")), PAIR, SPEC, "", Embed(image_seconds=5))


@pytest.mark.parametrize(("height", "width"), [(40, 40), (40, 67), (53, 40), (32, 33)])
def test_a_crop_is_the_centre_crop_of_torchvision(height: int, width: int) -> None:
    spec = replace(SPEC, preprocessing=Preprocessing(resize=40, crop=32))
    pixels = _pixels(height, width)
    expected = functional.center_crop(torch.tensor(pixels).permute(2, 0, 1), [32, 32])
    found = seeing.crop(spec, pixels)
    assert np.array_equal(found, expected.permute(1, 2, 0).numpy())
    top, left = seeing.corner(spec, pixels)
    assert np.array_equal(pixels[top : top + 32, left : left + 32], found)
    assert found.flags.c_contiguous


def test_an_image_is_resized_unless_it_is_decoded_otherwise(job: ImageJob, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(_pixels(24, 16)).save(path)
    image = ChosenImage("1", str(path), "a", "v")
    expected = functional.resize(Image.open(path), SPEC.preprocessing.resize)
    assert np.array_equal(seeing.load(job, image), np.asarray(expected))
    assert seeing.load(job, image, len) == path.stat().st_size  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [None, b"no image"])
def test_an_image_that_can_no_longer_be_read_is_named(
    job: ImageJob, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "a.png"
    if content:
        path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        seeing.load(job, ChosenImage("1", str(path), "a", "v"))
    assert str(caught.value).startswith(f"dataset set: {path} can no longer be read: ")


def test_crops_go_through_the_network_as_many_at_a_time_as_fit(
    job: ImageJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Network:
        batch, threads = 2, 3

        def __call__(self, crops: list[Any]) -> dict[str, Any]:
            return {"l": np.array(crops)}

    monkeypatch.setattr(image_job, "extractor", lambda _: Network())
    found = [of["l"].tolist() for of in seeing.maps(job, list(range(14)))]  # type: ignore[arg-type]
    assert found == [[*range(6)], [*range(6, 12)], [12, 13]]


@pytest.mark.parametrize("axis", [1, 3])
def test_probabilities_are_the_softmax_of_the_means_over_space(axis: int) -> None:
    values = RNG.normal(scale=3, size=(4, 5, 2, 2)).astype(np.float32)  # [views, units, y, x]
    spec = replace(SPEC, layers=(Layer("classes", "", 5, "conv", axis),))
    found = seeing.probabilities(
        spec, ClassLayer("classes"), {"classes": np.moveaxis(values, 1, axis)}
    )
    expected = softmax(values.astype(float).mean((2, 3)), axis=1)
    np.testing.assert_allclose(np.stack(found), expected, rtol=1e-12)  # type: ignore[arg-type]


def test_without_a_classifier_no_view_has_probabilities() -> None:
    assert seeing.probabilities(SPEC, None, {"l": np.zeros((3, 2), np.float32)}) == [None] * 3


@pytest.mark.parametrize(("side", "size"), [(None, (17, 30)), (12, (12, 12))])
def test_pictures_are_exact_or_squares(side: int | None, size: tuple[int, int]) -> None:
    pixels = _pixels(30, 17)
    picture = Image.open(io.BytesIO(seeing.png(pixels, side)))
    assert (picture.format, picture.size) == ("PNG", size)
    if side is None:
        assert np.array_equal(np.asarray(picture), pixels)
    else:
        plain = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
        assert np.array_equal(np.asarray(picture), np.asarray(plain))
