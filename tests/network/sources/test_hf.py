"""Vision models of transformers from folders: weights, preprocessing, sizes of crops."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kdsspark.config import Preprocessing
from kdsspark.errors import ConfigError
from tests.network.sources.prepared import prepared


def test_weights_of_a_folder_are_read_by_transformers(
    tmp_path: Path, folders: dict[str, str]
) -> None:
    for name in ("vit", "clip", "resnet"):
        spec = prepared(tmp_path, architecture=folders[name], weights="pretrained")
        saved = load_file(Path(folders[name].removeprefix("hf/")) / "model.safetensors")
        written = load_file(tmp_path / "n.safetensors")
        weights = {k: v for k, v in written.items() if v.is_floating_point()}
        values = [v for k, v in saved.items() if not k.startswith("text_model")]
        for tensor in weights.values():
            assert any(v.shape == tensor.shape and torch.equal(v, tensor) for v in values)
        assert spec.weights == "pretrained"


def test_the_preprocessing_of_a_folder(tmp_path: Path, folders: dict[str, str]) -> None:
    import transformers as hf

    folder = Path(folders["vit"].removeprefix("hf/"))
    spec = prepared(tmp_path, architecture=f"hf/{folder}")
    assert (spec.preprocessing.crop, spec.preprocessing.interpolation) == (32, "bilinear")
    given = {"do_center_crop": True, "crop_size": {"height": 32, "width": 32}}
    hf.CLIPImageProcessor(size={"shortest_edge": 40}, resample=3, **given).save_pretrained(folder)
    try:
        spec = prepared(tmp_path, architecture=f"hf/{folder}")
        assert spec.preprocessing == Preprocessing(
            resize=40,
            crop=32,
            mean=(0.48145466, 0.4578275, 0.40821073),
            std=(0.26862954, 0.26130258, 0.27577711),
            interpolation="bicubic",
        )
    finally:
        (folder / "preprocessor_config.json").unlink()


def test_a_crop_that_a_model_of_transformers_does_not_take(
    tmp_path: Path, folders: dict[str, str]
) -> None:
    size = Preprocessing(crop=24)
    with pytest.raises(ConfigError, match=r"preprocessing.crop: must fit hf/.*, got 24: .*32"):
        prepared(tmp_path, architecture=folders["vit"], preprocessing=size)
