"""What an output was made of: the definitions of its networks and datasets, kept beside it.

An output never mixes two definitions of one name: where something was made of a definition, a
changed one is refused, or everything that came from the former is removed first. A place that is
spelled otherwise (``a/``, ``./a``, ``file:///here/a``) is no change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from kdsspark.config import Config, Network, Preprocessing
from kdsspark.config.model import dataset_kind, foreign_keys
from kdsspark.config.redaction import with_texts, without_secrets
from kdsspark.errors import ConfigError
from kdsspark.hashing import fingerprint
from kdsspark.output import receipts
from kdsspark.output.filesystems import absolute
from kdsspark.output.names import Pair, stem
from kdsspark.output.output import Output
from kdsspark.tables import IMAGES

Kind = Literal["network", "dataset"]

_PATH: Final = "_definitions.json"
_NO_DEFINITION: Final = ("group", "rank")  # of a dataset: how it is drawn may change at any time
_PLACES: Final = ("path", "embeddings", "weights")  # keys whose values may lead to files
_ABSOLUTE: Final = "absolute"  # beside them: key -> :func:`absolute`, for texts that are not
_KINDS: Final[dict[str, Kind]] = {"networks": "network", "datasets": "dataset"}
_PREPROCESSING: Final = Preprocessing().model_dump(mode="json")
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
    found = []
    for section, now in current.items():
        was = saved.get(section, now)
        if keys := _changed_keys(was, now):
            kind, _, name = section.partition(".")
            found.append(Change(_KINDS[kind], name, _difference(keys, was, now)))
    return found


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


def remembered(output: Output, kind: Kind) -> set[str]:
    """The names of all networks or datasets that the output was ever asked for.

    Networks of ready-made embeddings, which have no definition of their own, are among them.
    """
    saved = _saved(output)
    names = {section.partition(".")[2] for section in saved if section.startswith(f"{kind}s.")}
    if kind == "network":
        of_datasets = (fields for fields in saved.values() if fields.get("embeddings"))
        names |= {fields["network"] for fields in of_datasets}
    return names


def forget(output: Output, kind: Kind, name: str) -> None:
    """Drop the definition of a network or dataset, if there is one."""
    saved = output.read_json(_PATH) if output.exists(_PATH) else {}
    if saved.pop(f"{kind}s.{name}", None):
        output.write_json(_PATH, saved)


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
        if found[name].get("preprocessing"):
            before = found[name]["preprocessing"]
            found[name]["preprocessing"] = _PREPROCESSING | before
        for key in _NO_DEFINITION:
            found[name].pop(key, None)
    return found


def _definitions(config: Config) -> _Definitions:
    networks = {f"networks.{n.name}": n.model_dump(mode="json") for n in config.networks}
    datasets = {
        f"datasets.{d.name}": d.model_dump(mode="json", exclude=set(_NO_DEFINITION))
        for d in config.datasets
    }
    found = {key: _with_absolute(fields) for key, fields in (networks | datasets).items()}
    return {key: with_texts(_shown, fields) for key, fields in found.items()}


def _with_absolute(fields: dict[str, Any]) -> dict[str, Any]:
    places = {key: _place(key, fields) for key in _PLACES}
    others = {key: place for key, place in places.items() if place != fields.get(key)}
    return fields | ({_ABSOLUTE: others} if others else {})


def _is_place(key: str, value: str) -> bool:
    """Whether it leads to files. Weights may also be a name, which has no dot and no slash."""
    return key != "weights" or bool({".", "/"} & set(value))


def _shown(text: str) -> str:
    """Without secrets, in whose place a hash tells one value from another."""
    shown = without_secrets(text)
    return text if shown == text else f"{shown} ({fingerprint(text)})"


def _changed_keys(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The keys whose values differ, other than in spelling."""
    keys = [key for key in (*now, *(was.keys() - now.keys())) if key != _ABSOLUTE]
    return [key for key in keys if was.get(key) != now.get(key) and not _same_place(key, was, now)]


def _same_place(key: str, was: dict[str, Any], now: dict[str, Any]) -> bool:
    return key in _PLACES and _place(key, was) == _place(key, now)


def _place(key: str, fields: dict[str, Any]) -> str | None:
    text: str | None = fields.get(key)
    if text is None or not _is_place(key, text):
        return text
    # Outputs of earlier versions have texts only: relative ones are taken to begin here.
    return str(fields.get(_ABSOLUTE, {}).get(key, absolute(text)))


def _difference(keys: list[str], was: dict[str, Any], now: dict[str, Any]) -> str:
    return ", ".join(f"{key} was {was.get(key)!r} and is now {now.get(key)!r}" for key in keys)


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
