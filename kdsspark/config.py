"""The configuration: one documented field per line, refused when unknown or out of range.

``load`` reads YAML, applies ``--set`` overrides and returns a frozen :class:`Config`; every
mistake becomes a :class:`ConfigError` of one line that names the key, what it must be and what
it got.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal

import fsspec
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from kdsspark.errors import ConfigError
from kdsspark.overrides import apply, read_yaml

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B?|B)?\s*", re.IGNORECASE)
_LONGEST_VALUE: Final = 200  # characters of a wrong value that an error shows
_LARGEST_SEED: Final = 2**63 - 1
_LARGEST_SHARD: Final = 65_536  # images: what a task that dies does again

RESERVED_LAYERS: Final = frozenset(
    {"network", "dataset", "image_id", "class_id", "class_name", "version", "content"}
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


def _layer_names(layers: dict[str, str] | None) -> dict[str, str] | None:
    for name in layers or ():
        if not _NAME.fullmatch(name):
            raise ValueError(f"names must match [A-Za-z][A-Za-z0-9_.-]*, got {name!r}")
    check_layer_names(layers or ())
    return layers


def _scalar(value: object) -> object:
    if not isinstance(value, str | int | float):
        raise ValueError("must be text, a number, true or false")
    return value


def _memory(value: str) -> str:
    if parse_size(value) < 1 << 14:  # little enough to cut a small dataset like a large one
        raise ValueError("must be at least 16KiB")
    return value


Name = Annotated[str, AfterValidator(_name)]
Scalar = Annotated[str | int | float | bool, PlainValidator(_scalar)]
Layout = Literal[
    "folder", "manifest", "webdataset", "huggingface", "imagenet", "cub200", "wood", "flowers102",
    "caltech101", "mit67", "textures", "caltech256", "stanforddogs", "catsdogs", "food101",
]  # fmt: skip


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


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Preprocessing(_Section):
    """What is done to the pixels before the first layer; keys not given are as below."""

    resize: int = Field(256, ge=1, le=4096)  # pixels of the short side after resizing
    crop: int = Field(224, ge=1, le=4096)  # pixels of a side of a crop
    # Per channel, in units of `scale`; not strict, for YAML has lists and no tuples.
    mean: tuple[float, float, float] = Field((0.485, 0.456, 0.406), strict=False)
    std: tuple[float, float, float] = Field((0.229, 0.224, 0.225), strict=False)
    channels: Literal["rgb", "bgr"] = "rgb"  # order the network was trained with
    scale: Literal[1, 255] = 1  # pixel values run from 0 to this before mean and std

    @model_validator(mode="after")
    def _crop_fits(self) -> Preprocessing:
        if self.crop > self.resize:
            raise ValueError(f"crop must be at most resize ({self.resize}), got {self.crop}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {list(self.std)}")
        return self


class Network(_Section):
    """One source network and how its activations become an embedding."""

    name: Name
    architecture: str = "vgg16"  # a torchvision classification model
    weights: str = "IMAGENET1K_V1"  # torchvision's name | path or URL of a state dict | random
    seed: int = Field(0, ge=0, le=_LARGEST_SEED)  # for weights: random
    layers: Annotated[dict[str, str] | None, AfterValidator(_layer_names)] = None
    activation: Literal["post_relu", "pre_relu"] = "post_relu"
    pooling: Literal["mean", "max"] = "mean"  # over space
    crops: Literal["ten", "center", "twelve"] = "ten"
    preprocessing: Preprocessing | None = None  # null: what the weights name
    precision: Literal["float32", "bfloat16"] = "float32"


class Dataset(_Section):
    """Images with classes (``path``), or ready-made embeddings with labels (``embeddings``)."""

    name: Name
    path: str | None = None  # what the layout reads: a folder, a manifest, a shard
    layout: Layout = "folder"
    split: str | None = None  # of the layout's splits, the only one wanted; null: all, merged
    embeddings: str | None = None  # Parquet file or folder of ready-made embeddings
    label: str = "class_name"  # their label column
    network: Name = "given"  # the network partition they are filed under

    @model_validator(mode="after")
    def _one_source(self) -> Dataset:
        if (self.path is None) == (self.embeddings is None):
            got = "neither" if self.path is None else "both"
            raise ValueError(f"must have either path or embeddings, got {got}")
        if self.split is not None and self.path is None:
            raise ValueError(f"split must be null where embeddings are given, got {self.split!r}")
        return self

    @property
    def ready_made(self) -> bool:
        """Whether this dataset comes as embeddings instead of images."""
        return self.embeddings is not None


class Spark(_Section):
    """Defaults for the Spark session; what spark-submit sets wins."""

    master: str = "local[*]"
    conf: dict[str, Scalar] = Field(default_factory=dict)


class Embed(_Section):
    """How images become embeddings. None of these changes a number, but for float rounding."""

    # Images of one work unit and one Parquet file, up to half as many more.
    shard_images: int = Field(512, ge=1, le=_LARGEST_SHARD)
    batch_images: int | None = Field(None, ge=1)  # images per forward pass; null: chosen
    decode_threads: int | None = Field(None, ge=1)  # per task; null: chosen
    image_seconds: float = Field(120, gt=0)  # for reading an image, and again for decoding it
    max_failures: float = Field(0.01, ge=0, le=1)  # share of images that may fail; above: exit 3


class Measure(_Section):
    """The histograms, distances and the shuffled-label baseline."""

    bins: int = Field(100, ge=2, le=65535)  # per feature, over [min, max] of the dataset
    shuffles: int = Field(1, ge=1)  # permutations of the labels
    seed: int = Field(0, ge=0, le=_LARGEST_SEED)  # of the permutations
    exact: bool = True  # also the distance over the raw values
    histograms: bool = True  # write the histograms table
    keep_shuffled: bool = True  # write the distances of single shuffles; counts are kept anyway
    # Peak memory of one measuring task, for its arrays.
    memory: Annotated[str, AfterValidator(_memory)] = "1GiB"

    @property
    def memory_bytes(self) -> int:
        """``memory`` in bytes."""
        return parse_size(self.memory)


class Config(_Section):
    """A whole study: networks x datasets, and where everything goes."""

    output: str = Field(min_length=1)  # local path or any fsspec URL
    networks: tuple[Network, ...] = Field((), strict=False)
    datasets: tuple[Dataset, ...] = Field(min_length=1, strict=False)
    spark: Spark = Spark()
    embed: Embed = Embed()
    measure: Measure = Measure()

    @model_validator(mode="after")
    def _names(self) -> Config:
        for what, items in (("networks", self.networks), ("datasets", self.datasets)):
            names = [item.name for item in items]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{what} must have different names, got {name!r} twice")
        if not self.networks and not all(d.ready_made for d in self.datasets):
            raise ValueError("networks must not be empty where a dataset has images, got none")
        given = {d.network for d in self.datasets if d.ready_made}
        for network in self.networks:
            if network.name in given:
                raise ValueError(
                    f"networks must not be named like the network of ready-made embeddings, "
                    f"got {network.name!r}"
                )
        return self

    def pairs(self) -> list[tuple[str, Dataset]]:
        """Every (network name, dataset) to embed and measure, in the order of the file."""
        images = [(n.name, d) for n in self.networks for d in self.datasets if not d.ready_made]
        return images + [(d.network, d) for d in self.datasets if d.ready_made]


_SECTIONS: Final[dict[tuple[str, ...], type[BaseModel]]] = {
    (): Config,
    ("networks",): Network,
    ("networks", "preprocessing"): Preprocessing,
    ("datasets",): Dataset,
    ("spark",): Spark,
    ("embed",): Embed,
    ("measure",): Measure,
}


def load(path: str, overrides: Sequence[str] = ()) -> Config:
    """Read the YAML file at ``path`` (any fsspec URL) and apply ``KEY=VALUE`` overrides."""
    try:
        with fsspec.open(path, "rt", encoding="utf-8-sig") as file:
            raw = read_yaml(file)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"--config must name a readable file, got {path}: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must be a mapping of keys, got {type(raw).__name__}")
    for override in overrides:
        apply(raw, override)
    return parse(raw)


def parse(raw: dict[str, Any]) -> Config:
    """Validate a mapping as a configuration; raises :class:`ConfigError` with one line."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(_one_line(error.errors(include_url=False)[0])) from None


def _one_line(error: ErrorDetails) -> str:
    """``measure.bins: must be greater than or equal to 2, got 0``."""
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        section = tuple(part for part in error["loc"][:-1] if isinstance(part, str))
        return f"{key}: unknown key, must be one of {', '.join(_SECTIONS[section].model_fields)}"
    if error["type"] == "missing":
        return f"{key}: must be given, got nothing"
    message = _in_words(error)
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


def fingerprint(value: Any) -> str:
    """A short stable hash of plain data: 16 hex digits of BLAKE2b over its canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
