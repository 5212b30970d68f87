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
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from kdsspark.config.overrides import apply, read_yaml
from kdsspark.config.types import (
    Distance,
    LayerNames,
    LayoutName,
    Location,
    Master,
    Name,
    Scalar,
    Size,
    one_line,
    parse_size,
)
from kdsspark.errors import ConfigError

_LARGEST_SEED: Final = 2**63 - 1
_LARGEST_SHARD: Final = 65_536  # images: what a task that dies does again


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
    weights: Location = "IMAGENET1K_V1"  # torchvision's name | path or URL of a state dict | random
    seed: int = Field(0, ge=0, le=_LARGEST_SEED)  # for weights: random
    layers: LayerNames = None
    activation: Literal["post_relu", "pre_relu"] = "post_relu"
    pooling: Literal["mean", "max"] = "mean"  # over space
    crops: Literal["ten", "center", "twelve"] = "ten"
    preprocessing: Preprocessing | None = None  # null: what the weights name
    precision: Literal["float32", "bfloat16"] = "float32"


class _NamedDataset(_Section):
    """What both kinds of dataset have; saved with the keys of both, as the YAML may give them."""

    name: Name
    group: str | None = None  # datasets of one group are drawn together (paper figure 8)

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

    @property
    def location(self) -> str:
        """Where the dataset lies, as the user gave it."""
        return self.embeddings


Dataset = ImageDataset | EmbeddingsDataset
_SOURCES: Final[dict[str, type[Dataset]]] = {"path": ImageDataset, "embeddings": EmbeddingsDataset}


def dataset_kind(keys: Mapping[str, Any]) -> type[Dataset]:
    """The kind of dataset that a section of ``datasets`` describes."""
    return ImageDataset if keys.get("embeddings") is None else EmbeddingsDataset


def foreign_keys(kind: type[_Section]) -> dict[str, Any]:
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
    return found[given[0]]


class Spark(_Section):
    """Defaults for the Spark session; what spark-submit sets wins."""

    master: Master = "local[*]"
    conf: dict[str, Scalar] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_master(self) -> Spark:
        if "spark.master" in self.conf:
            raise ValueError("conf must not have spark.master, which is the key master")
        return self


class Embed(_Section):
    """How images become embeddings. None of these changes a number, but for float rounding."""

    # Images of one work unit and one Parquet file, up to half as many more.
    shard_images: int = Field(512, ge=1, le=_LARGEST_SHARD)
    # Images per forward pass; null: chosen by the network and the type of device. Another number
    # gives features other last bits.
    batch_images: int | None = Field(None, ge=1)
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
    distances: tuple[Distance, ...] = Field((), strict=False)  # others, from the same histograms
    # Peak memory of one measuring task, for its arrays.
    memory: Size = "1GiB"

    @property
    def memory_bytes(self) -> int:
        """``memory`` in bytes."""
        return parse_size(self.memory)


class Transform(_Section):
    """The full-network embedding and the pruned one. Null: every dataset's own."""

    statistics: Name | None = None  # dataset whose mean, deviation and relevant features are used
    t_plus: float | None = Field(None, ge=0)
    t_minus: float | None = Field(None, le=0)


class Probe(_Section):
    """Linear support vector machines on the embeddings."""

    test: float = Field(0.3, gt=0, lt=1)  # share of each class's images to test with
    seed: int = Field(0, ge=0, le=_LARGEST_SEED)  # of the split
    l2: bool = True  # every image's vector divided by its length
    signed_root: bool = False  # after that, its values replaced by their signed square roots
    c: float = Field(1.0, gt=0)  # penalty of errors, as scikit-learn has it


class Exemplars(_Section):
    """The images of a reference corpus that excite each unit most."""

    dataset: Name | None = None  # the reference corpus; null: each dataset is its own
    top: int = Field(9, ge=1, le=100)  # images of a unit
    crops: Literal["center", "ten"] = "center"


def _exemplars_or_none(value: object) -> object:
    """Exemplars from their section of the YAML; False, also for ``dataset``, where none are wanted.

    Validated here, so that a mistake is refused by the name of its key.
    """
    if value is False:
        return value
    if not isinstance(value, dict):
        raise ValueError(f"must be a mapping of keys or false, got {value!r}")
    none = value.get("dataset") is False
    wanted = Exemplars.model_validate(value | ({"dataset": None} if none else {}))
    return False if none else wanted


class Report(_Section):
    """What the report shows."""

    units: int | None = Field(None, ge=1, le=100)  # of each class; null: 12, of many classes fewer
    projections: bool = False  # beside the patches, what of them a unit saw


class Config(_Section):
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
    exemplars: Annotated[Exemplars | Literal[False], BeforeValidator(_exemplars_or_none)] = (
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
        corpus = self.exemplars.dataset if self.exemplars else None
        if corpus not in (None, *(d.name for d in self.datasets)):
            raise ValueError(
                f"exemplars.dataset must be null or the name of a dataset, got {corpus!r}"
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
