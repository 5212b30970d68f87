from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import pytest

from kdsspark.config import Preprocessing
from kdsspark.network.spec import Layer, NetworkSpec, describe

SPEC = NetworkSpec(
    name="mine",
    architecture="vgg16",
    layers=(Layer("a", "features.0", 3, "conv", 1), Layer("b", "classifier.0", 2, "fc", 1)),
    activation="post_relu",
    pooling="mean",
    crops="ten",
    preprocessing=Preprocessing(mean=(0.1, 0.2, 0.3)),
    precision="float32",
    weights="random",
    weights_digest="00",
)


def test_round_trips() -> None:
    restored = NetworkSpec.from_dict(json.loads(json.dumps(SPEC.to_dict())))
    assert restored == SPEC
    assert restored.fingerprint == SPEC.fingerprint
    assert pickle.loads(pickle.dumps(SPEC)) == SPEC


CHANGES: list[dict[str, Any]] = [
    {"architecture": "vgg19"},
    {"layers": SPEC.layers[::-1]},
    {"layers": SPEC.layers[:1]},
    {"layers": (dataclasses.replace(SPEC.layers[0], module="features.2"), SPEC.layers[1])},
    {"layers": (dataclasses.replace(SPEC.layers[0], name="c"), SPEC.layers[1])},
    {"layers": (dataclasses.replace(SPEC.layers[0], prefix=1), SPEC.layers[1])},
    {"layers": (dataclasses.replace(SPEC.layers[0], prefix=1, tokens="cls"), SPEC.layers[1])},
    {"activation": "pre_relu"},
    {"pooling": "max"},
    {"crops": "center"},
    {"preprocessing": Preprocessing()},
    {"preprocessing": Preprocessing(mean=(0.1, 0.2, 0.3), channels="bgr")},
    {"preprocessing": Preprocessing(mean=(0.1, 0.2, 0.3), interpolation="bicubic")},
    {"precision": "bfloat16"},
    {"weights_digest": "01"},
    {"settings": "{}"},
]


def test_fingerprint_changes_with_all_that_changes_the_embedding() -> None:
    found = {dataclasses.replace(SPEC, **change).fingerprint for change in CHANGES}
    assert len(found | {SPEC.fingerprint}) == len(CHANGES) + 1
    covered = {key for change in CHANGES for key in change}
    assert covered | {"name", "weights"} == {field.name for field in dataclasses.fields(SPEC)}


@pytest.mark.parametrize("change", [{"name": "yours"}, {"weights": "/elsewhere.pth"}])
def test_fingerprint_does_not_change_with_spelling(change: dict[str, Any]) -> None:
    assert dataclasses.replace(SPEC, **change).fingerprint == SPEC.fingerprint


def of_an_earlier_version(**changes: Any) -> dict[str, Any]:
    """What such a version wrote."""
    values = dataclasses.replace(SPEC, **changes).to_dict()
    for layer in values["layers"]:
        del layer["prefix"], layer["tokens"]
    del values["preprocessing"]["interpolation"], values["settings"]
    return values


def test_outputs_of_earlier_versions_stay_valid() -> None:
    assert SPEC.fingerprint == "a8915515ea272d50"
    restored = NetworkSpec.from_dict(of_an_earlier_version())
    assert restored == SPEC


def test_means_that_an_earlier_version_mixed_the_class_token_into_are_not_valid() -> None:
    layers = Layer("block", "encoder.layers.encoder_layer_1", 4, "other", 2), SPEC.layers[1]
    restored = NetworkSpec.from_dict(of_an_earlier_version(architecture="vit_b_16", layers=layers))
    assert [layer.prefix for layer in restored.layers] == [1, 0]
    before = dataclasses.replace(SPEC, architecture="vit_b_16", layers=layers)
    assert restored.fingerprint != before.fingerprint
    swin = NetworkSpec.from_dict(of_an_earlier_version(architecture="swin_t", layers=layers))
    assert [layer.prefix for layer in swin.layers] == [0, 0]


def test_where_settings_say_what_the_network_is_the_folder_they_come_from_does_not_count() -> None:
    one, other = (
        dataclasses.replace(SPEC, architecture=f"hf//folder/{n}", settings='{"depth": 2}')
        for n in (1, 2)
    )
    assert one.fingerprint == other.fingerprint


def test_describe() -> None:
    assert describe(SPEC) == [
        ("a", 0, 0, "conv", 0, None),
        ("a", 1, 1, "conv", 0, None),
        ("a", 2, 2, "conv", 0, None),
        ("b", 0, 3, "fc", 1, None),
        ("b", 1, 4, "fc", 1, None),
    ]
