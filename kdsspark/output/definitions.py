"""What an output was made of: the definitions of its networks and datasets, kept beside it.

An output never mixes two definitions of one name: where something was made of a definition, a
changed one is refused, or everything that came from the former is removed first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from kdsspark.config import Config, Network
from kdsspark.config.model import dataset_kind, foreign_keys
from kdsspark.config.redaction import with_texts, without_secrets
from kdsspark.errors import ConfigError
from kdsspark.hashing import fingerprint
from kdsspark.output import receipts
from kdsspark.output.names import Pair, stem
from kdsspark.output.output import Output
from kdsspark.tables import IMAGES

Kind = Literal["network", "dataset"]

_PATH: Final = "_definitions.json"
_NO_DEFINITION: Final = ("group",)  # of a dataset: how it is drawn may change at any time
_KINDS: Final[dict[str, Kind]] = {"networks": "network", "datasets": "dataset"}
_Definitions = dict[str, dict[str, Any]]  # "networks.vgg16" -> the fields of its section


@dataclass(frozen=True)
class Change:
    """A network or dataset that is defined otherwise than when the output was made."""

    kind: Kind
    name: str
    difference: str  # which keys, and both values


def changes(output: Output, config: Config) -> list[Change]:
    """Every network and dataset of ``config`` that is defined otherwise in the output."""
    saved, current = _saved(output), _definitions(config)
    return [
        Change(_KINDS[kind], name, _difference(saved[key], current[key]))
        for key in current
        if key in saved and saved[key] != current[key]
        for kind, _, name in [key.partition(".")]
    ]


def refuse_changes(output: Output, config: Config) -> None:
    """Raise :class:`ConfigError` where the output holds results of another definition.

    A definition without results, a mistyped path for example, may change.
    """
    for change in changes(output, config):
        if _HAS_RESULTS[change.kind](output, change.name):
            raise ConfigError(
                f"{change.kind}s.{change.name}: {change.difference}; {output.url} holds results of "
                f"the former: choose another output, or --fresh to remove them"
            )


def record(output: Output, config: Config) -> None:
    """Keep the definitions of ``config`` beside those of earlier runs."""
    saved, current = _saved(output), _definitions(config)
    if saved | current != saved:
        output.write_json(_PATH, saved | current)


def _saved(output: Output) -> _Definitions:
    """Definitions as they would be saved today.

    A key that is new had its default. A key that only the other kind of dataset has means nothing,
    whatever an output was given for it.
    """
    saved = output.read_json(_PATH) if output.exists(_PATH) else {}
    found = {}
    for name, fields in saved.items():
        is_network = name.startswith("networks.")
        section = Network if is_network else dataset_kind(fields)
        defaults = {key: field.default for key, field in section.model_fields.items()}
        found[name] = defaults | fields | ({} if is_network else foreign_keys(section))
        for key in _NO_DEFINITION:
            found[name].pop(key, None)
    return found


def _definitions(config: Config) -> _Definitions:
    networks = {f"networks.{n.name}": n.model_dump(mode="json") for n in config.networks}
    datasets = {
        f"datasets.{d.name}": d.model_dump(mode="json", exclude=set(_NO_DEFINITION))
        for d in config.datasets
    }
    return {key: with_texts(_shown, fields) for key, fields in (networks | datasets).items()}


def _shown(text: str) -> str:
    """Without secrets, in whose place a hash tells one value from another."""
    shown = without_secrets(text)
    return text if shown == text else f"{shown} ({fingerprint(text)})"


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str:
    keys = [key for key in now if was.get(key) != now[key]]
    return ", ".join(f"{key} was {was.get(key)!r} and is now {now[key]!r}" for key in keys)


def _network_has_results(output: Output, name: str) -> bool:
    return output.exists(output.network(name))


def _dataset_has_results(output: Output, name: str) -> bool:
    return bool(output.files(IMAGES.partition(name))) or any(
        pair.dataset == name for _, pair in receipts_of_pairs(output)
    )


_HAS_RESULTS: Final[dict[Kind, Callable[[Output, str], bool]]] = {
    "network": _network_has_results,
    "dataset": _dataset_has_results,
}


def receipts_of_pairs(output: Output) -> Iterator[tuple[str, Pair]]:
    """The path and the pair of every receipt; those that are of no single pair are left out."""
    for path in output.files(receipts.FOLDER):
        _, _stage, network, *rest = path.split("/")
        if rest:  # the report's is of all
            yield path, Pair(network, rest[0] if len(rest) > 1 else stem(rest[0]))
