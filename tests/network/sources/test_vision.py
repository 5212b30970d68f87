"""In processes of their own, because this one has imported much."""

import subprocess
import sys


def printed(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_networks_run_without_the_compiler() -> None:
    code = """
import sys, torch
from kdsspark.network.extractor import Extractor
from kdsspark.network.sources.vision import models
network = models.get_model("squeezenet1_1", weights=None).eval()
with torch.inference_mode():
    network(torch.zeros(1, 3, 64, 64))
print("torch._dynamo" in sys.modules)
"""
    assert printed(code) == ["False"]


def test_the_operator_of_detectors_asks_the_compiler() -> None:
    code = """
import sys, torch
from kdsspark.network.sources import vision
from torchvision.ops import roi_align
print("torch._dynamo" in sys.modules)
asked = sys.modules["torchvision.ops.roi_align"].is_compile_supported("cpu")
from torch._dynamo.utils import is_compile_supported
print(asked == is_compile_supported("cpu"), sys.modules["torch._dynamo"] is torch._dynamo)
boxes = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
print(roi_align(torch.arange(64.0).reshape(1, 1, 8, 8), boxes, 2).flatten().tolist())
"""
    first, equal, same, *values = printed(code)
    assert (first, equal, same) == ("False", "True", "True")
    plain = printed(
        "import torch; from torchvision.ops import roi_align;"
        "boxes = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]]);"
        "print(roi_align(torch.arange(64.0).reshape(1, 1, 8, 8), boxes, 2).flatten().tolist())"
    )
    assert values == plain


def test_where_the_compiler_is_imported_it_stays() -> None:
    code = """
import sys, torch, torch._dynamo as before
from kdsspark.network.sources import vision
print(sys.modules["torch._dynamo"] is before)
"""
    assert printed(code) == ["True"]
