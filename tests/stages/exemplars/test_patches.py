"""Patches against the receptive fields of single places, and against pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as F  # noqa: N812

from kdsspark.config import Preprocessing
from kdsspark.network import crops
from kdsspark.network.activations import inspect
from kdsspark.network.architectures import skeleton
from kdsspark.network.layer_tables import layer_table
from kdsspark.network.receptive_fields import Axis, Field, Whole, box, receptive_fields
from kdsspark.network.spec import Layer, NetworkSpec
from kdsspark.stages.exemplars import patches

SPECS: dict[str, tuple[int, Mapping[str, str] | None]] = {
    "vgg16": (64, None),
    "squeezenet1_1": (64, {"conv1": "features.0", "fire9": "features.12"}),
    "resnet18": (64, {"layer1": "layer1.0", "layer4": "layer4", "fc": "fc"}),
    "vit_b_32": (64, {"conv_proj": "conv_proj", "block1": "encoder.layers.encoder_layer_1"}),
    "swin_t": (64, {"patches": "features.0", "stage1": "features.1"}),
}


def spec_of(architecture: str) -> NetworkSpec:
    crop, table = SPECS[architecture]
    layers = inspect(
        skeleton(architecture, crop), layer_table(architecture, table), "post_relu", crop
    )
    return NetworkSpec(
        name="net",
        architecture=architecture,
        layers=layers,
        activation="post_relu",
        pooling="peak",
        crops="ten",
        preprocessing=Preprocessing(resize=crop + 8, crop=crop),
        precision="float32",
        weights="random",
        weights_digest="",
    )


@pytest.mark.parametrize("architecture", SPECS)
def test_the_box_of_each_unit_is_that_of_its_layer(architecture: str) -> None:
    spec, (crop, _) = spec_of(architecture), SPECS[architecture]
    one_by_one = receptive_fields(skeleton(architecture, crop), spec.layers, spec.activation, crop)
    units = [layer.name for layer in spec.layers for _ in range(layer.units)]
    rng = np.random.default_rng(0)
    y, x = rng.integers(0, 12, (2, len(units)), np.int32)  # some beyond the map, where it ends
    found = patches.of_network(spec).boxes(y, x)
    expected = [
        box(one_by_one[layer], *place, crop, crop)
        for layer, place in zip(units, zip(y.tolist(), x.tolist(), strict=True), strict=True)
    ]
    assert found.tolist() == [list(b) for b in expected]


def test_where_there_is_no_map_the_box_is_the_crop() -> None:
    layers = [Layer("fc", "", 2, "fc", 1), Layer("conv", "", 1, "conv", 1)]
    fields = {"fc": Whole("it is linear"), "conv": Field(Axis(3, 2, -1, 9), Axis(5, 2, -2, 8))}
    found = patches.of_layers(layers, fields, 10)
    y, x = np.array([-1, -1, 3], np.int32), np.array([-1, -1, 2], np.int32)
    assert found.boxes(y, x).tolist() == [[0, 0, 10, 10], [0, 0, 10, 10], [2, 5, 7, 8]]


@pytest.mark.parametrize("kind", ["center", "ten"])
@pytest.mark.parametrize(("height", "width"), [(9, 9), (9, 14), (15, 10)])
def test_patches_of_the_image_are_those_of_the_views(kind: str, height: int, width: int) -> None:
    size = 9
    pixels = torch.arange(height * width * 3).remainder(251).to(torch.uint8)
    pixels = pixels.view(height, width, 3)
    views = crops.views(pixels, kind, size)
    places = crops.places(kind, height, width, size)
    boxes = np.array([[0, 0, 9, 9], [0, 0, 3, 4], [5, 2, 9, 9], [4, 4, 5, 5]], np.int32)
    for view in range(len(views)):
        of_units = np.full(len(boxes), view, np.int32)
        found = patches.in_image(boxes, of_units, places, width)
        for in_view, (x0, y0, x1, y1) in zip(boxes.tolist(), found.tolist(), strict=True):
            left, top, right, bottom = in_view
            expected = views[view, :, top:bottom, left:right]
            cut = pixels[y0:y1, x0:x1].permute(2, 0, 1)
            assert torch.equal(F.hflip(cut) if view >= 5 else cut, expected)
