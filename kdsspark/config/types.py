"""What values of the configuration must be, and how a mistake in them is told."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import fsspec
from pydantic import (
    AfterValidator,
    PlainValidator,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import ErrorDetails

from kdsspark.config.overrides import Written

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B?|B)?\s*", re.IGNORECASE)
_ONE_SLASH = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?!//|:)(/)?")
_MASTER = re.compile(
    r"""local | local\[(\d*[1-9]\d*|\*)(\s*,\s*\d+)?\]
    | local-cluster\[\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\]
    | spark://[^\s:]+:\d+(,[^\s:]+:\d+)* | yarn | k8s://\S+""",
    re.VERBOSE,
)
_OF_A_TYPE: Final = "dict[str,"
_LONGEST_VALUE: Final = 200  # characters of a wrong value that an error shows

RESERVED_LAYERS: Final = frozenset(
    {"network", "dataset"}
    | {"image_id", "class_id", "class_name", "version", "content", "computed_on"}
)
"""Columns of ``embeddings`` that every network has: no layer may be named so, in any case."""


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must match [A-Za-z][A-Za-z0-9_.-]*")
    return value


def check_layer_names(names: Iterable[str]) -> None:
    """Refuse names that are one column to Spark, which takes no notice of case.

    Raises ValueError for two that differ at most in case, and for any of ``RESERVED_LAYERS``.
    """
    seen: dict[str, str] = {}
    for name in names:
        column = name.lower()
        if column in RESERVED_LAYERS:
            raise ValueError(f"names must not be those of columns, got {name!r}")
        if column in seen:
            raise ValueError(f"names must differ by more than case, got {seen[column]!r}, {name!r}")
        seen[column] = name


def _layer_table(value: object, check: ValidatorFunctionWrapHandler) -> Any:
    """A table's name as it is, so that a mistake in it is told in one line."""
    if isinstance(value, str) and value not in get_args(LayerTable):
        names = ", ".join(get_args(LayerTable))
        raise ValueError(f"must be {{layer name: module path}} or one of {names}")
    return check(value)


def _layer_names(layers: dict[str, str] | str | None) -> dict[str, str] | str | None:
    if isinstance(layers, str):
        return layers
    for name in layers or ():
        if not _NAME.fullmatch(name):
            raise ValueError(f"names must match [A-Za-z][A-Za-z0-9_.-]*, got {name!r}")
    check_layer_names(layers or ())
    return layers


def _scalar(value: object) -> object:
    if isinstance(value, Written):
        return value.text
    if not isinstance(value, str | int | float):
        raise ValueError("must be text, a number, true or false")
    return value


def _location(value: str) -> str:
    """A path or URL that leads where a person thinks it does.

    A URL with one slash, ``s3:/bucket/key``, would be a local path; ``file:/x``, as Java writes
    it, is ``/x``. A shell replaces ``~`` and ``$NAME``, and no shell reads this file.
    """
    scheme = _ONE_SLASH.match(value)
    if scheme and scheme[1].lower() == "file" and scheme[2]:
        return value[len("file:") :]
    if scheme and (scheme[2] or scheme[1] in fsspec.available_protocols()):
        raise ValueError(
            f"must have two slashes after {scheme[1]}:, or begin with ./ if it is a local path"
        )
    if value.startswith("$"):
        raise ValueError("must have no variable of a shell, or begin with ./ if it is a local path")
    if value.startswith("~"):
        try:
            Path(value).expanduser()
        except RuntimeError:
            raise ValueError("must not begin with ~ where the user has no home") from None
    return value


def _master(value: str) -> str:
    if not _MASTER.fullmatch(value):
        raise ValueError("must be local, local[N], local[*], spark://HOST:PORT, yarn or k8s://URL")
    return value


def _memory(value: str) -> str:
    if parse_size(value) < 1 << 14:  # little enough to cut a small dataset like a large one
        raise ValueError("must be at least 16KiB")
    return value


def _duration(value: str) -> str:
    parse_duration(value)
    return value


Name = Annotated[str, AfterValidator(_name)]
LayerTable = Literal["blocks", "mlp", "attention", "stages"]
LayerNames = Annotated[
    dict[str, str] | LayerTable | None, AfterValidator(_layer_names), WrapValidator(_layer_table)
]
Scalar = Annotated[str | int | float | bool, PlainValidator(_scalar)]
Location = Annotated[str, AfterValidator(_location)]
Master = Annotated[str, AfterValidator(_master)]
Size = Annotated[str, AfterValidator(_memory)]
Duration = Annotated[str, AfterValidator(_duration)]
LayoutName = Literal[
    "folder", "manifest", "webdataset", "huggingface", "imagenet", "cub200", "wood", "flowers102",
    "caltech101", "mit67", "textures", "caltech256", "stanforddogs", "catsdogs", "food101",
]  # fmt: skip
Distance = Literal[
    "kullback_leibler", "jensen_shannon", "bhattacharyya", "mutual_information", "wasserstein",
    "auc", "average_precision",
]  # fmt: skip
Classifier = Literal["svm", "svm_pairs", "softmax", "knn"]


def parse_duration(text: str) -> float:
    """``"30min"`` -> seconds. Units are s, min and h.

    Raises ValueError for anything else, and for zero.
    """
    match = _DURATION.fullmatch(text)
    if not match or not float(match[1]):
        raise ValueError(f"must be a duration such as 90s, 30min or 2h, got {text!r}")
    return float(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2]]


def parse_size(text: str) -> int:
    """``"512MiB"`` -> bytes. K, M, G and T are powers of 1024, with or without ``iB`` or ``B``.

    Raises ValueError for anything else.
    """
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"must be a size such as 512MiB or 2GiB, got {text!r}")
    number, suffix = match.groups()
    exponent = "BKMGT".index((suffix or "B")[0].upper())
    return int(float(number) * 1024**exponent)


def one_line(error: ErrorDetails, known: Mapping[tuple[str, ...], Collection[str]]) -> str:
    """``measure.bins: must be greater than or equal to 2, got 0``.

    ``known`` are the keys of every section, by the keys that lead to it.
    """
    # Where one of several types is taken, pydantic names the type behind the key.
    key = ".".join(str(part) for part in error["loc"] if not str(part).startswith(_OF_A_TYPE))
    if error["type"] == "extra_forbidden":
        section = tuple(part for part in error["loc"][:-1] if isinstance(part, str))
        return f"{key}: unknown key, must be one of {', '.join(known[section])}"
    if error["type"] == "missing":
        return f"{key}: must be given, got nothing"
    message = _in_words(error)
    if error["type"] == "string_type" and isinstance(error["input"], bool | int | float):
        message = "must be text in quotes"
    where = f"{key}: " if key else ""
    return f"{where}{message}" if "got " in message else f"{where}{message}, {_got(error['input'])}"


def _in_words(error: ErrorDetails) -> str:
    if error["type"] == "model_type":
        return "must be a mapping of keys"
    message = error["msg"].removeprefix("Value error, ").partition(" after validation")[0]
    message = re.sub(r"^(Input|String|Tuple) should", "must", message)
    return message.replace("valid tuple", "list").replace("valid dictionary", "mapping of keys")


def _got(value: object) -> str:
    text = repr(value)
    return f"got {text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '...'}"
