"""The plain mapping behind a configuration: YAML as read, and changed by ``--set KEY=VALUE``."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import IO, Any, Final

import yaml

from kdsspark.errors import ConfigError

_FREE_KEYS: Final = ["spark", "conf"]  # where keys have dots of their own
_INT: Final = "tag:yaml.org,2002:int"
_FLOAT: Final = "tag:yaml.org,2002:float"
_TIME: Final = "tag:yaml.org,2002:timestamp"


class Written(float):
    """A number of the YAML, with the text that it was read from.

    In ``spark.conf``, ``4.10`` may be a version. Other keys take the number alone.
    """

    text: str


class _Loader(yaml.SafeLoader):
    """YAML as a person reads it.

    A key given twice is an error: the first would silently mean nothing. So is a number with a
    zero in front, which YAML 1.1 reads as octal. Dates (``2024-01-01``) and times (``1:30``, in
    YAML 1.1 the number 90) are text, and ``1e3`` is a number.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for (key, _), value in zip(node.value, keys, strict=False):
            if keys.count(value) > 1:
                raise yaml.MarkedYAMLError(f"key {value!r} is given twice", key.start_mark)
        return super().construct_mapping(node, deep)

    def construct_int(self, node: yaml.ScalarNode) -> int:
        if _ZERO_IN_FRONT.match(node.value):
            meant = f"write {int(node.value.replace('_', ''))} or '{node.value}'"
            raise yaml.MarkedYAMLError(
                f"{node.value} has a zero in front, which could mean octal: {meant}",
                node.start_mark,
            )
        return super().construct_yaml_int(node)

    def construct_written(self, node: yaml.ScalarNode) -> float:
        number = Written(super().construct_yaml_float(node))
        number.text = node.value
        return number


_ZERO_IN_FRONT: Final = re.compile(r"[-+]?0[0-9_]")
_DIGITS: Final = list("-+0123456789")
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] not in (_INT, _FLOAT, _TIME)]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?(0x[0-9a-fA-F_]+|[0-9][0-9_]*)\Z"), _DIGITS)
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"""[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?\Z
        | [-+]?\.(inf|Inf|INF|nan|NaN|NAN)\Z""",
        re.VERBOSE,
    ),
    [*_DIGITS, "."],
)
_Loader.add_constructor(_INT, _Loader.construct_int)
_Loader.add_constructor(_FLOAT, _Loader.construct_written)


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
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or getattr(error, "context", None) or error
        raise ConfigError(f"--set {dotted}: value must be YAML, got {text!r}: {problem}") from None
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
