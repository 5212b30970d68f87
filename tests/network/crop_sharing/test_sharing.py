from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn
from torchvision.transforms import functional as F  # noqa: N812

from kdsspark.config import Preprocessing
from kdsspark.network.activations import inspect, read
from kdsspark.network.architectures import skeleton
from kdsspark.network.crop_sharing import overlap, sharing
from kdsspark.network.crop_sharing.sharing import Shared, split
from kdsspark.network.layers.tables import BUILT_IN, layer_table
from kdsspark.network.spec import NetworkSpec
from tests.network.crop_sharing.networks import EVERY, tiny

CROP = 32


def reader_and_spec(
    model: nn.Module, table: dict[str, str], activation: str = "post_relu", **keys: Any
) -> tuple[fx.GraphModule, NetworkSpec]:
    layers = inspect(tiny().to("meta"), table, activation, CROP)
    preprocessing = Preprocessing(resize=CROP, crop=CROP)
    fixed: dict[str, Any] = {"name": "n", "architecture": "tiny", "activation": activation}
    fixed |= {"precision": "float32", "weights": "", "weights_digest": ""}
    fixed |= {"pooling": "mean", "crops": "ten"} | keys
    spec = NetworkSpec(**fixed, layers=layers, preprocessing=preprocessing)
    return read(model, layers, activation, "mean", CROP), spec


def share(reader: fx.GraphModule, spec: NetworkSpec) -> Shared:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "_SIDE_PER_STRIP", 2)  # although the crops are small
        shared = split(reader, spec)
    assert shared is not None
    return shared


def photograph(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1000 * height + width)
    return torch.randn(3, height, width, generator=generator)


def together(shared: Shared, *photographs: Tensor) -> list[Tensor]:
    """[images, units] per layer."""
    both = [torch.stack([image, F.hflip(image)]) for image in photographs]
    with torch.inference_mode():
        return shared([pair.to(memory_format=torch.channels_last) for pair in both])


def separately(reader: fx.GraphModule, image: Tensor) -> list[Tensor]:
    """[units] per layer: the mean over the features of torchvision's ten crops."""
    with torch.inference_mode():
        return [output.mean(0) for output in reader(torch.stack(F.ten_crop(image, [CROP, CROP])))]


def assert_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    for features, reference in zip(found, expected, strict=True):
        assert reference.std() > 0
        torch.testing.assert_close(features, reference, rtol=1e-5, atol=1e-6)


@cache
def tiny_reader() -> tuple[fx.GraphModule, NetworkSpec]:
    return reader_and_spec(tiny(), EVERY)


@cache
def tiny_shared() -> Shared:
    return share(*tiny_reader())


@settings(max_examples=40)
@given(st.integers(CROP, 3 * CROP), st.integers(CROP, 3 * CROP))
def test_equals_ten_separate_crops(height: int, width: int) -> None:
    """Square, portrait, landscape, of odd and even sides, as small as a crop, and long."""
    assert len(tiny_shared().blocks) == 2
    image = photograph(height, width)
    assert_equal(
        [f[0] for f in together(tiny_shared(), image)], separately(tiny_reader()[0], image)
    )


def test_images_of_several_sizes_at_once() -> None:
    images = [photograph(CROP, CROP), photograph(37, 50), photograph(33, 300)]
    found = together(tiny_shared(), *images)
    for i, image in enumerate(images):
        assert_equal([f[i] for f in found], separately(tiny_reader()[0], image))


def test_an_image_with_infinite_values_does_not_change_its_neighbours() -> None:
    images = [photograph(37, 50), photograph(40, 300), photograph(45, 33)]
    images[1][:, 5, 100] = torch.inf  # a pixel that no crop has
    found = together(tiny_shared(), *images)
    for i, features in enumerate(zip(*found, strict=True)):
        assert all(values.isfinite().all() for values in features)
        assert_equal(list(features), separately(tiny_reader()[0], images[i]))
    images[1] = photograph(40, 300)
    for features, others in zip(found, together(tiny_shared(), *images), strict=True):
        assert torch.equal(features[::2], others[::2])


@pytest.mark.parametrize("size", [(64, 64), (300, 500)])
def test_long_sums_of_equal_values_keep_their_digits(size: tuple[int, int]) -> None:
    """A white background, say; added up pixel by pixel it would lose four digits."""
    maps = torch.full((1, 2, *size), 0.1)
    weights = torch.full((1, *size), 1 / 300_000)
    expected = float(weights[0, 0, 0]) * float(maps[0, 0, 0, 0]) * size[0] * size[1]
    assert sharing._sum(maps, weights).tolist() == pytest.approx([expected] * 2, rel=1e-5)


