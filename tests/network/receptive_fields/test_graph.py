from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision import models

from kdsspark.errors import ConfigError
from kdsspark.network.activations import inspect
from kdsspark.network.architectures import initialised, skeleton
from kdsspark.network.layers.tables import layer_table
from kdsspark.network.receptive_fields import Axis, Field, Whole, box, receptive_fields
from kdsspark.network.spec import Layer
from tests.marks import all_but, left_out

VGG16 = [(3, 5), (10, 14), (24, 32, 40), (60, 76, 92), (132, 164, 196)]
VGG19 = [(3, 5), (10, 14), (24, 32, 40, 48), (68, 84, 100, 116), (156, 188, 220, 252)]


def fields(
    model: nn.Module, paths: Sequence[str], crop: int, axis: int = 1
) -> dict[str, Field | Whole]:
    """Of modules that number their units along ``axis``."""
    on_meta = next(model.parameters()).is_meta
    empty = model if on_meta else copy.deepcopy(model).float().to("meta")
    layers = [Layer(path, path, 1, "conv", axis) for path in paths]
    return receptive_fields(empty, layers, "post_relu", crop)


@pytest.mark.parametrize(("architecture", "blocks"), [("vgg16", VGG16), ("vgg19", VGG19)])
def test_convolutions_of_vgg_see_what_is_published(
    architecture: str, blocks: list[tuple[int, ...]]
) -> None:
    table = layer_table(architecture, None)
    model = skeleton(architecture, 224)
    layers = inspect(model, table, "post_relu", 224)
    found = receptive_fields(model, layers, "post_relu", 224)
    expected = {
        f"conv{block}_{i}": (size, 2 ** (block - 1))
        for block, sizes in enumerate(blocks, start=1)
        for i, size in enumerate(sizes, start=1)
    }
    assert list(found) == [*expected, "fc6", "fc7"]
    for name, numbers in expected.items():
        field = found[name]
        assert isinstance(field, Field)
        assert field.y == field.x
        assert (field.y.size, field.y.stride) == numbers
    assert found["fc6"] == Whole("flatten mixes the locations of the map")


@pytest.mark.parametrize(
    ("architecture", "path", "numbers"),
    [  # Araujo et al. 2019, and method.md for SqueezeNet
        ("alexnet", "features.12", (195, 32)),
        ("vgg16", "features.30", (212, 32)),
        ("inception_v3", "Mixed_7c", (1311, 32)),
        ("squeezenet1_1", "features.12.expand1x1", (175, 16)),
        ("squeezenet1_1", "features.12.expand3x3", (207, 16)),
        ("squeezenet1_1", "features.12", (207, 16)),
        ("vit_b_16", "conv_proj", (16, 16)),
    ],
)
def test_other_published_fields(architecture: str, path: str, numbers: tuple[int, int]) -> None:
    field = fields(skeleton(architecture, 224), [path], 224)[path]
    assert isinstance(field, Field)
    assert (field.y.size, field.y.stride) == numbers


def positive(model: nn.Module) -> nn.Module:
    """All weights positive, such that values keep their size from layer to layer."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.fill_(1 / parameter[0].numel())
            else:
                parameter.fill_(float(name.endswith("weight")))
    return model


def thin_vgg(letter: str) -> nn.Module:
    """A VGG of two channels: its fields are those of the wide one."""
    cfg = [v if v == "M" else 2 for v in models.vgg.cfgs[letter]]
    return positive(nn.Sequential(models.vgg.make_layers(cfg)))


def built(architecture: str, crop: int) -> nn.Module:
    return positive(initialised(architecture, crop, seed=0))


def thin_vit() -> nn.Module:
    torch.manual_seed(0)
    return models.VisionTransformer(32, 8, 2, 2, hidden_dim=8, mlp_dim=16)


def thin_swin() -> nn.Module:
    torch.manual_seed(0)
    return models.SwinTransformer([4, 4], 8, [2, 2], [2, 2], [4, 4])


def thin_convnext() -> nn.Module:
    torch.manual_seed(0)
    config = models.convnext.CNBlockConfig
    return models.ConvNeXt([config(6, 8, 1), config(8, None, 2)], layer_scale=1.0)


def mean_instead_of_maximum(
    maps: Tensor,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """Over the same windows, because a maximum passes its gradient on to one value of each."""
    assert (dilation, return_indices) == (1, False)
    return F.avg_pool2d(maps, kernel_size, stride, padding, ceil_mode)


def run(model: nn.Module, paths: Sequence[str], crop: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Pixels, and what the modules return for them."""
    noise = torch.rand(1, 3, crop, crop, generator=torch.Generator().manual_seed(1))
    pixels = (noise + 0.5).to(next(model.parameters()).dtype).requires_grad_()
    kept: dict[str, Tensor] = {}
    hooks = [
        model.get_submodule(path).register_forward_hook(
            lambda *call, path=path: kept.update({path: call[2]})
        )
        for path in paths
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "max_pool2d", mean_instead_of_maximum)
        model(pixels)
    for hook in hooks:
        hook.remove()
    return pixels, kept


