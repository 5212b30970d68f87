"""Caffe models to state dicts: exact, in torchvision's places, and what does not fit is named."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn
from torchvision.models.vgg import make_layers

from kdsspark.config import Network
from kdsspark.errors import WeightsError
from kdsspark.network.weights import prepare

SCRIPT = Path(__file__).parents[2] / "scripts" / "caffe-to-safetensors"
convert = runpy.run_path(str(SCRIPT))["convert"]

Blobs = dict[str, list[np.ndarray]]

# VGG16 with its own first block, and narrow behind it.
WIDTHS = [64, 64, "M", 4, 4, "M", 4, 5, 5, "M", 6, 6, 6, "M", 6, 6, 3, "M"]
FC = 20
NAMES = [f"conv{b}_{i}" for b, n in enumerate((2, 2, 3, 3, 3), start=1) for i in range(1, n + 1)]
NAMES += ["fc6", "fc7"]


class Narrow(nn.Module):
    """Torchvision's VGG16 but for its widths, as far as fc7."""

    def __init__(self) -> None:
        super().__init__()
        self.features = make_layers(WIDTHS)
        fc6, fc7 = nn.Linear(3 * 7 * 7, FC), nn.Linear(FC, FC)
        self.classifier = nn.Sequential(fc6, nn.ReLU(), nn.Dropout(), fc7, nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    narrow = Narrow().eval()
    for parameter in narrow.parameters():  # biases too, and no activation fades on the way
        nn.init.normal_(parameter, std=(2 / max(1, parameter[0].numel())) ** 0.5)
    return narrow


@pytest.fixture
def shapes(model: nn.Module) -> dict[str, Any]:
    return {key: tensor.shape for key, tensor in model.state_dict().items()}


@pytest.fixture
def blobs(model: nn.Module) -> Blobs:
    """Weight and bias of each layer by its name in Caffe, in the order of the network."""
    values = [tensor.numpy() for tensor in model.state_dict().values()]
    return {name: [*values[2 * i : 2 * i + 2]] for i, name in enumerate(NAMES)}


def varint(n: int) -> bytes:
    low, rest = n & 127, n >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def blob(values: np.ndarray, old: bool) -> bytes:
    """BlobProto: with the four axes of old files, or with any shape."""
    if old:
        axes = (1,) * (4 - values.ndim) + values.shape
        shape = b"".join(field(i, n) for i, n in enumerate(axes, start=1))
    else:
        shape = field(7, field(1, b"".join(map(varint, values.shape))))
    return shape + field(5, values.astype("<f4").tobytes())


def layer(name: str, values: Iterable[np.ndarray], old: bool) -> bytes:
    """LayerParameter, or the V1LayerParameter of old files, whose types are numbers."""
    parts = [blob(value, old) for value in values]
    fc = name.startswith("fc")
    if old:
        head, blobs = field(4, name) + field(5, 14 if fc else 4), 6
    else:
        head, blobs = field(1, name) + field(2, "InnerProduct" if fc else "Convolution"), 7
    return field(2 if old else 100, head + b"".join(field(blobs, part) for part in parts))


def prototxt(blobs: Blobs) -> str:
    """The layers of a VGG16 for Caffe, of the widths that the blobs have."""
    text, bottom = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 224 input_dim: 224\n', "data"

    def add(name: str, kind: str, settings: str = "", top: str | None = None) -> str:
        ends = f'bottom: "{bottom}" top: "{top or name}"'
        return f'layer {{ name: "{name}" type: "{kind}" {ends} {settings} }}\n'

    for name, (weight, _) in blobs.items():
        n = f"num_output: {len(weight)}"
        if name.startswith("fc"):
            text += add(name, "InnerProduct", f"inner_product_param {{ {n} }}")
        else:
            size = "pad: 1 kernel_size: 3"
            text += add(name, "Convolution", f"convolution_param {{ {n} {size} }}")
        bottom = name
        text += add(f"relu_{name}", "ReLU", top=name)
        if name in ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"):
            pool = f"pool{name[4]}"
            text += add(pool, "Pooling", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
            bottom = pool
    return text


def written(folder: Path, blobs: Blobs, old: bool = False) -> tuple[str, str]:
    """Paths of the .prototxt and .caffemodel of a model; all blobs' layers are in the first."""
    paths = folder / "deploy.prototxt", folder / "vgg16.caffemodel"
    paths[0].write_text(prototxt(blobs))
    layers = (layer(name, values, old) for name, values in blobs.items())
    paths[1].write_bytes(field(1, "a VGG16") + b"".join(layers))
    return str(paths[0]), str(paths[1])


@pytest.mark.parametrize("old", [False, True])
def test_every_tensor_is_where_torchvision_has_it(
    tmp_path: Path, model: nn.Module, blobs: Blobs, shapes: dict[str, Any], old: bool
) -> None:
    got = convert(*written(tmp_path, blobs, old), shapes)
    want = model.state_dict()
    assert got.keys() == want.keys()
    for key, tensor in want.items():
        np.testing.assert_array_equal(got[key], tensor.numpy(), strict=True)


def test_the_network_computes_what_caffe_does(
    tmp_path: Path, model: nn.Module, blobs: Blobs, shapes: dict[str, Any]
) -> None:
    """fc6 above all, which must meet rows and columns of conv5_3 in Caffe's order."""
    paths = written(tmp_path, blobs)
    image = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    net = cv2.dnn.readNetFromCaffe(*paths)
    net.setInput(image)
    want = net.forward()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in convert(*paths, shapes).items()})
    with torch.inference_mode():
        got = model(torch.from_numpy(image)).numpy()
    assert (want > 0).sum() >= 5
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3 * want.max())


