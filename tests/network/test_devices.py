from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from kdsspark.network import devices

AMD = """processor : 0
vendor_id : AuthenticAMD
cpu family : 25
model : 17
model name : AMD EPYC
processor : 1
model : 18
"""
ARM = "processor : 0\nFeatures : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd40\n"


def test_gpus_are_those_that_torch_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.gpu_count() == 3
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.gpu_count() == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (AMD, "x AuthenticAMD family 25 model 17"),
        (ARM, "x implementer 0x41 part 0xd40"),
        ("", "x"),
        (None, "x"),
    ],
)
def test_the_design_of_a_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, expected: str
) -> None:
    monkeypatch.setattr(devices, "platform", SimpleNamespace(machine=lambda: "x"))
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert devices._processor(tmp_path / "cpuinfo") == expected


@pytest.mark.cluster
def test_other_instructions_are_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    here = devices.kind()
    assert here == devices.kind("cpu")
    assert torch.__version__ in here
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert devices.kind() != here
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    # Torch reads this variable once, when it is imported.
    code = "from kdsspark.network import devices; print(devices.kind())"
    slower = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=slower, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip().replace("DEFAULT", torch.backends.cpu.get_cpu_capability()) == here


def test_the_kind_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    chips = {"cuda:0": ("H100", 132), "cuda:1": ("H100 MIG 1g.10gb", 16)}

    def properties(device: str) -> SimpleNamespace:
        name, number = chips[device]
        return SimpleNamespace(name=name, multi_processor_count=number)

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 92600)
    first, second = devices.kind("cuda:0"), devices.kind("cuda:1")
    assert first == f"H100 with 132 multiprocessors, cuDNN 92600, torch {torch.__version__}"
    assert second.startswith("H100 MIG 1g.10gb with 16 multiprocessors")