def seen(pixels: Tensor, values: Tensor) -> tuple[int, int, int, int]:
    """The box (x0, y0, x1, y1) of the pixels for which any value has a gradient."""
    (gradient,) = torch.autograd.grad(values.square().sum(), pixels, retain_graph=True)
    y, x = np.nonzero(gradient[0].abs().sum(0).numpy())
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


def check(model: nn.Module, paths: Sequence[str], crop: int, axis: int = 1) -> None:
    """The boxes of locations inside and at all borders are where the gradient is not zero."""
    found = fields(model, paths, crop, axis)
    pixels, outputs = run(model, paths, crop)
    for path, output in outputs.items():
        field = found[path]
        assert isinstance(field, Field)
        maps = output[0].movedim(axis - 1, 0)
        height, width = maps.shape[1:]
        places = [(0, 0), (height - 1, width - 1), (height // 2, width // 2)]
        places += [(0, width - 2), (height - 1, 1)] if height > 2 else []
        for y, x in places:
            expected = seen(pixels, maps[:, y, x])
            assert box(field, y, x, crop, crop) == expected, (path, y, x)


@pytest.mark.parametrize(
    ("build", "crop", "paths"),
    [
        (partial(thin_vgg, "D"), 230, ["0.0", "0.7", "0.14", "0.21", "0.28", "0.30"]),
        left_out(partial(thin_vgg, "E"), 270, ["0.2", "0.16", "0.25", "0.34"]),
        ("squeezenet1_1", 224, ["features.0", "features.5", "features.12.expand1x1"]),
        ("squeezenet1_1", 224, ["features.12", "classifier.1"]),
        left_out("squeezenet1_0", 120, ["features.4", "features.12"]),
        ("resnet18", 95, ["conv1", "layer1", "layer2.0.downsample.0", "layer2", "layer3.0"]),
        ("googlenet", 96, ["conv3", "inception3a", "inception4a.branch4.1", "inception4b"]),
        left_out("inception_v3", 107, ["Mixed_5b", "Mixed_6a", "Mixed_6b.branch7x7_2", "Mixed_7a"]),
        ("densenet121", 65, ["features.denseblock1.denselayer3", "features.transition1"]),
        ("shufflenet_v2_x0_5", 65, ["stage2.0", "stage2.2", "stage3.1", "conv5"]),
        left_out("mnasnet0_5", 65, ["layers.3", "layers.8", "layers.10"]),
        ("mobilenet_v3_large", 65, ["features.0", "features.2.block.0", "features.4.block.1"]),
    ],
)
def test_boxes_are_where_gradients_are_not_zero(
    build: str | Callable[[], nn.Module], crop: int, paths: list[str]
) -> None:
    model = built(build, crop) if isinstance(build, str) else build()
    check(model, paths, crop)


def test_boxes_of_maps_with_channels_last() -> None:
    model = thin_convnext().double().eval()
    check(model, ["features.0.0", "features.1.0.block.0", "features.1", "features.3"], 60)
    check(model, ["features.1.0.block.2", "features.3.0.block.5"], 60, axis=3)
    check(thin_swin().double().eval(), ["features.0"], 32, axis=3)


@pytest.mark.parametrize(
    ("build", "crop", "path", "location", "why"),
    [
        (thin_vit, 32, "encoder.layers.encoder_layer_0", (0, 3), "reshape mixes"),
        (thin_swin, 32, "features.1.0", (0, 1, 2), "shifted_window_attention mixes"),
        (thin_swin, 32, "features.2", (0, 0, 3), "shifted_window_attention mixes"),
        ("mobilenet_v3_small", 64, "features.1", (0, 0, 1, 1), r"AdaptiveAvgPool2d (features.1."),
        ("regnet_y_400mf", 64, "trunk_output.block1", (0, 0, 1, 1), "AdaptiveAvgPool2d (trunk"),
        ("resnet18", 64, "avgpool", (0, 0, 0, 0), "AdaptiveAvgPool2d (avgpool) mixes"),
        ("resnet18", 64, "fc", (0, 0), "AdaptiveAvgPool2d (avgpool) mixes"),
        ("shufflenet_v2_x0_5", 64, "fc", (0, 0), "mean mixes"),
    ],
)
def test_where_space_is_mixed_the_box_is_the_crop(
    build: str | Callable[[], nn.Module], crop: int, path: str, location: tuple[int, ...], why: str
) -> None:
    model = built(build, crop) if isinstance(build, str) else build().double().eval()
    field = fields(model, [path], crop)[path]
    assert isinstance(field, Whole)
    assert field.reason.startswith(why)
    assert box(field, location[-2], location[-1], crop, crop) == (0, 0, crop, crop)
    pixels, outputs = run(model, [path], crop)
    if not isinstance(model, models.SwinTransformer):  # its locations see only their windows
        assert seen(pixels, outputs[path][location]) == (0, 0, crop, crop)


def padded(kernel: int, padding: int, **settings: int | str) -> nn.Conv2d:
    return nn.Conv2d(3, 2, kernel, padding=padding, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "modules",
    [
        [nn.Conv2d(3, 2, (3, 5), stride=(2, 1), padding=(0, 2))],
        [nn.Conv2d(3, 2, 3, dilation=2), nn.Conv2d(2, 2, 3, stride=2, dilation=3)],
        [nn.AvgPool2d(3, 2, ceil_mode=True), padded(3, 1)],
        [nn.AvgPool2d(2), nn.AvgPool2d(3, 2, 1), padded(3, 1)],
        [padded(3, 0, stride=4), nn.Conv2d(2, 2, 3, padding=1)],  # leaves out the last pixels
        [padded(1, 0, stride=3)],
        [padded(3, 1), nn.AdaptiveAvgPool2d((10, 4))],  # from 20: windows of 2 and 5
        [padded(3, 1, stride=2), nn.AdaptiveAvgPool2d(9)],  # from 10: windows of 2, which overlap
        [padded(3, 1), nn.AdaptiveAvgPool2d(20)],
        [padded(20, 0), nn.AdaptiveAvgPool2d(3)],  # from 1
    ],
)
def test_windows(modules: list[nn.Module]) -> None:
    model = positive(nn.Sequential(*modules))
    check(model, [str(len(modules) - 1)], 20)


class Branches(nn.Module):
    """A narrow one, and a wide one that also sees the last pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = padded(1, 0, stride=2)
        self.wide = padded(3, 1, stride=2)
        self.read = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        read: Tensor = self.read(torch.cat([self.narrow(x), self.wide(x)], 1))
        return read


def test_branches_that_end_at_different_pixels() -> None:
    check(positive(Branches()), ["narrow", "wide", "read"], 8)


def test_a_dilated_window_that_meets_padding_sees_no_more_than_its_box() -> None:
    model = positive(nn.Sequential(padded(3, 3, dilation=2)))
    field = fields(model, ["0"], 20)["0"]
    pixels, outputs = run(model, ["0"], 20)
    for y in range(22):
        x0, y0, x1, y1 = seen(pixels, outputs["0"][0, :, y, 9])
        left, top, right, bottom = box(field, y, 9, 20, 20)
        assert (left, right) == (x0, x1)
        assert 0 <= y0 - top <= 1
        assert 0 <= bottom - y1 <= 1


def test_a_location_that_sees_only_padding_has_an_empty_box() -> None:
    field = fields(nn.Sequential(padded(1, 2)), ["0"], 8)["0"]
    boxes = [box(field, y, 4, 8, 8) for y in (0, 1, 2, 9, 10, 11)]
    assert [y1 - y0 for _, y0, _, y1 in boxes] == [0, 0, 1, 1, 0, 0]
    assert all(0 <= y0 <= y1 <= 8 for _, y0, _, y1 in boxes)


class Calls(nn.Module):
    """A convolution, and a function of its maps."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = padded(3, 1, stride=2)
        self.function = function
        self.read = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        read: Tensor = self.read(self.function(self.conv(x)))
        return read


KEPT = Field(Axis(3, 2, -1, 16), Axis(3, 2, -1, 16))


@pytest.mark.parametrize(
    ("function", "kept"),
    [
        (lambda x: x.reshape(1, 2, 1, 8, 8).permute(0, 2, 1, 3, 4).reshape(1, 2, 8, 8), True),
        (lambda x: x.permute((0, 2, 3, 1)).relu_().permute(0, 3, 1, 2), True),
        (lambda x: torch.permute(x, dims=(0, 2, -1, 1)).swapaxes(1, -1).swapaxes(2, 3), True),
        (lambda x: x.chunk(2, 1)[1] + 1, True),
        (lambda x: torch.cat([x, x], 1).view(1, 2, 2, 8, 8).transpose(1, -4).flatten(1, 2), True),
        (lambda x: torch.cat((x, x), dim=-3), True),
        (lambda x: F.avg_pool2d(x, 1, 1, 0, True), True),
        (lambda x: F.max_pool2d(x, kernel_size=1), True),
        (lambda x: x.transpose(2, 3), "its maps have another form"),
        (lambda x: x.reshape(1, 4, 4, 8), "reshape mixes"),
        (lambda x: x.view(1, 2, 8, 2, 4), "view mixes"),
        (lambda x: x.flatten(2), "flatten mixes"),
        (lambda x: x.chunk(2, 2)[1], "chunk mixes"),
        (lambda x: torch.cat((x, x), 3), "cat mixes"),
        (lambda x: F.layer_norm(x, (8, 8)), "layer_norm mixes"),
        (lambda x: x[:, :, 1:], "getitem is not known"),
        (lambda x: torch.roll(x, 1, 2), "roll is not known"),
        (lambda x: F.interpolate(x, scale_factor=2), "interpolate is not known"),
        (lambda x: x + x.permute(0, 1, 3, 2), "add combines maps of different forms"),
        (lambda x: F.avg_pool2d(x, (8, 1)) * x, "mul combines maps of different forms"),
        (lambda x: x + F.adaptive_avg_pool2d(F.avg_pool2d(x, 8), 8), "add combines maps of"),
        (lambda x: F.avg_pool2d(x.permute(0, 2, 3, 1), 1), "avg_pool2d mixes"),
        (lambda x: F.adaptive_avg_pool2d(x, 3), "adaptive_avg_pool2d has windows of different"),
    ],
)
def test_operations(function: Callable[[Tensor], Tensor], kept: bool | str) -> None:
    field = fields(Calls(function), ["read"], 16)["read"]
    if kept is True:
        assert field == KEPT
    else:
        assert isinstance(field, Whole)
        assert field.reason.startswith(str(kept))


@pytest.mark.parametrize(
    "module", [padded(3, 1, padding_mode="reflect"), nn.Conv2d(3, 2, 3, padding="same")]
)
def test_padding_whose_place_is_not_known(module: nn.Module) -> None:
    assert fields(nn.Sequential(module), ["0"], 16)["0"] == Whole(
        "Conv2d (0) pads with what is not known"
    )


def test_a_path_that_names_no_module() -> None:
    with pytest.raises(ConfigError, match=r"layers\.1: must be a module path of Sequential"):
        fields(nn.Sequential(padded(3, 1)), ["1"], 32)


# One of each family; its other members differ in depth and width.
FAMILIES = {
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "mnasnet0_5"),
    *("mobilenet_v2", "regnet_x_400mf", "resnet18", "resnext50_32x4d", "shufflenet_v2_x0_5"),
    *("squeezenet1_0", "squeezenet1_1", "swin_t", "vgg11", "vgg11_bn", "vit_b_16"),
}


@pytest.mark.parametrize("architecture", all_but(FAMILIES, models.list_models(module=models)))
def test_every_classification_model(architecture: str) -> None:
    model = skeleton(architecture, 224)
    modules = {p: m for p, m in model.named_modules() if "aux" not in p.lower() and "cpb" not in p}
    first = next(path for path, module in modules.items() if isinstance(module, nn.Conv2d))
    classifier = "classifier.1" if architecture.startswith("squeezenet") else [*modules][-1]
    found = fields(model, [first, classifier], 224)
    conv, field = modules[first], found[first]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(field, Field)
    expected = zip(conv.kernel_size, conv.stride, conv.padding, strict=True)
    axes = [(axis.size, axis.stride, -axis.start) for axis in (field.y, field.x)]
    assert axes == list(expected)
    assert isinstance(found[classifier], Field if architecture.startswith("squeezenet") else Whole)
