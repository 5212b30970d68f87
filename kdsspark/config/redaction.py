"""What must not be shown: passwords and keys in configurations, URLs and messages.

Blotting out too much costs a reader a look into the configuration file, too little costs a
password; so the rules are broad.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from kdsspark.config import Config

_BLOT: Final = "***"
_SECRET: Final = (
    r"(?:secret|passw|passphrase|token|credential|signature|key|(?<![a-z])sas(?![a-z]))"
)
_SECRET_NAME: Final = re.compile(_SECRET, re.IGNORECASE)

_RULES: Final = (
    # s3://id:secret/with/slashes@bucket, https://user@host
    (re.compile(r"://[^\s/@'\"]*:[^\s@'\"]*@|://[^\s/@'\"]+@"), f"://{_BLOT}@"),
    # https://host/file?signature=...
    (re.compile(r"(://[^\s?'\"]*)\?[^\s'\"]*"), rf"\1?{_BLOT}"),
    # -Djavax.net.ssl.keyStorePassword=...
    (
        # KEY=VALUE is how options are explained.
        re.compile(rf"([\w.-]*{_SECRET}[\w.-]*=)(?!VALUE\b)[^\s,;&'\"]+", re.IGNORECASE),
        rf"\1{_BLOT}",
    ),
)


def without_secrets(text: str) -> str:
    """``text`` with credentials in URLs, queries of URLs and values of secret names blotted out."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def redacted(config: Config) -> dict[str, Any]:
    """The configuration as plain data, ready for JSON and YAML, that may be shown to anybody."""
    values: dict[str, Any] = with_texts(without_secrets, config.model_dump(mode="json"))
    conf = values["spark"]["conf"]
    values["spark"]["conf"] = {k: _BLOT if _SECRET_NAME.search(k) else v for k, v in conf.items()}
    return values


def with_texts(change: Callable[[str], str], value: Any) -> Any:
    """Plain data with every text in it changed; keys stay."""
    if isinstance(value, dict):
        return {key: with_texts(change, item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_texts(change, item) for item in value]
    return change(value) if isinstance(value, str) else value
