"""Where networks come from: one module a library, imported when it is first asked for.

Their names in the configuration are torchvision's own, and ``timm/NAME``, ``hf/ID or folder`` and
``open_clip/NAME``. Every module has the functions of :class:`Source`. The libraries are extras of
this package.
"""

from __future__ import annotations

import importlib
from typing import Final, Protocol, cast

from torch import Tensor, nn

from kdsspark.config import Preprocessing
from kdsspark.errors import ConfigError

_SOURCES: Final = ("timm", "hf", "open_clip")


class NetworkSource(Protocol):
    """What a module of this package can do with the networks of its library.

    ``name`` is the architecture without the library's own name in front. ``settings`` is what
    building it takes beside the name: executors get it, and look nothing up.
    """

    def settings(self, name: str) -> str:
        """JSON, or an empty text (driver). Raises ConfigError if there is no such network."""

    def build(self, name: str, crop: int, settings: str) -> nn.Module:
        """The network with random weights, for crops of ``crop`` pixels."""

    def published(self, name: str) -> list[str]:
        """The names of weights that :meth:`download` takes."""

    def preprocessing(self, name: str, weights: str, settings: str) -> Preprocessing:
        """What the network expects with these weights (driver)."""

    def download(self, name: str, weights: str, crop: int, settings: str) -> dict[str, Tensor]:
        """Published weights, fetched by the library (driver).

        Raises OSError, RuntimeError or ValueError where they cannot be had.
        """


def source_of(architecture: str) -> tuple[NetworkSource, str]:
    """The source of an architecture, and its name there.

    Raises ConfigError for an unknown source, or where its library is not installed.
    """
    prefix, slash, name = architecture.partition("/")
    if not slash:
        prefix, name = "torchvision", architecture
    elif prefix not in _SOURCES:
        kinds = ", ".join(f"{source}/.." for source in _SOURCES)
        raise ConfigError(
            f"architecture: must be a model of torchvision, or {kinds}, got {architecture!r}"
        )
    try:
        return cast(NetworkSource, importlib.import_module(f"{__name__}.{prefix}")), name
    except ImportError as error:
        raise ConfigError(
            f"architecture: {architecture} needs a package that is not installed ({error}): "
            f"pip install 'kdsspark[{prefix}]'"
        ) from error
