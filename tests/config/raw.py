"""Small configurations, and the line that refuses one."""

import copy
from pathlib import Path
from typing import Any

import pytest

from kdsspark.config import parse
from kdsspark.errors import ConfigError

SMALL: dict[str, Any] = {
    "output": "out",
    "networks": [{"name": "net"}],
    "datasets": [{"name": "birds", "path": "/data"}],
}


def with_key(dotted: str, value: Any) -> dict[str, Any]:
    raw = copy.deepcopy(SMALL)
    *parents, last = dotted.split(".")
    node: Any = raw
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    node[last] = value
    return raw


def refusal(raw: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(raw)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert len(line) < 400
    return line


def written(folder: Path, text: str) -> str:
    path = folder / "study.yaml"
    path.write_text(text)
    return str(path)
