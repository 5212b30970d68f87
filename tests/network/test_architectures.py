from __future__ import annotations

import pytest
import torch
from torchvision import models

from kdsspark.config import Preprocessing
from kdsspark.errors import ConfigError
from kdsspark.network.architectures import (
    initialised,
    resolve_preprocessing,
    resolve_settings,
    skeleton,
)
from kdsspark.network.crops import normalise


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("vgg61", "architecture: must be .* got 'vgg61' .did you mean .*vgg16"),
        ("zzz", "got 'zzz'$"),
    ],
)
def test_unknown_names(architecture: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_settings(architecture)


def test_initialised_is_torchvisions_own_from_the_seed() -> None:
    torch.manual_seed(7)
    expected = models.squeezenet1_1().state_dict()
    before = torch.get_rng_state()
    state = initialised("squeezenet1_1", 224, 7).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in expected)
    other = initialised("squeezenet1_1", 224, 8).state_dict()
    assert not torch.equal(other["features.0.weight"], expected["features.0.weight"])


@pytest.mark.parametrize("architecture", ["resnet18", "regnet_x_400mf", "googlenet", "swin_t"])
def test_skeleton_has_the_shapes_and_no_values(architecture: str) -> None:
    model = skeleton(architecture, 224)
    assert not any(module.training for module in model.modules())
    state = model.state_dict()
    assert all(tensor.is_meta for tensor in state.values())
    shapes = {k: t.shape for k, t in initialised(architecture, 224, 0).state_dict().items()}
    assert {key: tensor.shape for key, tensor in state.items()} == shapes


def test_vision_transformers_take_the_crop() -> None:
    tokens = skeleton("vit_b_32", 96).get_parameter("encoder.pos_embedding").shape[1]
    assert tokens == 3 * 3 + 1
    with pytest.raises(ConfigError, match=r"preprocessing.crop: must fit vit_b_32, got 97"):
        skeleton("vit_b_32", 97)


def test_preprocessing_of_published_weights() -> None:
    named = resolve_preprocessing("resnet50", "IMAGENET1K_V2", None)
    assert (named.resize, named.crop) == (232, 224)
    assert named.interpolation == "bilinear"
    swin = resolve_preprocessing("swin_t", "IMAGENET1K_V1", None)
    assert (swin.resize, swin.interpolation) == (232, "bicubic")
    given = Preprocessing(interpolation="lanczos")
    assert resolve_preprocessing("swin_t", "DEFAULT", given).interpolation == "lanczos"
    ssd = resolve_preprocessing("vgg16", "IMAGENET1K_FEATURES", None)
    assert ssd.mean == (0.48235, 0.45882, 0.40784)
    assert ssd.std == (1 / 255, 1 / 255, 1 / 255)
    assert resolve_preprocessing("resnet50", "random", None) == Preprocessing()


def test_preprocessing_keys_that_are_given_win_over_the_weights_own() -> None:
    given = Preprocessing(crop=96)
    resolved = resolve_preprocessing("vgg16", "IMAGENET1K_FEATURES", given)
    assert resolved.crop == 96
    assert resolved.mean == (0.48235, 0.45882, 0.40784)
    with pytest.raises(ConfigError, match=r"preprocessing: crop must be at most resize \(232\)"):
        resolve_preprocessing("resnet50", "IMAGENET1K_V2", Preprocessing(crop=240))


@pytest.mark.parametrize("architecture", ["googlenet", "inception_v3"])
def test_weights_ported_from_tensorflow_see_what_torchvision_shows_them(architecture: str) -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3, 1).view(1, 3, 16, 16)
    preset = models.get_model_weights(architecture).DEFAULT.transforms()
    model = skeleton(architecture, 224)
    model.transform_input = True
    mean, std = torch.tensor(preset.mean), torch.tensor(preset.std)
    normalised = (pixels / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    expected = model._transform_input(normalised)
    resolved = resolve_preprocessing(architecture, "IMAGENET1K_V1", None)
    torch.testing.assert_close(normalise(pixels, resolved), expected, rtol=0, atol=1e-5)
