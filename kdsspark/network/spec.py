"""A network and its layers as plain data, which the driver writes and every executor reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from kdsspark import pixels
from kdsspark.config import Preprocessing
from kdsspark.hashing import fingerprint

Kind = Literal["conv", "fc", "other"]
Tokens = Literal["mean", "cls", "cls+mean"]

_LATER: Final = {"prefix": 0, "tokens": "mean", "interpolation": "bilinear", "settings": ""}.items()
"""Keys that came later, with what they are where they change nothing: they count only where they
are something else, so that outputs made before stay valid."""
_OF_TOKENS: Final = 2  # the axis that numbers the units of [views, tokens, units]


@dataclass(frozen=True)
class Layer:
    """One layer of an embedding and how its activations become one number per unit.

    ``axis`` is the axis of the activation [views, ...] that numbers the units. The mean or maximum
    is taken over all other axes but the views. Of [views, tokens, units], the first ``prefix``
    tokens are not of patches; ``tokens`` says which are read (:mod:`.activations.pooling`).
    """

    name: str  # column of the embeddings
    module: str  # path of the module named in the configuration
    units: int
    kind: Kind  # conv: pooled over space; fc: of a linear layer; other
    axis: int
    prefix: int = 0
    tokens: Tokens = "mean"


@dataclass(frozen=True)
class NetworkSpec:
    """One source network, fully resolved: nothing depends on a default or a download any more."""

    name: str
    architecture: str
    layers: tuple[Layer, ...]
    activation: Literal["post_relu", "pre_relu"]
    # peak: for exemplars; whole: none; grids and maps: for experiments of that name
    # (activations.pool)
    pooling: Literal["mean", "max", "peak", "whole", "grids", "maps"]
    crops: Literal["ten", "center", "twelve"]
    preprocessing: Preprocessing
    precision: Literal["float32", "bfloat16"]
    weights: str  # as the user named them
    weights_digest: str  # BLAKE2b-128 (hex) of the tensors that the layers need
    settings: str = ""  # JSON: what building the network takes beside its name

    @property
    def is_pixels(self) -> bool:
        """Whether there is no network: images become features as they are decoded."""
        return self.architecture == pixels.ARCHITECTURE

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with anything that changes the embedding.

        ``name`` and ``weights`` do not count: they are spellings, and the tensors are in
        ``weights_digest``.
        """
        values = self.to_dict()
        del values["name"], values["weights"]
        if self.settings:  # which say it all; the name may be a folder's
            values["architecture"] = self.architecture.partition("/")[0]
        for section in (values, *values["layers"], values["preprocessing"]):
            for key, default in _LATER:
                if section.get(key) == default:
                    del section[key]
        return fingerprint(values)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["layers"] = [asdict(layer) for layer in self.layers]
        values["preprocessing"] = self.preprocessing.model_dump(mode="json")
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkSpec:
        """The inverse of :meth:`to_dict`, also after the values went through JSON.

        Earlier versions mixed the class token of torchvision's vision transformers into the mean;
        their networks are taken for what they should be, another one, and so are embedded again.
        """
        class_tokens = values["architecture"].startswith("vit_")
        layers = tuple(
            Layer(**{"prefix": int(class_tokens and layer["axis"] == _OF_TOKENS), **layer})
            for layer in values["layers"]
        )
        preprocessing = Preprocessing.model_validate(values["preprocessing"], strict=False)
        return cls(**{**values, "layers": layers, "preprocessing": preprocessing})


def describe(spec: NetworkSpec) -> list[tuple[str, int, int, Kind, int, str | None]]:
    """The rows (layer, unit, feature, kind, depth, name) of the ``features`` table, in its order.

    All numbers start at 0: ``unit`` counts within the layer, ``feature`` over the whole embedding,
    ``depth`` counts the layers (paper table 1).
    """
    names = pixels.NAMES if spec.is_pixels else ()
    units = (
        (layer, unit, depth)
        for depth, layer in enumerate(spec.layers)
        for unit in range(layer.units)
    )
    return [
        (layer.name, unit, feature, layer.kind, depth, names[unit] if names else None)
        for feature, (layer, unit, depth) in enumerate(units)
    ]
