"""How an unknown architecture is refused."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from kdsspark.errors import ConfigError


def unknown(what: str, got: str, known: Collection[str]) -> ConfigError:
    """The error to raise where ``got`` is none of the ``known`` names of ``what``."""
    close = difflib.get_close_matches(got, known)
    hint = f" (did you mean {', '.join(close)}?)" if close else ""
    return ConfigError(f"architecture: must be {what}, got {got!r}{hint}")
