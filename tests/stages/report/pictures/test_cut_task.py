"""Squares cut out of images, against Pillow; without Spark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdsspark.images import decoding
from kdsspark.output.names import Pair
from kdsspark.report.gallery.sprites import Sprites
from kdsspark.stages.report.pictures import cut_task
from kdsspark.stages.report.pictures.cut_task import Box, CutImages, OfImage, Square
from kdsspark.stages.report.pictures.picture import PictureFile
from tests.inprocess import task
from tests.studies import write_images

PAIR, OTHER = Pair("tiny", "set"), Pair("large", "set")
SHORT = {PAIR: 40, OTHER: 24}
PIXELS = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
GREY = cut_task._EDGE


@pytest.fixture(autouse=True)
def _task() -> Iterator[None]:
    with task():
        yield


@pytest.fixture(autouse=True)
def _without_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sprites, "encoded", lambda self: np.asarray(self._canvas))


def cut(pixels: np.ndarray, *args: Any) -> np.ndarray:
    return np.asarray(cut_task.cut(Image.fromarray(pixels), *args))


def plain(pixels: np.ndarray, box: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    shrinks = size[0] < box[2] - box[0]
    way = Image.Resampling.HAMMING if shrinks else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize(size, way, box))


def test_a_square_box_is_resized_as_by_pillow() -> None:
    box = 30, 10, 70, 50
    assert (cut(PIXELS, box, 40) == PIXELS[10:50, 30:70]).all()
    for side in (16, 40, 64):
        found = cut(PIXELS, box, side)
        assert found.dtype == np.uint8
        assert (found == plain(PIXELS, box, (side, side))).all()


def test_without_a_box_it_is_the_middle() -> None:
    assert (cut(PIXELS, None, 60) == PIXELS[:, 15:75]).all()
    upright = PIXELS.transpose(1, 0, 2)
    assert (cut(upright, None, 60) == upright[15:75]).all()


@pytest.mark.parametrize(
    ("box", "size", "at"),
    [
        ((0, 10, 20, 50), (20, 40), (10, 0)),  # that the left border has cut
        ((30, 0, 70, 10), (40, 10), (0, 15)),
        ((-20, 10, 20, 50), (20, 40), (10, 0)),  # that reaches beyond it
    ],
)
def test_a_cut_box_keeps_its_shape_beside_grey(
    box: tuple[int, int, int, int], size: tuple[int, int], at: tuple[int, int]
) -> None:
    found = cut(PIXELS, box, 40)
    inside = np.zeros((40, 40), bool)
    (x, y), (width, height) = at, size
    inside[y : y + height, x : x + width] = True
    x0, y0, x1, y1 = max(0, box[0]), max(0, box[1]), box[2], box[3]
    assert (found[inside].reshape(height, width, 3) == PIXELS[y0:y1, x0:x1]).all()
    assert (found[~inside] == GREY).all()


def test_a_large_box_is_halved_first() -> None:
    """Which nobody sees: the mean colours of its quarters are those of Pillow."""
    smooth = np.kron(PIXELS[:40, :40], np.ones((6, 6, 1), np.uint8))
    found = cut(smooth, (0, 0, 240, 240), 20).astype(float)
    plainly = plain(smooth, (0, 0, 240, 240), (20, 20)).astype(float)
    assert np.abs(found - plainly).mean() < 4


def test_few_pixels_stay_squares() -> None:
    """A patch of the first layer: its pixels are not blurred."""
    found = cut(PIXELS, (4, 5, 7, 8), 60)
    assert (found == PIXELS[5:8, 4:7].repeat(20, axis=0).repeat(20, axis=1)).all()


@pytest.mark.parametrize("short", [30, 90])
@pytest.mark.parametrize("box", [(2, 3, 10, 14), (0, 5, 28, 30), (4, 4, 7, 7), None])
def test_a_box_of_the_resized_image_is_cut_out_of_the_stored_one(
    short: int, box: Box | None
) -> None:
    """It is what the resized image has there, up to rounding."""
    smooth = Image.fromarray(PIXELS[:12, :18]).resize((90, 60), Image.Resampling.BICUBIC)
    resized = smooth.resize((short * 3 // 2, short), Image.Resampling.BILINEAR)
    found = cut(np.asarray(smooth), box, 24, 60 / short).astype(float)
    expected = cut(np.asarray(resized), box, 24).astype(float)
    assert np.abs(found - expected).mean() < 6


@pytest.fixture(scope="module")
def uris(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("images")
    write_images(folder, {"a": 4})
    (folder / "a" / "001.png").write_bytes(b"broken")
    (folder / "a" / "002.png").unlink()
    return [str(folder / "a" / f"{i:03d}.png") for i in range(4)]


def test_all_that_is_cut_out_of_readable_images(uris: list[str]) -> None:
    whole, boxes = PictureFile("whole", 8, 20, False), PictureFile("box", 4, 12, True)
    box = (1, 2, 21, 22)
    jobs = [
        OfImage(
            uri,
            (Square((whole, n), None), Square((boxes, n), box), Square((whole, n + 4), box)),
        )
        for n, uri in enumerate(uris)
    ]
    for pair, short in SHORT.items():
        (found,) = CutImages(SHORT, 30.0)(pair, jobs)
        want = {picture.path: Sprites(*picture[1:]) for picture in (whole, boxes)}
        for n in (0, 3):
            image = Image.open(uris[n])
            scale = min(image.size) / short
            want["whole"].put(n, cut_task.cut(image, None, 20, scale))
            want["whole"].put(n + 4, cut_task.cut(image, box, 20, scale))
            want["box"].put(n, cut_task.cut(image, box, 12, scale))
        assert found.keys() == want.keys()
        for name, content in found.items():
            assert (content == np.asarray(want[name].encoded())).all()


def test_nothing_is_drawn_of_unreadable_images(uris: list[str]) -> None:
    jobs = [OfImage(uris[1], (Square((PictureFile("strip", 1, 8, False), 0), None),))]
    assert list(CutImages(SHORT, 30.0)(PAIR, jobs)) == [{}]


def test_an_image_is_read_once(uris: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    reads, plain_read = [], decoding.read
    monkeypatch.setattr(decoding, "read", lambda *a: (reads.append(a[0]), plain_read(*a))[1])
    picture = PictureFile("strip", 5, 8, in_rows=False)
    jobs = [OfImage(uris[0], tuple(Square((picture, n), None) for n in range(5)))]
    (found,) = CutImages(SHORT, 30.0)(PAIR, jobs)
    assert (len(found), len(reads)) == (1, 1)


def test_nothing_to_do() -> None:
    assert list(CutImages(SHORT, 30.0)(PAIR, [])) == [{}]
