from __future__ import annotations

import pytest

from kdsspark.cli import main
from kdsspark.network.layers.listing import listing


def rows(text: str) -> dict[str, str]:
    """Path -> the other columns."""
    _, empty, head, *lines = text.splitlines()
    assert (empty, " ".join(head.split())) == ("", "path class shape units kind in tables")
    return {path: " ".join(rest) for path, *rest in (line.split() for line in lines)}


def test_the_layers_of_the_papers_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers", "vgg11"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("vgg11, crops of 224 x 224 pixels\n")
    found = rows(printed)
    convolution = "Conv2d 64 x 224 x 224 64 conv null: conv1_1"
    assert found["features.0"] == convolution
    assert found["classifier.0"] == "Linear 4096 4096 fc null: fc6"
    assert found["avgpool"] == "AdaptiveAvgPool2d 512 x 7 x 7 512 conv"


def test_what_each_table_selects() -> None:
    found = rows(listing("timm/test_vit"))
    assert found["blocks.5"] == "Block 101 x 64 64 other blocks: block5, stages: stage0"
    assert found["blocks.0.attn.q_norm"] == "Identity 2 x 101 x 32"  # no units
    tables = {word for row in found.values() for word in row.split() if word.endswith(":")}
    assert tables == {"blocks:", "mlp:", "attention:", "stages:"}


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("vggg", "architecture: must be a torchvision classification model, got 'vggg' (did you"),
        ("timm/x", "architecture: must be a model of timm, got 'x'"),
        ("hf//no/such", "architecture: must be a folder with a config.json"),
    ],
)
def test_mistakes(architecture: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers", architecture]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"kdsspark: {message}")
