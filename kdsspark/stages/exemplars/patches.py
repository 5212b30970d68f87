"""Where the patch of a maximum lies in the resized image (arithmetic on arrays).

The patch is the receptive field of a place of the map, cut to the crop (method: Zeiler & Fergus
2014, figure 2; paper figures 2 to 4 and 7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kdsspark.network.spec import Layer, NetworkSpec

if TYPE_CHECKING:
    from kdsspark.network.receptive_fields import Field, Whole

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Fields:
    """The receptive field and the number of units of each layer, for crops of ``crop`` pixels."""

    crop: int
    of_layers: Sequence[tuple[Field | Whole, int]]

    def boxes(self, y: Ints, x: Ints) -> npt.NDArray[np.int32]:
        """Int32 [units, 4] x0, y0, x1, y1 in the crop, of a place of each unit's map [units]."""
        from kdsspark.network.receptive_fields import box  # torch, which the driver does without

        found, first = np.empty((len(y), 4), np.int32), 0
        for field, units in self.of_layers:
            own = slice(first, first + units)
            edges = box(field, y[own], x[own], self.crop, self.crop)
            for column, edge in enumerate(edges):
                found[own, column] = edge
            first += units
        return found


@cache
def of_network(spec: NetworkSpec) -> Fields:
    """The fields of all units, in the order of the embedding (executor: imports torch)."""
    from kdsspark.network.architectures import skeleton
    from kdsspark.network.receptive_fields import receptive_fields

    crop = spec.preprocessing.crop
    model = skeleton(spec.architecture, crop, spec.settings)
    return of_layers(spec.layers, receptive_fields(model, spec.layers, spec.activation, crop), crop)


def of_layers(layers: Sequence[Layer], fields: Mapping[str, Field | Whole], crop: int) -> Fields:
    """The fields of all units, from those of the layers."""
    return Fields(crop, [(fields[layer.name], layer.units) for layer in layers])


def in_image(
    boxes: npt.NDArray[np.int32],
    view: Ints,
    places: Sequence[tuple[int, int, bool]],
    width: int,
) -> npt.NDArray[np.int32]:
    """Boxes [units, 4] of crops as boxes of the resized image, which is ``width`` pixels wide.

    ``view`` [units] says which crop, ``places`` where each lies (:func:`crops.places`). In a
    mirrored crop left and right change sides.
    """
    top, left, mirrored = np.array(places, np.int32)[view].T
    x0, x1 = boxes[:, 0] + left, boxes[:, 2] + left
    flipped = mirrored.astype(bool)
    return np.stack(
        [
            np.where(flipped, width - x1, x0),
            boxes[:, 1] + top,
            np.where(flipped, width - x0, x1),
            boxes[:, 3] + top,
        ],
        axis=-1,
    ).astype(np.int32)
