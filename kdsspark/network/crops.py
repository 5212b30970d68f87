"""The views of an image that a network sees, cut from its pixels on the device that computes."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from kdsspark.config import Preprocessing
from kdsspark.network.sources.vision import resize

VIEWS: Final = {"center": 1, "ten": 10, "twelve": 12}
"""Views per image, by the configuration's ``crops``."""


def views(image: Tensor, crops: str, size: int) -> Tensor:
    """Cut uint8 [height, width, channels] into uint8 [views, channels, size, size].

    ``ten`` (paper section 3): the four corners (top left, top right, bottom left, bottom right)
    and the centre, then the same five of the mirrored image: torchvision's ``ten_crop``.
    ``center``: the centre. ``twelve`` (Azizpour et al.): the four corners, the centre and the
    whole image squashed to size x size (bilinear, antialiased), then the six mirrored.

    The result is a channels-last tensor. Raises ValueError for an image that is not uint8 with
    three channels, or with a side shorter than ``size`` pixels.
    """
    _check(image, size)
    if crops == "center":
        cut = [_five(image, size)[-1]]
    elif crops == "ten":
        cut = [*_five(image, size), *_five(image.flip(1), size)]
    else:
        cut = [*_five(image, size), _squashed(image, size)]
        cut += [view.flip(1) for view in cut]
    return torch.stack(cut).permute(0, 3, 1, 2)


def normalise(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 RGB [views, channels, height, width] -> float32, as the network was trained to see it.

    Channels are put into the network's order first. ``mean`` and ``std`` are in that order, for
    pixel values from 0 to ``scale``.
    """
    if preprocessing.channels == "bgr":
        pixels = pixels.flip(1)
    steps = 255 / preprocessing.scale  # of a pixel value per unit of mean and std
    mean, std = (
        # A copy that blocks would wait until a GPU has computed all that is queued.
        torch.tensor(values).mul_(steps).view(1, 3, 1, 1).to(pixels.device, non_blocking=True)
        for values in (preprocessing.mean, preprocessing.std)
    )
    return pixels.to(torch.float32).sub_(mean).div_(std)


def mirrored(image: Tensor, size: int) -> Tensor:
    """uint8 [height, width, channels] -> uint8 [image and mirror, channels, height, width].

    The crops of ``ten`` lie at :func:`five` of the image, then at :func:`five` of the mirror. The
    result is channels-last; raises like :func:`views`.
    """
    _check(image, size)
    return torch.stack([image, image.flip(1)]).permute(0, 3, 1, 2)


def five(height: int, width: int, size: int) -> tuple[tuple[int, int], ...]:
    """(top, left) of the four corners and the centre, in the order of :func:`views`."""
    bottom, right = height - size, width - size
    corners = (0, 0), (0, right), (bottom, 0), (bottom, right)
    # Halves are rounded to even, as torchvision does.
    return *corners, (round(bottom / 2), round(right / 2))


def places(crops: str, height: int, width: int, size: int) -> list[tuple[int, int, bool]]:
    """(top, left, mirrored) of each view of ``center`` or ``ten``, in the order of :func:`views`.

    ``top`` and ``left`` are pixels of the image, or of its mirror where the view is of that.
    """
    cut = five(height, width, size)
    if crops == "center":
        return [(*cut[-1], False)]
    return [(top, left, mirror) for mirror in (False, True) for top, left in cut]


def _check(image: Tensor, size: int) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != torch.uint8:
        raise ValueError(
            f"image must be uint8 [height, width, 3], got {image.dtype} {list(image.shape)}"
        )
    height, width, _ = image.shape
    if min(height, width) < size:
        raise ValueError(f"image must be at least {size} pixels a side, got {height} x {width}")


def _five(image: Tensor, size: int) -> list[Tensor]:
    corners = five(image.shape[0], image.shape[1], size)
    return [image[top : top + size, left : left + size] for top, left in corners]


def _squashed(image: Tensor, size: int) -> Tensor:
    squashed: Tensor = resize(image.permute(2, 0, 1), [size, size], antialias=True)
    return squashed.permute(1, 2, 0)
