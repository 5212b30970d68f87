"""Receptive fields as numbers, and how windows and branches change them.

Along one axis, location i of a map sees the pixels start + stride * i, ..., start + stride * i +
size - 1, except those beyond the border. Windows with kernel k, dilation d, stride s and padding p
turn size, stride and start into

    size + stride * (k - 1) * d,    stride * s,    start - stride * p

(Araujo et al. 2019, "Computing receptive fields of convolutional neural networks").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import nn

Places = int | npt.NDArray[np.int32]
"""One number, or an array of them."""


class Window(NamedTuple):
    """What a convolution or pooling reads along one axis, in locations of its input."""

    kernel: int
    stride: int
    padding: int
    dilation: int


@dataclass(frozen=True)
class Axis:
    """The field along one axis, in pixels of the crop.

    Location i sees ``start + stride * i`` up to ``start + stride * i + size``, the end excluded,
    as far as that lies between 0 and ``stop``.
    """

    size: int
    stride: int
    start: int  # negative where padding precedes the first pixel
    stop: int  # the end, excluded, of the pixels that any location sees

    def span(self, location: Places) -> tuple[Places, Places]:
        """The pixels that locations see, the end excluded; none if one sees only padding."""
        start = self.start + self.stride * location
        first = np.clip(start, 0, self.stop)
        return first, np.clip(start + self.size, first, self.stop)


@dataclass(frozen=True)
class Field:
    """The field of a location (y, x) of a map."""

    y: Axis
    x: Axis


@dataclass(frozen=True)
class Whole:
    """The whole crop, because locations were mixed, or because their place is not known."""

    reason: str  # one sentence, which names the operation


def box(
    field: Field | Whole, y: Places, x: Places, height: int, width: int
) -> tuple[Places, Places, Places, Places]:
    """The pixels (x0, y0, x1, y1) that locations (y, x) see, with the ends x1 and y1 excluded.

    The same four numbers for all where the field is the whole crop. ``height`` and ``width`` are
    those of the crop. The box lies within the crop.
    """
    if isinstance(field, Whole):
        return 0, 0, width, height
    y0, y1 = field.y.span(y)
    x0, x1 = field.x.span(x)
    return x0, y0, x1, y1


def windows(module: nn.Module | None) -> tuple[Window, Window] | None:
    """The windows (y, x) of a convolution or pooling; None for any other module.

    A convolution must pad with zeros, by numbers.
    """
    if isinstance(module, nn.Conv2d):
        plain = module.padding_mode == "zeros" and not isinstance(module.padding, str)
        return windows_of(vars(module)) if plain else None
    return windows_of(vars(module)) if isinstance(module, nn.MaxPool2d | nn.AvgPool2d) else None


def windows_of(settings: Mapping[str, Any]) -> tuple[Window, Window]:
    """The windows (y, x) by the attributes of a module or the arguments of a function.

    ``ceil_mode`` only adds a location, which the shape of the output shows.
    """
    kernel = settings["kernel_size"]
    stride = settings.get("stride") or kernel
    given = (kernel, stride, settings.get("padding", 0), settings.get("dilation", 1))
    y, x = zip(*((v, v) if isinstance(v, int) else v for v in given), strict=True)
    return Window(*y), Window(*x)


def adaptive_window(before: int, after: int) -> Window | None:
    """The window that is the same at all locations; None if they differ.

    Location i reads from the floor of i * before / after to the ceiling of (i + 1) * before /
    after, as torch's adaptive poolings do.
    """
    starts = [i * before // after for i in range(after)]
    stops = [-(-(i + 1) * before // after) for i in range(after)]
    kernel, stride = stops[0], starts[-1] // max(after - 1, 1)
    regular = starts == [stride * i for i in range(after)]
    regular = regular and stops == [start + kernel for start in starts]
    return Window(kernel, stride, 0, 1) if regular else None


def slide(axis: Axis, window: Window, locations: int) -> Axis:
    """The field behind a window that is moved to so many ``locations``."""
    size = axis.size + axis.stride * (window.kernel - 1) * window.dilation
    stride = axis.stride * window.stride
    start = axis.start - axis.stride * window.padding
    stop = start + stride * (locations - 1) + size
    return Axis(size, stride, start, min(stop, axis.stop))


def union(axes: Sequence[Axis]) -> Axis | None:
    """The smallest field that contains those of all branches; None if their strides differ."""
    if len({axis.stride for axis in axes}) > 1:
        return None
    start = min(axis.start for axis in axes)
    size = max(axis.start + axis.size for axis in axes) - start
    return Axis(size, axes[0].stride, start, max(axis.stop for axis in axes))
