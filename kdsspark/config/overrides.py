"""The plain mapping behind a configuration: YAML as read, and changed by ``--set KEY=VALUE``."""

from __future__ import annotations

from collections.abc import Hashable
from typing import IO, Any, Final

import yaml

from kdsspark.errors import ConfigError

_FREE_KEYS: Final = ["spark", "conf"]  # where keys have dots of their own


class _Loader(yaml.SafeLoader):
    """YAML in which a key given twice is an error: the first would silently mean nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for (key, _), value in zip(node.value, keys, strict=False):
            if keys.count(value) > 1:
                raise yaml.MarkedYAMLError(f"key {value!r} is given twice", key.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(text: str | IO[str]) -> Any:
    """Plain data from YAML; raises yaml.YAMLError, also for a key given twice."""
    return yaml.load(text, _Loader)


def apply(raw: dict[str, Any], override: str) -> None:
    """Change ``raw`` by ``measure.shuffles=10`` or ``networks.0.weights=random``.

    The value is read as YAML. Below ``spark.conf`` the rest of the key is one key, dots and all.
    Raises :class:`ConfigError` with one line.
    """
    dotted, separator, text = override.partition("=")
    *parents, last = _parts(dotted)
    if not (separator and last and all(parents)):
        raise ConfigError(f"--set must be KEY=VALUE, got {override!r}")
    try:
        value = read_yaml(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {dotted}: value must be YAML, got {text!r}") from None
    node: Any = raw
    for depth, part in enumerate(parents):
        key = _key(node, part, ".".join(parents[: depth + 1]))
        if isinstance(node, dict) and node.get(key) is None:
            node[key] = {}
        node = node[key]
    node[_key(node, last, dotted)] = value


def _parts(dotted: str) -> list[str]:
    parts = dotted.split(".")
    free = len(_FREE_KEYS)
    if parts[:free] == _FREE_KEYS and len(parts) > free:
        return [*_FREE_KEYS, ".".join(parts[free:])]
    return parts


def _key(node: Any, part: str, dotted: str) -> str | int:
    if isinstance(node, dict):
        return part
    if not isinstance(node, list):
        raise ConfigError(f"--set {dotted}: unknown key, {node!r} has none")
    if part in map(str, range(len(node))):
        return int(part)
    positions = f"a position from 0 to {len(node) - 1}" if node else "in a list that is not empty"
    raise ConfigError(f"--set {dotted}: must be {positions}, got {part!r}")
