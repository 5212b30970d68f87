"""Projections of maxima, image by image, without Spark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import ten_crop

from kdsspark.config import Embed, Network
from kdsspark.engine import gpus
from kdsspark.images import decoding
from kdsspark.network.projections import Projector
from kdsspark.network.weights import prepare
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.report.gallery.sprites import Sprites
from kdsspark.stages.embed.image_job import ImageJob
from kdsspark.stages.report.pictures import project_task
from kdsspark.stages.report.pictures.cut_task import OfImage, cut
from kdsspark.stages.report.pictures.picture import PictureFile, Place
from kdsspark.stages.report.pictures.project_task import (
    Projected,
    ProjectImages,
    shown,
    tile,
)
from tests.inprocess import task
from tests.studies import NETWORK, write_images

PAIR = Pair("tiny", "set")
CROP, RESIZED = 32, 40


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> ImageJob:
    """Of ten crops, of which five are mirrored."""
    folder = tmp_path_factory.mktemp("projected")
    spec = prepare(Network(**NETWORK), folder / "tiny.safetensors")
    spec = replace(spec, pooling="peak", crops="ten")
    return ImageJob(Output.at(str(folder)), PAIR, spec, "tiny.safetensors", Embed())


@pytest.fixture(scope="module")
def uris(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("images")
    write_images(folder, {"a": 3})
    (folder / "a" / "001.png").write_bytes(b"broken")
    return sorted(str(path) for path in folder.rglob("*.png"))


@pytest.fixture(autouse=True)
def _task() -> Iterator[None]:
    with task():
        yield


def at(name: str) -> Place:
    """The place in a picture of that name."""
    return PictureFile(name, 1, 24, in_rows=False), 0


@pytest.fixture(autouse=True)
def _without_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sprites, "encoded", lambda self: np.asarray(self._canvas))


def run(job: ImageJob, jobs: list[OfImage[Projected]]) -> dict[str, npt.NDArray[np.uint8]]:
    (files,) = ProjectImages({PAIR: job})(PAIR, jobs)
    return files  # type: ignore[return-value]


def in_image(job: ImageJob, uri: str, wanted: Projected) -> npt.NDArray[np.float32]:
    """The projection [3, height, width] of a maximum, each value where its pixel is."""
    pixels = decoding.decode(Path(uri).read_bytes(), RESIZED)
    height, width, _ = pixels.shape
    numbers = torch.arange(height * width).view(1, height, width)
    crop = ten_crop(torch.tensor(pixels).permute(2, 0, 1), CROP)[wanted.view]
    places = [wanted.place] if wanted.place else None
    projector = Projector.load(job.spec, job.output.path(job.weights))
    image = crop.permute(1, 2, 0).numpy()
    (projection,) = projector([image], wanted.layer, [wanted.unit], places)
    result = np.zeros((3, height * width), np.float32)
    result[:, ten_crop(numbers, CROP)[wanted.view].flatten().numpy()] = projection.reshape(3, -1)
    return result.reshape(3, height, width)


def patch(uri: str, n: int, view: int) -> Projected:
    """One of several units of both layers, with a patch inside its crop."""
    layer, unit = ("conv1", n % 5) if n % 2 else ("fire4", 10 * n)
    height, width = decoding.decode(Path(uri).read_bytes(), RESIZED).shape[:2]
    numbers = torch.arange(height * width).view(1, height, width)
    rows, columns = np.divmod(ten_crop(numbers, CROP)[view][0, 3:25, 2:19].numpy(), width)
    box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return Projected(at(f"{uri} {n}"), layer, unit, (1, 2), view, tuple(map(int, box)))


@pytest.mark.parametrize("at_once", [2, 64])
def test_every_view_is_projected_to_its_place_in_the_image(
    job: ImageJob, uris: list[str], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(project_task, "_AT_ONCE", at_once)
    read = [
        OfImage(uri, tuple(patch(uri, n, view) for n, view in enumerate((0, 3, 4, 5, 6, 9))))
        for uri in (uris[0], uris[2])
    ]
    broken = OfImage(uris[1], (read[0].wanted[0]._replace(at=at("broken")),))
    found = run(job, [read[0], broken, read[1]])
    assert found.keys() == {wanted.at[0].path for j in read for wanted in j.wanted}
    drawn = 0
    for j in read:
        for wanted in j.wanted:
            x0, y0, x1, y1 = wanted.box
            expected = shown(in_image(job, j.uri, wanted), wanted.box)
            expected = cut(Image.fromarray(expected), (0, 0, x1 - x0, y1 - y0), 24)
            tile = found[wanted.at[0].path]
            assert tile.shape == (24, 24, 3)
            np.testing.assert_allclose(tile.astype(int), np.asarray(expected), atol=1)
            drawn += bool(np.ptp(np.asarray(expected)) > 100)
    assert drawn > len(found) / 2


def test_an_image_is_read_once_and_the_gpu_is_left(
    job: ImageJob, uris: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, released = [], []
    plain, release = decoding.read, gpus.release
    monkeypatch.setattr(decoding, "read", lambda *args: (reads.append(args[0]), plain(*args))[1])
    monkeypatch.setattr(gpus, "release", lambda: (released.append(1), release()))
    run(job, [OfImage(uris[0], tuple(patch(uris[0], n, 0) for n in range(6)))])
    assert len(reads) == 1
    assert released == [1]


def test_nothing_to_do(job: ImageJob) -> None:
    assert run(job, []) == {}


def test_a_picture_is_stretched_by_its_own_values_around_grey() -> None:
    projection = np.full((3, 30, 30), 1000, np.float32)  # what lies outside the box
    projection[:, 5:25, 4:24] = 0
    projection[0, 5, 4], projection[1, 5, 4], projection[2, 24, 23] = 4, -2, 2
    box = 4, 5, 24, 25
    found = shown(projection, box)  # 3 of 1200 values are not 0
    assert found.dtype == np.uint8
    assert found[0, 0].tolist() == [255, 64, 128]
    assert found[19, 19].tolist() == [128, 128, 191]
    assert (found == 128).sum() == 1197
    projection[:, 5:25, 4:24] = np.linspace(-1, 1, 1200).reshape(3, 20, 20)
    projection[0, 5, 4] = -50  # one of the 0.5 % that are cut off
    found = shown(projection, box).astype(float)
    assert (found == 0).sum() + (found == 255).sum() in range(6, 14)
    inner = projection[:, 5:25, 4:24].transpose(1, 2, 0)
    np.testing.assert_allclose(found, np.clip(127.5 + 127.5 * inner / 0.995, 0, 255), atol=1)


def test_nothing_projected_is_grey_and_parts_beyond_a_border_are_light() -> None:
    projection = np.zeros((3, 8, 8), np.float32)
    assert (shown(projection, (0, 0, 8, 8)) == 128).all()
    projection[:] = 1
    found = np.asarray(tile(projection, (0, 2, 4, 8), 12))  # a patch that the border has cut
    assert found.shape == (12, 12, 3)
    assert (found[:, 2:10] == 255).all()
    assert (found[:, :2] == 228).all()
    assert (found[:, 10:] == 228).all()
