"""The configuration: one documented field per line, refused when unknown or out of range.

``load`` reads YAML, applies ``--set`` overrides and returns a frozen :class:`Config`; every
mistake becomes a :class:`ConfigError` of one line that names the key, what it must be and what
it got.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

import fsspec
import yaml
from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from kdsspark.config.overrides import apply, read_yaml
from kdsspark.config.sections import (
    LARGEST_SEED,
    Embed,
    Exemplars,
    Experiments,
    Measure,
    Probe,
    Report,
    Section,
    Spark,
    Transform,
    exemplars_or_none,
)
from kdsspark.config.types import LayerNames, LayoutName, Location, Name, one_line
from kdsspark.errors import ConfigError


class Preprocessing(Section):
    """What is done to the pixels before the first layer; keys not given are as below."""

    resize: int = Field(256, ge=1, le=4096)  # pixels of the short side after resizing
    crop: int = Field(224, ge=1, le=4096)  # pixels of a side of a crop
    # Per channel, in units of `scale`; not strict, for YAML has lists and no tuples.
    mean: tuple[float, float, float] = Field((0.485, 0.456, 0.406), strict=False)
    std: tuple[float, float, float] = Field((0.229, 0.224, 0.225), strict=False)
    channels: Literal["rgb", "bgr"] = "rgb"  # order the network was trained with
    scale: Literal[1, 255] = 1  # pixel values run from 0 to this before mean and std
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"  # of resizing

    @model_validator(mode="after")
    def _crop_fits(self) -> Preprocessing:
        if self.crop > self.resize:
            raise ValueError(f"crop must be at most resize ({self.resize}), got {self.crop}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {list(self.std)}")
        return self


class Network(Section):
    """One source network and how its activations become an embedding."""

    name: Name
    architecture: str = "vgg16"  # torchvision's | timm/NAME | hf/ID or folder | open_clip/NAME
    weights: Location = "IMAGENET1K_V1"  # name of published ones | path or URL | random
    seed: int = Field(0, ge=0, le=LARGEST_SEED)  # for weights: random
    layers: LayerNames = None
    activation: Literal["post_relu", "pre_relu"] = "post_relu"
    pooling: Literal["mean", "max"] = "mean"  # over space
    tokens: Literal["mean", "cls", "cls+mean"] = "mean"  # of vision transformers
    crops: Literal["ten", "center", "twelve"] = "ten"
    preprocessing: Preprocessing | None = None  # null: what the weights name
    precision: Literal["float32", "bfloat16"] = "float32"


class _NamedDataset(Section):
    """What both kinds of dataset have; saved with the keys of both, as the YAML may give them."""

    name: Name
    group: str | None = None  # datasets of one group are drawn together (paper figure 8)
    rank: int | None = Field(None, ge=1)  # place by distance from the source task, 1 the nearest

    @model_serializer(mode="wrap")
    def _with_the_keys_of_both(self, own: SerializerFunctionWrapHandler) -> dict[str, Any]:
        keys: dict[str, Any] = own(self)
        return foreign_keys(type(self)) | keys


class ImageDataset(_NamedDataset):
    """Images with classes."""

    ready_made: ClassVar[bool] = False
    path: Location  # what the layout reads: a folder, a manifest, a shard
    layout: LayoutName = "folder"
    split: str | None = None  # of the layout's splits, the only one wanted; null: all, merged
    background: bool = False  # caltech101, caltech256: their background folder is a class, too
    labels: Literal["one", "several"] = "one"  # of an image; several: any number, also none

    @property
    def several(self) -> bool:
        """Whether an image may have several labels, or none."""
        return self.labels == "several"

    @property
    def location(self) -> str:
        """Where the dataset lies, as the user gave it."""
        return self.path


class EmbeddingsDataset(_NamedDataset):
    """Ready-made embeddings with labels."""

    ready_made: ClassVar[bool] = True
    embeddings: Location  # Parquet file or folder of ready-made embeddings
    label: str = "class_name"  # their label column
    network: Name = "given"  # the network partition they are filed under
    several: ClassVar[bool] = False

    @property
    def location(self) -> str:
        """Where the dataset lies, as the user gave it."""
        return self.embeddings


Dataset = ImageDataset | EmbeddingsDataset
_SOURCES: Final[dict[str, type[Dataset]]] = {"path": ImageDataset, "embeddings": EmbeddingsDataset}


def dataset_kind(keys: Mapping[str, Any]) -> type[Dataset]:
    """The kind of dataset that a section of ``datasets`` describes."""
    return ImageDataset if keys.get("embeddings") is None else EmbeddingsDataset


def foreign_keys(kind: type[Section]) -> dict[str, Any]:
    """The keys that only the other kind of dataset has, with their defaults."""
    return {
        key: None if field.is_required() else field.default
        for other in _SOURCES.values()
        for key, field in other.model_fields.items()
        if key not in kind.model_fields
    }


def _of_its_kind(value: object) -> object:
    """A dataset from its section of the YAML, in which the keys of the other kind mean nothing.

    Both kinds are validated, so that a mistake in any key is refused.
    """
    if not isinstance(value, dict):
        return ImageDataset.model_validate(value)  # which says what it must be
    found = {}
    for source, kind in _SOURCES.items():
        foreign = foreign_keys(kind)
        own = {key: item for key, item in value.items() if key not in foreign}
        missing = {} if own.get(source) is not None else {source: ""}
        found[source] = kind.model_validate(own | missing)
    given = [source for source in found if value.get(source) is not None]
    if len(given) != 1:
        got = "both" if given else "neither"
        raise ValueError(f"must have either path or embeddings, got {got}")
    if given == ["embeddings"] and value.get("split") is not None:
        raise ValueError(f"split must be null where embeddings are given, got {value['split']!r}")
    if given == ["embeddings"] and value.get("background"):
        raise ValueError("background must be false where embeddings are given, got true")
    layout = value.get("layout", "folder") if given == ["path"] else None
    if value.get("labels") == "several" and layout != "manifest":
        where = "where embeddings are given" if layout is None else f"with layout {layout}"
        raise ValueError(f"labels must be one {where} (several only with manifest), got 'several'")
    return found[given[0]]


class Config(Section):
    """A whole study: networks x datasets, and where everything goes."""

    output: Location = Field(min_length=1)  # local path or any fsspec URL
    networks: tuple[Network, ...] = Field((), strict=False)
    datasets: tuple[Annotated[Dataset, BeforeValidator(_of_its_kind)], ...] = Field(
        min_length=1, strict=False
    )
    spark: Spark = Spark()
    embed: Embed = Embed()
    measure: Measure = Measure()
    transform: Transform = Transform()
    probe: Probe = Probe()
    experiments: Experiments = Experiments()
    exemplars: Annotated[Exemplars | Literal[False], BeforeValidator(exemplars_or_none)] = (
        Exemplars()
    )  # false: none
    report: Report = Report()

    @model_validator(mode="after")
    def _names(self) -> Config:
        for what, items in (("networks", self.networks), ("datasets", self.datasets)):
            names = [item.name for item in items]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{what} must have different names, got {name!r} twice")
        if not self.networks and self.image_datasets:
            raise ValueError("networks must not be empty where a dataset has images, got none")
        given = {d.network for d in self.embeddings_datasets}
        for network in self.networks:
            if network.name in given:
                raise ValueError(
                    f"networks must not be named like the network of ready-made embeddings, "
                    f"got {network.name!r}"
                )
        compared, known = self.experiments.sources, {network for network, _ in self.pairs()}
        if compared is not None and (len(compared) < 2 or not known.issuperset(compared)):
            raise ValueError(
                f"experiments.sources must be null or have two or more networks of the "
                f"configuration, got {', '.join(compared) or 'none'}"
            )
        corpus = self.exemplars.dataset if self.exemplars else None
        if corpus not in (None, *(d.name for d in self.datasets)):
            raise ValueError(
                f"exemplars.dataset must be null or the name of a dataset, got {corpus!r}"
            )
        return self

    @model_validator(mode="after")
    def _chosen_images(self) -> Config:
        known = {dataset.name for dataset in self.image_datasets}
        for key in ("images", "parts"):
            for name in getattr(self.experiments, key) or ():
                if name not in known:
                    raise ValueError(
                        f"experiments.{key} must have names of datasets with images, got {name!r}"
                    )
        return self

    @property
    def image_datasets(self) -> list[ImageDataset]:
        """The datasets of images, in the order of the file."""
        return [d for d in self.datasets if isinstance(d, ImageDataset)]

    @property
    def embeddings_datasets(self) -> list[EmbeddingsDataset]:
        """The datasets of ready-made embeddings, in the order of the file."""
        return [d for d in self.datasets if isinstance(d, EmbeddingsDataset)]

    def several(self, dataset: str) -> bool:
        """Whether an image of a dataset may have several labels; False for one not configured."""
        return any(d.name == dataset and d.several for d in self.datasets)

    def pairs(self) -> list[tuple[str, Dataset]]:
        """Every (network name, dataset) to embed and measure, in the order of the file."""
        images: list[tuple[str, Dataset]] = [
            (n.name, d) for n in self.networks for d in self.image_datasets
        ]
        return images + [(d.network, d) for d in self.embeddings_datasets]


_KEYS: Final[dict[tuple[str, ...], Collection[str]]] = {
    (): Config.model_fields,
    ("networks",): Network.model_fields,
    ("networks", "preprocessing"): Preprocessing.model_fields,
    ("datasets",): ImageDataset.model_fields | EmbeddingsDataset.model_fields,
    ("spark",): Spark.model_fields,
    ("embed",): Embed.model_fields,
    ("measure",): Measure.model_fields,
    ("transform",): Transform.model_fields,
    ("probe",): Probe.model_fields,
    ("experiments",): Experiments.model_fields,
    ("exemplars",): Exemplars.model_fields,
    ("report",): Report.model_fields,
}
"""The known keys of every section, by the keys that lead to it."""


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
        raise ConfigError(one_line(error.errors(include_url=False)[0], _KEYS)) from None
