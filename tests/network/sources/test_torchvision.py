"""Torchvision's models and the layers of those that the papers use."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from kdsspark.errors import ConfigError
from kdsspark.network.sources import torchvision as source

WEIGHTED = (nn.Conv2d, nn.Linear)


@pytest.mark.parametrize("name", source.BUILT_IN)
def test_built_in_layers_are_all_but_the_classifier_in_their_order(name: str) -> None:
    with torch.device("meta"):
        model = models.get_model(name, weights=None)
    weighted = [(path, m) for path, m in model.named_modules() if isinstance(m, WEIGHTED)]
    assert list(source.BUILT_IN[name].values()) == [path for path, _ in weighted[:-1]]
    kinds = ["conv" if isinstance(m, nn.Conv2d) else "fc" for _, m in weighted[:-1]]
    assert [layer.rstrip("0123456789_") for layer in source.BUILT_IN[name]] == kinds


@pytest.mark.parametrize(("name", "close"), [("vgg61", "vgg16"), ("zzz", None)])
def test_an_unknown_name_is_refused_with_close_ones(name: str, close: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        source.settings(name)
    start = f"architecture: must be a torchvision classification model, got '{name}'"
    assert str(caught.value).startswith(start)
    assert ("did you mean" in str(caught.value)) == bool(close)
    assert (close or "") in str(caught.value)
    assert source.settings("vgg16") == ""


@pytest.mark.parametrize("name", ["resnet50", "vit_b_16", "googlenet"])
def test_preprocessing_gives_the_pixels_of_torchvision(name: str) -> None:
    """Where the model transforms its input itself, the same in one step."""
    weights = models.get_model_weights(name).DEFAULT
    found = source.preprocessing(name, "DEFAULT", "")
    preset = weights.transforms()
    assert (found.resize, found.crop) == (preset.resize_size[0], preset.crop_size[0])
    x = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    column = (3, 1, 1)
    ours = (x - torch.tensor(found.mean).view(column)) / torch.tensor(found.std).view(column)
    theirs = (x - torch.tensor(preset.mean).view(column)) / torch.tensor(preset.std).view(column)
    if name == "googlenet":
        model = models.GoogLeNet(2, transform_input=True, init_weights=False, aux_logits=False)
        theirs = model._transform_input(theirs[None])[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert source.preprocessing(name, "random", "") == source.Preprocessing()