def test_the_file_is_weights_for_a_network(
    tmp_path: Path, blobs: Blobs, shapes: dict[str, Any]
) -> None:
    save_file(convert(*written(tmp_path, blobs), shapes), tmp_path / "vgg16.safetensors")
    layers = {"conv1_1": "features.0", "conv1_2": "features.2"}
    weights = str(tmp_path / "vgg16.safetensors")
    network = Network(name="places", architecture="vgg16", weights=weights, layers=layers)
    spec = prepare(network, tmp_path / "needed.safetensors")
    assert [layer.units for layer in spec.layers] == [64, 64]
    got = load_file(tmp_path / "needed.safetensors")
    np.testing.assert_array_equal(got["features.2.weight"], blobs["conv1_2"][0])
    np.testing.assert_array_equal(got["features.0.bias"], blobs["conv1_1"][1])


def test_what_does_not_fit_is_named(tmp_path: Path, blobs: Blobs, shapes: dict[str, Any]) -> None:
    def refused(changed: Blobs, message: str) -> None:
        with pytest.raises(WeightsError, match=message):
            convert(*written(tmp_path, changed), shapes)

    wide = [np.ones((20, 148), np.float32), blobs["fc6"][1]]
    refused({**blobs, "fc6": wide}, r"^fc6 must have a weight of \[20, 147\], got \[20, 148\]$")
    del blobs["fc7"]
    refused(blobs, r"^fc7 must have a weight of \[20, 20\], got none")


def test_damaged_and_absent_files_are_refused(
    tmp_path: Path, blobs: Blobs, shapes: dict[str, Any]
) -> None:
    prototxt, caffemodel = written(tmp_path, blobs)
    cut = tmp_path / "cut.caffemodel"
    cut.write_bytes(Path(caffemodel).read_bytes()[:-1])
    for paths in [(prototxt, str(cut)), ("absent", caffemodel), (prototxt, "absent")]:
        with pytest.raises(WeightsError, match=r"must be a \.prototxt and its \.caffemodel: "):
            convert(*paths, shapes)


def test_the_command_wants_the_whole_vgg16(
    tmp_path: Path,
    blobs: Blobs,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "vgg16.safetensors"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *written(tmp_path, blobs), str(target)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == 1
    message = "conv2_1 must have a weight of [128, 64, 3, 3], got [4, 64, 3, 3]"
    assert capsys.readouterr().err == f"caffe-to-safetensors: {message}\n"
    assert not target.exists()


@pytest.mark.parametrize("version", [None, "5.0.0"])
def test_an_opencv_without_the_reader_is_named(
    version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = version and SimpleNamespace(__version__=version, dnn=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "cv2", other)  # None: importing it fails
    own = runpy.run_path(str(SCRIPT))["convert"]
    with pytest.raises(WeightsError, match=f"^OpenCV 4 must be installed, got {version or 'none'}"):
        own("a.prototxt", "a.caffemodel", {})
