"""What torch computes on: how many GPUs, and the name of the arithmetic of a device."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

import torch

# Fields of /proc/cpuinfo that tell one design of a processor from another, of x86 and of ARM, and
# what to write in front of their values.
_CPU_FIELDS: Final = {
    **{"vendor_id": "", "cpu family": "family ", "model": "model "},
    **{"CPU implementer": "implementer ", "CPU part": "part "},
}
# With these, users make MKL and oneDNN use other instructions than they choose themselves.
_OVERRIDES: Final = ("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")


def gpu_count() -> int:
    """Number of GPUs torch can use, 0 for a build or a machine without; starts CUDA.

    After the first call, changes of CUDA_VISIBLE_DEVICES no longer affect this process.
    """
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def kind(device: str = "cpu") -> str:
    """The arithmetic of ``device``, in words; where it is equal, so are features, to the last bit.

    It names the design of the processor, the vector instructions that torch uses, and the version
    of torch, which brings the libraries that multiply (executor).
    """
    if torch.device(device).type == "cuda":
        chip = torch.cuda.get_device_properties(device)
        words = [f"{chip.name} with {chip.multi_processor_count} multiprocessors"]
        words.append(f"cuDNN {torch.backends.cudnn.version()}")  # type: ignore[no-untyped-call]
    else:
        words = [f"{_processor()} with {torch.backends.cpu.get_cpu_capability()}"]
        words += [f"{name}={os.environ[name]}" for name in _OVERRIDES if name in os.environ]
        words.append("fused ReLUs")  # versions before 0.2 computed them apart, with other last bits
    return ", ".join([*words, f"torch {torch.__version__}"])


def arithmetic(device: str, batch: int) -> str:
    """What features are computed by; where it is equal for a network, so are they."""
    return f"{kind(device)}, {batch} images a pass"


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The design of the CPU on Linux, by vendor and numbers, or elsewhere the architecture."""
    fields: dict[str, str] = {}
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    known = [words + fields[name] for name, words in _CPU_FIELDS.items() if name in fields]
    return " ".join([platform.machine(), *known])
