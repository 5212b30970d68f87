from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models

from kdsspark.errors import ConfigError, WeightsError
from kdsspark.network.state_dicts import read

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.tensor([1.5, -2.0])}


def read_file(path: object) -> dict[str, Tensor]:
    return read(str(path), "squeezenet1_1", 224, 0)


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".PTH"])
@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3, "arch": "vgg16"},
        {"model": STATE},
        {"state_dict": {f"module.{key}": tensor for key, tensor in STATE.items()}},
        {key.replace("a.", "a.module."): tensor for key, tensor in STATE.items()},
    ],
)
def test_pickled_state_dicts_and_their_wrappers(
    tmp_path: Path, content: dict[str, Any], suffix: str
) -> None:
    torch.save(content, tmp_path / f"x{suffix}")
    assert_equal(read_file(tmp_path / f"x{suffix}"), STATE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_safetensors(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {key: tensor.to(dtype) for key, tensor in STATE.items()}
    save_file(state, tmp_path / "x.safetensors")
    assert_equal(read_file(tmp_path / "x.safetensors"), state)


def test_any_file_system(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "x.pth")
    fsspec.filesystem("memory").pipe_file("/weights/x.pth", (tmp_path / "x.pth").read_bytes())
    assert_equal(read_file("memory://weights/x.pth"), STATE)
    assert_equal(read_file(f"file://{tmp_path}/x.pth"), STATE)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_http(tmp_path: Path, server: str) -> None:
    torch.save(STATE, tmp_path / "x.pth")
    assert_equal(read_file(f"{server}/x.pth?signature=a.b"), STATE)
    with pytest.raises(ConfigError, match=r"cannot read http://.*y.pth: .*404"):
        read_file(f"{server}/y.pth")


@pytest.mark.parametrize("name", ["a b.pth", "a#1.pth", "100%.pth", "a::b.pth", "a?b.pth"])
def test_names_mean_what_they_say(tmp_path: Path, server: str, name: str) -> None:
    torch.save(STATE, tmp_path / name)
    assert_equal(read_file(tmp_path / name), STATE)
    assert_equal(read_file(f"file://{tmp_path}/{name}"), STATE)
    fsspec.filesystem("memory").pipe_file(f"/named/{name}", (tmp_path / name).read_bytes())
    assert_equal(read_file(f"memory://named/{name}"), STATE)
    assert_equal(read_file(f"{server}/{name.replace('?', '%3F')}"), STATE)


class _Touch:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.command = f"touch {path}"

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def _bare_pickle(content: object, path: Path, protocol: int) -> None:
    path.write_bytes(pickle.dumps(content, protocol))


@pytest.mark.parametrize(
    ("write", "named"),
    [
        (torch.save, r"posix\.system"),
        (partial(_bare_pickle, protocol=2), r"posix\.system"),
        (partial(_bare_pickle, protocol=4), "something else"),
    ],
)
def test_pickled_code_is_refused_and_not_executed(
    tmp_path: Path, write: Callable[[object, Path], None], named: str
) -> None:
    path, created = tmp_path / "x.pth", tmp_path / "created"
    write({"evil": _Touch(created), **STATE}, path)
    with pytest.raises(WeightsError, match=rf"nothing but tensors, got {named} \(refused"):
        read_file(path)
    assert not created.exists()
    pickle.loads(pickle.dumps(_Touch(created)))
    assert created.exists(), "the trap itself must work"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.pth", b""),
        ("x.pth", b"no pickle at all"),
        ("x.pth", b"PK\x03\x04 cut short"),
        ("x.safetensors", b""),
        ("x.safetensors", b"\xff" * 100),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        read_file(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "must be a state dict, got list"),
        ({}, "must be a state dict, got dict"),
        ({"a": 3}, "must map names to tensors, got int at 'a'"),
        ({1: torch.ones(1)}, "must map names to tensors, got Tensor at 1"),
    ],
)
def test_other_contents(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=message):
        read_file(tmp_path / "x.pth")


@pytest.mark.parametrize("weights", ["/no/such/x.pth", "memory://no/x.pt", "nosuch://x/y.pth"])
def test_missing_files(weights: str) -> None:
    with pytest.raises(ConfigError, match=f"weights: cannot read {weights}: "):
        read_file(weights)


@pytest.mark.parametrize("weights", ["IMAGENET1K_V9", "x.bin", "Random", "x.pth.tar"])
def test_unknown_names(weights: str) -> None:
    with pytest.raises(ConfigError, match=r"random, a published name \(IMAGENET1K_V1, DEFAULT\)"):
        read_file(weights)


def test_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through torch.hub's own cache, so that nothing is downloaded."""
    published = models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    state = models.squeezenet1_1().state_dict()
    state["classifier.1.weight"].fill_(torch.nan)  # torchvision's mark for "no values"
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(state, checkpoints / Path(published.url).name)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    del state["classifier.1.weight"]
    assert_equal(read_file("IMAGENET1K_V1"), state)
    assert_equal(read_file("DEFAULT"), state)


def test_published_weights_that_cannot_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(WeightsError, match=r"cannot download .* https://.*: no network"):
        read_file("IMAGENET1K_V1")