def test_ring_pixels_are_not_the_whole_images() -> None:
    """What the strips are for: without them every layer of the blocks would be off."""
    image = photograph(40, 50)
    with pytest.MonkeyPatch.context() as patch:
        none = overlap.Border(top=False, bottom=False, left=False, right=False)
        patch.setattr(overlap, "Border", lambda *_: none)
        found = [f[0] for f in together(tiny_shared(), image)]
    for features, reference in zip(found, separately(tiny_reader()[0], image), strict=True):
        assert (features - reference).abs().max() > 1e-4 * reference.abs().max()


@pytest.mark.parametrize(
    ("height", "width", "most"), [(36, 48, 0.65), (36, 36, 0.56), (32, 32, 0.2), (32, 300, 1.0)]
)
def test_pixels_computed_as_a_part_of_those_of_ten_crops(
    height: int, width: int, most: float
) -> None:
    pixels = 0

    def count(_: nn.Module, inputs: tuple[Tensor]) -> None:
        nonlocal pixels
        pixels += inputs[0][:, 0].numel()

    hook = tiny_shared().blocks[0].steps[0].module.register_forward_pre_hook(count)
    together(tiny_shared(), photograph(height, width))
    hook.remove()
    assert pixels <= most * 10 * CROP**2


@pytest.mark.parametrize(
    ("table", "activation", "blocks", "head"),
    [
        ({"conv1": "f.0", "conv2": "f.2"}, "post_relu", 0, False),
        ({"conv1": "f.0", "conv4": "f.9"}, "post_relu", 1, False),
        ({"conv5": "f.12"}, "post_relu", 2, False),
        ({"fc7": "c.3", "conv1": "f.0"}, "post_relu", 2, True),
        ({"conv1": "f.0", "relu1": "f.1", "again": "f.0", "conv3": "f.6"}, "pre_relu", 1, False),
        ({"norm": "f.3", "fc6": "c.0"}, "pre_relu", 2, True),
        ({"pool1": "f.5", "fc6": "c.0"}, "post_relu", 1, True),
        ({"pool2": "f.11", "flat": "f.14", "drop": "c.2"}, "post_relu", 2, True),
    ],
)
def test_any_layers(table: dict[str, str], activation: str, blocks: int, head: bool) -> None:
    reader, spec = reader_and_spec(tiny(), table, activation)
    image = photograph(37, 51)
    if not blocks:
        assert split(reader, spec) is None
        return
    shared = share(reader, spec)
    assert (len(shared.blocks), shared.head is not None) == (blocks, head)
    assert_equal([f[0] for f in together(shared, image)], separately(reader, image))


def test_bfloat16_is_rounded_as_separate_crops_are() -> None:
    reader, spec = reader_and_spec(tiny().to(torch.bfloat16), EVERY)
    image = photograph(41, 52).to(torch.bfloat16)
    found = together(share(reader, spec), image)
    for features, reference in zip(found, separately(reader, image), strict=True):
        assert features.dtype == torch.float32
        torch.testing.assert_close(
            features[0], reference, rtol=0, atol=4e-3 * float(reference.max())
        )


@pytest.mark.parametrize("keys", [{"crops": "center"}, {"crops": "twelve"}, {"pooling": "max"}])
def test_only_means_over_ten_crops_are_shared(keys: dict[str, str]) -> None:
    assert split(*reader_and_spec(tiny(), EVERY, **keys)) is None


@pytest.mark.parametrize("architecture", [*BUILT_IN, "squeezenet1_1", "resnet18", "densenet121"])
def test_vgg_shares_two_blocks_at_224_pixels(architecture: str) -> None:
    model = skeleton(architecture, 224)
    last = {"last": list(dict(model.named_modules()))[-1]}
    table = layer_table(architecture, None if architecture in BUILT_IN else last)
    layers = inspect(model, table, "post_relu", 224)
    keys = {"architecture": architecture, "layers": layers, "preprocessing": Preprocessing()}
    shared = split(
        read(model, layers, "post_relu", "mean", 224), dataclasses.replace(tiny_reader()[1], **keys)
    )
    assert (len(shared.blocks) if shared else 0) == (2 if "vgg" in architecture else 0)
