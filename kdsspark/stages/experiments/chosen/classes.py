"""What the units of a network's classifier are called, and which of them is followed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt

from kdsspark.config import Config
from kdsspark.errors import ConfigError
from kdsspark.network.spec import NetworkSpec


@dataclass(frozen=True)
class ClassLayer:
    """The layer whose units are classes, and their names; ``names`` is empty if none are known."""

    layer: str
    names: tuple[str, ...] = ()
    units: tuple[tuple[str, int], ...] = ()  # a class as it may be spelled, and its unit

    def name(self, unit: int) -> str | None:
        """The first name of a class."""
        return self.names[unit] if self.names else None

    def unit(self, class_name: str) -> int | None:
        """The unit of a class of a dataset; None if it is not known."""
        return dict(self.units).get(_plain(class_name))


@dataclass(frozen=True)
class Followed:
    """The class of an image whose probability is followed while the image changes (executor)."""

    classifier: ClassLayer | None
    unit: int | None  # None without a classifier
    is_true: bool

    @classmethod
    def of(
        cls,
        classifier: ClassLayer | None,
        class_name: str,
        chances: npt.NDArray[np.floating] | None,
    ) -> Followed:
        """The true class, or the likeliest one of the image as it is where that is not known.

        ``chances``: probabilities [classes] of the image as it is; None without a classifier.
        """
        if classifier is None or chances is None:
            return cls(None, None, False)
        true = classifier.unit(class_name)
        return cls(classifier, int(chances.argmax()) if true is None else true, true is not None)

    @property
    def which(self) -> dict[str, Any]:
        """The columns that say which class that is."""
        return {"class_unit": self.unit, "true_class": self.is_true}

    def said(self, chances: npt.NDArray[np.floating] | None) -> dict[str, Any]:
        """The columns that say what the classifier makes of a view with these probabilities."""
        if self.classifier is None or chances is None or self.unit is None:
            return dict.fromkeys(("probability", "likeliest", "likeliest_name"))
        likeliest = int(chances.argmax())
        name = self.classifier.name(likeliest)
        probability = float(chances[self.unit])
        return {"probability": probability, "likeliest": likeliest, "likeliest_name": name}


def of_network(config: Config, spec: NetworkSpec) -> ClassLayer | None:
    """The classifier of a network; None if it has no layer of the configured name.

    Raises :class:`ConfigError` for a file of names that cannot be read, or has another number.
    """
    layer = next((one for one in spec.layers if one.name == config.experiments.classifier), None)
    if layer is None:
        return None
    location = config.experiments.class_names
    if location is None:
        return ClassLayer(layer.name)
    lines = _lines(location)
    if len(lines) != layer.units:
        raise ConfigError(
            f"experiments.class_names: must have {layer.units} lines, one for each unit of layer "
            f"{layer.name} of {spec.name}, got {len(lines)}"
        )
    spelled = [[name.strip() for name in line.split(",")] for line in lines]
    return ClassLayer(layer.name, tuple(names[0] for names in spelled), _units(spelled))


def _lines(location: str) -> list[str]:
    try:
        with fsspec.open(location, "rt", encoding="utf-8-sig") as file:
            return [line for line in file.read().splitlines() if line.strip()]
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"experiments.class_names: must be a readable text file, got {location}: {reason}"
        ) from error


def _units(spelled: Sequence[Sequence[str]]) -> tuple[tuple[str, int], ...]:
    """Each spelling that one unit alone has; ImageNet has two cranes."""
    pairs = {(_plain(name), unit) for unit, names in enumerate(spelled) for name in names}
    times = Counter(name for name, _ in pairs)
    return tuple(sorted((name, unit) for name, unit in pairs if times[name] == 1))


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
