"""What is used of torchvision, imported without torch's compiler.

One operator of torchvision's detectors asks whether the compiler supports a device, so importing
torchvision imports the compiler: half of the time, and 150 MB, of every process that runs a
network. No classification model has that operator. Here the compiler is imported when it is asked.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any, Final

import torch  # noqa: F401 (it must not take the stand-in for its compiler)

__all__ = ["models", "resize"]

_COMPILER: Final = "torch._dynamo"
_ASKED: Final = f"{_COMPILER}.utils"


def _is_compile_supported(device_type: str) -> Any:
    return importlib.import_module(_ASKED).is_compile_supported(device_type)


def _import_without_compiler() -> None:
    if _COMPILER in sys.modules:
        return
    asked = ModuleType(_ASKED)
    asked.is_compile_supported = _is_compile_supported  # type: ignore[attr-defined]
    sys.modules |= {_COMPILER: ModuleType(_COMPILER), _ASKED: asked}
    try:
        with suppress(ImportError, AttributeError):  # a version that asks for more has it below
            importlib.import_module("torchvision")
    finally:
        del sys.modules[_COMPILER], sys.modules[_ASKED]


_import_without_compiler()

from torchvision import models  # noqa: E402
from torchvision.transforms.functional import resize  # noqa: E402
