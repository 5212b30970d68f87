"""Weights that timm publishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kdsspark.errors import WeightsError
from tests.network.sources.prepared import prepared


def test_pretrained_weights_are_fetched_by_timm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm  # takes seconds, which one of two processes need spend

    model = timm.create_model("test_vit", pretrained=False)
    fetched: list[str] = []

    def fetch(model_id: str, *_: Any, **__: Any) -> dict[str, torch.Tensor]:
        fetched.append(model_id)
        return model.state_dict()

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", fetch)
    monkeypatch.setattr("timm.models._builder.has_hf_hub", lambda *_, **__: True)
    spec = prepared(tmp_path, architecture="timm/test_vit", weights="pretrained")
    written = load_file(tmp_path / "n.safetensors")
    assert fetched == ["timm/test_vit.r160_in1k"]
    assert written
    assert all(torch.equal(written[k], model.state_dict()[k]) for k in written)
    assert spec.preprocessing.interpolation == "bicubic"
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    own = prepared(
        tmp_path, architecture="timm/test_vit", weights=str(tmp_path / "own.safetensors")
    )
    assert own.fingerprint == spec.fingerprint


def test_weights_that_cannot_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="weights: cannot download pretrained: "):
        prepared(tmp_path, architecture="timm/test_vit", weights="pretrained")
