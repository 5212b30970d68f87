"""``dimensions``: how many dimensions of a layer a task needs (driver and executor).

Azizpour et al. 2014, section 3.2.2: principal components of the training images, and the accuracy
of the classifier of ``probe`` on the first 1, 2, 4, .. 512 of them, beside that on all features.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kdsspark.config import Config
from kdsspark.engine.items import Outcome
from kdsspark.engine.stage import Context
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS, pairs
from kdsspark.stages.pairs import PairPlan
from kdsspark.stages.probe import trial
from kdsspark.stages.probe.classifier import Labels, Vectors, require_sklearn
from kdsspark.stages.probe.layer_task import ProbeItem
from kdsspark.stages.probe.stage import BYTES_OF_A_VALUE
from kdsspark.stages.probe.trial import Mask, TrialResult
from kdsspark.stages.probe.vectors import Batch, VectorSource
from kdsspark.tables import DIMENSIONS

STAGE: Final = next(one for one in EXPERIMENTS if DIMENSIONS in one.tables)
SIZES: Final = tuple(1 << power for power in range(10))
"""The numbers of dimensions, as far as there are so many features and training images."""

_FORMAT: Final = 1  # of the files written; if it changes, every output is computed again
_RANDOM_STATE: Final = 0


def run(context: Context) -> None:
    """Compute what is missing; raises :class:`DatasetError` if a pair is not embedded."""
    pairs.run(context, STAGE, plan, dimensions_of_layer, lambda item: item.n_features)


def plan(output: Output, config: Config, pair: Pair) -> PairPlan:
    """What is to do for a pair; raises :class:`DatasetError` if it is not embedded."""
    source, settings = pairs.embedded(output, pair), config.probe
    items = []
    for depth, (layer, width) in enumerate(source.widths.items()):
        streams = source.n_images * width * BYTES_OF_A_VALUE > config.measure.memory_bytes
        items.append(
            ProbeItem(
                name=pair.item(f"layer-{depth:04d}"),
                digest=fingerprint([_FORMAT, source.digest, settings.model_dump(), streams]),
                output=output,
                pair=pair,
                layer=layer,
                features="all",
                layers=((layer, width),),
                parts=source.parts,
                settings=settings,
                streams=streams,
            )
        )
    return PairPlan.of(STAGE, items)


# -- one layer (executor) ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Components:
    """The principal components of some vectors, the largest first."""

    mean: npt.NDArray[np.float64]  # [features]
    axes: npt.NDArray[np.float64]  # [components, features]


def components_of(source: VectorSource, trained: Mask, most: int = SIZES[-1]) -> Components:
    """The first components of the training images, as many as there can be, at most ``most``.

    By scikit-learn: at once with its choice of solver, or incrementally where the vectors do not
    fit in memory. Constant vectors have components without any variance. Raises
    :class:`KdssparkError` if scikit-learn is missing.
    """
    require_sklearn()
    from sklearn.decomposition import PCA, IncrementalPCA

    k = min(most, source.n_features, int(trained.sum()))
    with np.errstate(divide="ignore", invalid="ignore"):  # the share of no variance
        if source.streams:
            model = IncrementalPCA(n_components=k)
            for vectors in _at_least(k, trial.to_train(source, trained, None)):
                model.partial_fit(vectors)
        else:
            ((vectors, _),) = trial.to_train(source, trained, None)
            model = PCA(n_components=k, random_state=_RANDOM_STATE).fit(vectors)
    return Components(model.mean_, model.components_)


def _at_least(n: int, batches: Iterator[tuple[Vectors, Labels]]) -> Iterator[Vectors]:
    """The same vectors in batches of at least ``n``, which incremental components need."""
    waiting: list[Vectors] = []
    for vectors, _ in batches:
        waiting.append(vectors)
        if sum(map(len, waiting)) >= 2 * n:
            whole = np.concatenate(waiting)
            yield whole[:-n]
            waiting = [whole[-n:]]
    yield np.concatenate(waiting)


@dataclass(frozen=True, eq=False)
class ProjectedVectors:
    """The vectors of a source on some principal components."""

    source: VectorSource
    components: Components

    @property
    def keys(self) -> npt.NDArray[np.uint64]:
        """The two halves of each image id: [images, 2]."""
        return self.source.keys

    @property
    def labels(self) -> Labels:
        """[images]."""
        return self.source.labels

    @property
    def n_features(self) -> int:
        """The number of components."""
        return len(self.components.axes)

    @property
    def streams(self) -> bool:
        """As the vectors do."""
        return self.source.streams

    def batches(self, number: int | None = None) -> Iterator[Batch]:
        """All images, projected."""
        for some, vectors in self.source.batches(number):
            yield some, (vectors - self.components.mean) @ self.components.axes.T


@dataclass(eq=False)
class _Reduce:
    """Projects the vectors of each fold onto ``k`` components of its own training images."""

    known: dict[bytes, Components] = field(default_factory=dict)  # training images -> components
    k: int = 1

    def __call__(self, source: VectorSource, trained: Mask) -> VectorSource:
        of = trained.tobytes()
        if of not in self.known:
            self.known[of] = components_of(source, trained)
        found = self.known[of]
        return ProjectedVectors(source, Components(found.mean, found.axes[: self.k]))


def dimensions_of_layer(item: ProbeItem) -> Outcome:
    """Write the rows of one layer."""
    start = time.perf_counter()
    source = item.source()
    read = time.perf_counter()
    full = trial.run(source, item.settings)
    rows = [_row(item, item.n_features, False, full, full)]
    converged, reduce = full.converged, _Reduce()
    most = min(source.n_features, int(full.n_train[0].sum()))
    for size in (size for size in SIZES if size <= most):
        reduce.k = size
        found = trial.run(source, item.settings, reduce)
        rows.append(_row(item, size, True, found, full))
        converged &= found.converged
    path = DIMENSIONS.part(item.name.part, *item.pair)
    parquet.write_rows(item.output, path, rows, DIMENSIONS)
    counts = {"trials": len(rows), "converged": int(converged)}
    return Outcome(counts, {"read": read - start, "fit and test": time.perf_counter() - read})


def _row(
    item: ProbeItem, n: int, reduced: bool, found: TrialResult, full: TrialResult
) -> dict[str, Any]:
    accuracies, whole = found.accuracies()[:, 0], full.accuracies()[:, 0].mean()
    share = accuracies.mean() / whole if whole else np.nan
    row = {"layer": item.layer, "dimensions": n, "reduced": reduced}
    return row | found.columns(accuracies) | trial.with_nulls(share=share)
