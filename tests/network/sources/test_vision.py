"""In a process of its own, because this one has imported much."""

import json
import subprocess
import sys

import pytest
import torch
from torchvision.ops import roi_align

CODE = """
import json, sys, torch
from kdsspark.network import architectures, extractor
from kdsspark.network.sources import vision
from torchvision.ops import roi_align

network = vision.models.get_model("squeezenet1_1", weights=None).eval()
with torch.inference_mode():
    network(torch.zeros(1, 3, 64, 64))
for name in ("squeezenet1_1", "resnet18", "efficientnet_b0", "vit_b_32"):
    architectures.skeleton(name, 224)  # which does not fill parameters by the compiler
without = "torch._dynamo" not in sys.modules
asked = sys.modules["torchvision.ops.roi_align"].is_compile_supported("cpu")
from torch._dynamo import utils
vision._import_without_compiler()
kept = sys.modules["torch._dynamo"] is torch._dynamo
boxes = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
aligned = roi_align(torch.arange(64.0).reshape(1, 1, 8, 8), boxes, 2)
print(json.dumps([without, asked == utils.is_compile_supported("cpu"), kept, aligned.tolist()]))
"""


@pytest.mark.cluster
def test_networks_run_without_the_compiler_and_who_asks_for_it_has_it() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    without, asked, kept, aligned = json.loads(done.stdout)
    assert without
    assert asked
    assert kept
    boxes = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
    values = torch.arange(64.0).reshape(1, 1, 8, 8)
    assert aligned == roi_align(values, boxes, 2).tolist()
