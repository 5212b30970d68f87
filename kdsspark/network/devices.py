"""What torch can compute on."""

from __future__ import annotations

import torch


def gpu_count() -> int:
    """GPUs torch can use, 0 for a build or a machine without; starts CUDA in this process.

    From the first call on, CUDA_VISIBLE_DEVICES says nothing to this process any more.
    """
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
