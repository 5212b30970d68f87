from __future__ import annotations

import warnings

import pytest

from tests.network.sources import tiny


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Architectures of transformers by their names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tiny.save(tmp_path_factory.mktemp("hf"))


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
