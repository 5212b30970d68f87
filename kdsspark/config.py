"""The configuration: one documented field per line, refused when unknown or out of range.

``load`` reads YAML, applies ``--set`` overrides and returns a frozen :class:`Config`; every
mistake becomes a :class:`ConfigError` of one line that names the key, what it must be and what
it got.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import fsspec
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from kdsspark.errors import ConfigError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B?|B)?\s*", re.IGNORECASE)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must match [A-Za-z][A-Za-z0-9_.-]*")
    return value


def _no_separators(layers: dict[str, str] | None) -> dict[str, str] | None:
    for name in layers or ():
        _name(name)
    return layers


Name = Annotated[str, AfterValidator(_name)]


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
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Preprocessing(_Section):
    """What is done to the pixels before the first layer; null keys take the weights' own."""

    resize: int = Field(256, ge=1, le=4096)  # pixels of the short side after resizing
    crop: int = Field(224, ge=1, le=4096)  # pixels of a side of a crop
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # per channel, in units of `scale`
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)  # per channel, in units of `scale`
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
    weights: str = "random"  # torchvision weights name | path or URL of a state dict | random
    seed: int = Field(0, ge=0)  # for weights: random
    layers: Annotated[dict[str, str] | None, AfterValidator(_no_separators)] = None
    activation: Literal["post_relu", "pre_relu"] = "post_relu"
    pooling: Literal["mean", "max"] = "mean"  # over space
    crops: Literal["ten", "center", "twelve"] = "ten"
    preprocessing: Preprocessing | None = None  # null: what the weights name
    precision: Literal["float32", "bfloat16"] = "float32"


class Dataset(_Section):
    """Images with classes (``path``), or ready-made embeddings with labels (``embeddings``)."""

    name: Name
    path: str | None = None  # folder of class folders, or the manifest
    layout: Literal["folder", "manifest"] = "folder"
    embeddings: str | None = None  # Parquet file or folder of ready-made embeddings
    label: str = "class_name"  # their label column
    network: Name = "given"  # the network partition they are filed under

    @model_validator(mode="after")
    def _one_source(self) -> Dataset:
        if (self.path is None) == (self.embeddings is None):
            raise ValueError("must have either path or embeddings")
        return self

    @property
    def ready_made(self) -> bool:
        """Whether this dataset comes as embeddings instead of images."""
        return self.embeddings is not None


class Spark(_Section):
    """Defaults for the Spark session; what spark-submit sets wins."""

    master: str = "local[*]"
    conf: dict[str, str | int | float | bool] = Field(default_factory=dict)


class Embed(_Section):
    """How images become embeddings. None of these changes a number, but for float rounding."""

    shard_images: int = Field(512, ge=1)  # images of one work unit and one Parquet file
    batch_images: int | None = Field(None, ge=1)  # images per forward pass; null: chosen
    decode_threads: int | None = Field(None, ge=1)  # per task; null: chosen
    max_failures: float = Field(0.01, ge=0, le=1)  # share of images that may fail; above: exit 3


class Measure(_Section):
    """The histograms, distances and the shuffled-label baseline."""

    bins: int = Field(100, ge=2, le=65536)  # per feature, over [min, max] of the dataset
    shuffles: int = Field(1, ge=1)  # permutations of the labels
    seed: int = Field(0, ge=0)  # of the permutations
    exact: bool = True  # also the distance over the raw values
    histograms: bool = True  # write the histograms table
    memory: str = "1GiB"  # peak memory of one measuring task, for its arrays

    @model_validator(mode="after")
    def _memory_is_a_size(self) -> Measure:
        if self.memory_bytes < 1 << 24:
            raise ValueError(f"memory must be at least 16MiB, got {self.memory}")
        return self

    @property
    def memory_bytes(self) -> int:
        """``memory`` in bytes."""
        return parse_size(self.memory)


class Config(_Section):
    """A whole study: networks x datasets, and where everything goes."""

    output: str = Field(min_length=1)  # local path or any fsspec URL
    networks: tuple[Network, ...] = ()
    datasets: tuple[Dataset, ...] = Field(min_length=1)
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
            raise ValueError("networks must not be empty where a dataset has images")
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


def load(path: str, overrides: Sequence[str] = ()) -> Config:
    """Read the YAML file at ``path`` (any fsspec URL) and apply ``KEY=VALUE`` overrides."""
    try:
        with fsspec.open(path, "rt", encoding="utf-8") as file:
            raw = yaml.safe_load(file)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"--config must name a readable file, got {path}: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must be a mapping of keys, got {type(raw).__name__}")
    for override in overrides:
        _apply(raw, override)
    return parse(raw)


def parse(raw: dict[str, Any]) -> Config:
    """Validate a mapping as a configuration; raises :class:`ConfigError` with one line."""
    try:
        # Through JSON, because strict mode takes a YAML list for a tuple only there.
        return Config.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        raise ConfigError(_one_line(error)) from None
    except TypeError as error:
        raise ConfigError(f"configuration must hold plain values: {error}") from None


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if first["type"] == "missing":
        return f"{key}: missing"
    message = first["msg"].removeprefix("Value error, ")
    message = message.replace("Input should be", "must be").replace("Input", "it")
    where = f"{key}: " if key else ""
    got = "" if "got " in message else f", got {json.dumps(first['input'], default=str)[:200]}"
    return f"{where}{message}{got}"


def _apply(raw: dict[str, Any], override: str) -> None:
    """``measure.shuffles=10`` or ``networks.0.weights=random``, the value read as YAML."""
    dotted, separator, text = override.partition("=")
    if not separator or not dotted:
        raise ConfigError(f"--set must be KEY=VALUE, got {override!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {dotted}: value must be YAML, got {text!r}") from None
    *parents, last = dotted.split(".")
    node: Any = raw
    for depth, part in enumerate(parents):
        key = _key(node, part, ".".join(parents[: depth + 1]))
        if isinstance(node, dict) and node.get(key) is None:
            node[key] = {}
        node = node[key]
    node[_key(node, last, dotted)] = value


def _key(node: Any, part: str, dotted: str) -> str | int:
    if isinstance(node, dict):
        return part
    if isinstance(node, list):
        if part.isdigit() and int(part) < len(node):
            return int(part)
        raise ConfigError(
            f"--set {dotted}: must be a position from 0 to {len(node) - 1}, got {part!r}"
        )
    raise ConfigError(f"--set {dotted}: unknown key")


def fingerprint(value: Any) -> str:
    """A short stable hash of plain data: 16 hex digits of BLAKE2b over its canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
