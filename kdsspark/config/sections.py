"""The sections of the configuration beside networks and datasets: Spark's, and one a stage.

One documented field per line, refused when unknown or out of range.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kdsspark.config.types import (
    Classifier,
    Distance,
    Duration,
    Location,
    Master,
    Name,
    Scalar,
    Size,
    parse_duration,
    parse_size,
)

LARGEST_SEED: Final = 2**63 - 1
_LARGEST_SHARD: Final = 65_536  # images: what a task that dies does again


class Section(BaseModel):
    """A mapping of known keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Spark(Section):
    """Defaults for the Spark session; what spark-submit sets wins."""

    master: Master = "local[*]"
    conf: dict[str, Scalar] = Field(default_factory=dict)
    # No task has ended for so long: the work items that hang are named. Null: nobody looks.
    stalled_after: Duration | None = "30min"
    when_stalled: Literal["wait", "fail"] = "wait"

    @property
    def stalled_seconds(self) -> float | None:
        """``stalled_after`` in seconds."""
        return None if self.stalled_after is None else parse_duration(self.stalled_after)

    @model_validator(mode="after")
    def _one_master(self) -> Spark:
        if "spark.master" in self.conf:
            raise ValueError("conf must not have spark.master, which is the key master")
        return self


class Embed(Section):
    """How images become embeddings. None of these changes a number, but for float rounding."""

    # Images of one work unit and one Parquet file, up to half as many more.
    shard_images: int = Field(512, ge=1, le=_LARGEST_SHARD)
    # Images per forward pass; null: chosen by the network and the type of device. Another number
    # gives features other last bits.
    batch_images: int | None = Field(None, ge=1)
    decode_threads: int | None = Field(None, ge=1)  # per task; null: chosen
    image_seconds: float = Field(120, gt=0)  # for reading an image, and again for decoding it
    max_failures: float = Field(0.01, ge=0, le=1)  # share of images that may fail; above: exit 3


class Measure(Section):
    """The histograms, distances and the shuffled-label baseline."""

    bins: int = Field(100, ge=2, le=65535)  # per feature, over [min, max] of the dataset
    shuffles: int = Field(1, ge=1)  # permutations of the labels
    seed: int = Field(0, ge=0, le=LARGEST_SEED)  # of the permutations
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


class Transform(Section):
    """The full-network embedding and the pruned one. Null: every dataset's own."""

    statistics: Name | None = None  # dataset whose mean, deviation and relevant features are used
    t_plus: float | None = Field(None, ge=0)
    t_minus: float | None = Field(None, le=0)


class Probe(Section):
    """Classifiers on the embeddings: how images are split, and what learns from them."""

    classifier: Classifier = "svm"
    test: float = Field(0.3, gt=0, lt=1)  # share of each class's images to test with
    # Images of each class to train with, the others to test; null: all but the share `test`.
    train_per_class: int | None = Field(None, ge=1)
    max_test: int | None = Field(None, ge=1)  # of each class; null: all
    folds: int = Field(1, ge=1, le=100)  # random splits
    seed: int = Field(0, ge=0, le=LARGEST_SEED)  # of the split
    l2: bool = True  # every image's vector divided by its length
    signed_root: bool = False  # after that, its values replaced by their signed square roots
    # Penalty of errors, as scikit-learn has it; null: chosen by 4-fold cross-validation.
    c: float | None = Field(1.0, gt=0)


class Experiments(Section):
    """The experiments of other papers, where they need settings of their own."""

    # Images of a class to train with, of training-size, each where a class has more.
    train_per_class: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 2, 5, 10, 15, 30, 45, 60), strict=False, min_length=1
    )
    classifiers: tuple[Classifier, ...] = Field(("svm", "softmax"), strict=False, min_length=1)
    folds: int = Field(5, ge=1, le=100)  # of training-size
    max_test: int = Field(50, ge=1)  # test images of a class, of training-size
    # The networks that sources compares, each with its layer or null for the last one; null: all.
    sources: dict[str, str | None] | None = None
    # The layers of grids, ablations and windows, of those that a network has; null: all, and the
    # last one of windows.
    layers: tuple[str, ...] | None = Field(None, strict=False, min_length=1)
    windows: bool = False  # retrieval also by the nearest of 30 windows: 30 passes an image
    # Dataset -> its images for invariance and occlusion, each by its id or the end of its location;
    # null: five by a rule. null: five of every dataset.
    images: (
        dict[str, Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None] | None
    ) = None
    # Dataset -> CSV of the parts that correspondence hides: image, part, x0, y0, x1, y1.
    parts: dict[str, Location] = Field(default_factory=dict)
    classifier: str = "classes"  # the layer whose units are classes, before softmax
    # Text file with the names of these classes, one a line; several names of one, with commas.
    class_names: Location | None = None


class Exemplars(Section):
    """The images of a reference corpus that excite each unit most."""

    dataset: Name | None = None  # the reference corpus; null: each dataset is its own
    top: int = Field(9, ge=1, le=100)  # images of a unit
    crops: Literal["center", "ten"] = "center"


def exemplars_or_none(value: object) -> object:
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


class Report(Section):
    """What the report shows."""

    units: int | None = Field(None, ge=1, le=100)  # of each class; null: 12, of many classes fewer
    projections: bool = False  # beside the patches, what of them a unit saw
