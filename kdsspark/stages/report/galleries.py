"""Gather what the report shows in pictures: choose, let executors read and cut, put together.

Only what is drawn is read: the samples of each class, the patches of the chosen units, and their
histograms. An image is read once, whatever is cut out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.engine.fold import fold
from kdsspark.engine.stage import Context
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.report.gallery import sprites
from kdsspark.report.gallery.chosen import Chosen, choose
from kdsspark.report.gallery.gallery import (
    ClassShown,
    Exemplar,
    Gallery,
    LayerShown,
    Sample,
    Sheet,
    UnitShown,
)
from kdsspark.report.pages import formats, names
from kdsspark.stages.embed.networks import saved_networks
from kdsspark.stages.exemplars.stage import corpus_of
from kdsspark.stages.report import curves, distances, sizes
from kdsspark.stages.report.curves import ALL, Curves
from kdsspark.stages.report.cut_task import Cut, CutImages, Job
from kdsspark.stages.report.sizes import Sizes
from kdsspark.tables import DUPLICATES, EXEMPLARS, FAILURES, IMAGES

SAMPLES: Final = 9
_PATCHES: Final = 9
_IMAGES_OF_A_TASK: Final = 48
_SHORT_SIDE: Final = 256  # where no network says otherwise

Tiles = dict[Any, npt.NDArray[np.uint8]]
Images = dict[str, tuple[str, str]]
"""image_id -> uri and class."""


@dataclass(frozen=True, eq=False)
class _Subject:
    """One pair, what is chosen of it, and the images that show it."""

    pair: Pair
    corpus: Pair | None
    layers: tuple[LayerShown, ...]
    classes: pd.DataFrame  # class_id, class_name, images, n_plus, n_minus
    thresholds: tuple[float | None, float | None]
    ks: npt.NDArray[np.float32]
    q: npt.NDArray[np.float32]
    chosen: Chosen
    samples: Mapping[int, Sequence[str]]  # class_id -> uris
    with_sheets: bool

    def feature(self, layer: str, unit: int) -> int:
        return self._firsts[layer] + unit

    @cached_property
    def _firsts(self) -> dict[str, int]:
        return {layer.name: layer.first for layer in self.layers}

    def layer_of(self, feature: int) -> LayerShown:
        return next(x for x in reversed(self.layers) if x.first <= feature)


def galleries(context: Context, frames: Mapping[str, pd.DataFrame]) -> list[Gallery]:
    """The gallery of every pair that has distances (driver).

    ``frames`` are the results of the queries ``layers``, ``thresholds`` and ``classes``.
    """
    config, output = context.config, context.output
    keys = ["network", "dataset"]
    by_pair = {Pair(*map(str, key)): rows for key, rows in frames["classes"].groupby(keys)}
    n_classes = sum(len(rows) for rows in by_pair.values())
    size = sizes.of_site(n_classes, config.report.units)
    largest = _largest(frames["thresholds"])
    subjects = []
    for pair in context.pairs:
        if pair in by_pair:
            layers = _layers(frames["layers"], pair.network)
            limits = _thresholds(frames["thresholds"], pair)
            with_sheets = largest[pair.network] == pair.dataset
            subjects.append(
                _subject(context, pair, by_pair[pair], layers, limits, size, with_sheets)
            )
    shown = [(subject, _exemplars(output, subject)) for subject in subjects]
    tiles = _cut(context, shown, size)
    counts = curves.read(context.session, output, {s.pair: _wanted(s) for s in subjects})
    return [
        _gallery(output, s, found, tiles.get(s.pair, {}), counts.get(s.pair, {}), size)
        for s, found in shown
    ]


def _largest(thresholds: pd.DataFrame) -> dict[str, str]:
    """Network -> its dataset with the most images, whose exemplars stand for whole layers."""
    ordered = thresholds.sort_values(["n_images", "dataset"], ascending=[False, True])
    return dict(ordered.groupby("network")["dataset"].first())


def _layers(layers: pd.DataFrame, network: str) -> tuple[LayerShown, ...]:
    own = layers[layers["network"] == network].sort_values("depth")
    firsts = np.concatenate([[0], own["features"].to_numpy().cumsum()[:-1]])
    return tuple(
        LayerShown(row["layer"], row["kind"], row["depth"], int(first), row["features"])
        for row, first in zip(formats.rows(own), firsts, strict=True)
    )


def _thresholds(thresholds: pd.DataFrame, pair: Pair) -> tuple[float | None, float | None]:
    own = thresholds[
        (thresholds["network"] == pair.network) & (thresholds["dataset"] == pair.dataset)
    ]
    return tuple(None if own[n].isna().all() else float(own[n].iloc[0]) for n in _LIMITS)  # type: ignore[return-value]


_LIMITS: Final = ("t_plus", "t_minus")


def _subject(
    context: Context,
    pair: Pair,
    classes: pd.DataFrame,
    layers: tuple[LayerShown, ...],
    limits: tuple[float | None, float | None],
    size: Sizes,
    with_sheets: bool,
) -> _Subject:
    output, config = context.output, context.config
    classes = classes.sort_values("class_id").reset_index(drop=True)
    firsts = {layer.name: layer.first for layer in layers}
    n_classes = int(classes["class_id"].max()) + 1
    shape = (n_classes, sum(layer.units for layer in layers))
    ks, q = distances.read(output, pair, firsts, shape)
    depth = np.repeat(np.arange(len(layers), dtype=np.int32), [layer.units for layer in layers])
    wanted = [
        firsts[layer] + unit
        for dataset, layer, unit, _ in context.drawn
        if dataset == pair.dataset and layer in firsts
    ]
    chosen = choose(ks, depth, limits, size.units, wanted)
    has_images = pair.dataset in {dataset.name for dataset in config.image_datasets}
    samples = _samples(output, pair) if has_images else {}
    corpus = corpus_of(config, pair)
    return _Subject(pair, corpus, layers, classes, limits, ks, q, chosen, samples, with_sheets)


def _samples(output: Output, pair: Pair) -> dict[int, list[str]]:
    """class_id -> the uris of the first images by id, which is an order by chance."""
    failed = parquet.read(output, FAILURES, *pair, columns=["image_id"])["image_id"]
    found: pd.DataFrame | None = None
    for path in output.files(IMAGES.partition(pair.dataset)):
        for rows in parquet.row_groups(output, path, ["image_id", "uri", "class_id"]):
            good = rows.filter(pc.invert(pc.is_in(rows["image_id"], value_set=failed)))
            both = pd.concat([found, good.to_pandas()]) if found is not None else good.to_pandas()
            found = both.sort_values("image_id").groupby("class_id").head(SAMPLES)
    if found is None:
        return {}
    return {int(str(c)): list(own["uri"]) for c, own in found.groupby("class_id")}


# -- exemplars -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Found:
    """The exemplars that are drawn: rows of ``exemplars`` with ``feature``, and their images."""

    rows: pd.DataFrame
    images: Images
    n_active: npt.NDArray[np.int64]  # [features], images that excite the unit
    n: int  # images of the corpus

    def of(self, feature: int) -> pd.DataFrame:
        return self._by_feature.get(feature, self.rows.iloc[:0])

    @cached_property
    def _by_feature(self) -> dict[int, pd.DataFrame]:
        return {int(str(f)): own for f, own in self.rows.groupby("feature")}


def _exemplars(output: Output, subject: _Subject) -> _Found:
    path = EXEMPLARS.part("part-0", *subject.corpus) if subject.corpus else ""
    if not path or not output.exists(path):
        return _Found(pd.DataFrame({"feature": []}), {}, np.empty(0, np.int64), 0)
    table = parquet.read_file(output, path)
    layers = table["layer"].combine_chunks().dictionary_encode()
    firsts = {layer.name: layer.first for layer in subject.layers}
    first = np.array([firsts[name] for name in layers.dictionary.to_pylist()], np.int64)
    feature = first[layers.indices.to_numpy()] + table["unit"].to_numpy()
    rank = table["rank"].to_numpy()
    wanted = np.isin(feature, subject.chosen.drawn) & (rank <= _PATCHES)
    if subject.with_sheets:
        sheets = [f for sheet in subject.chosen.sheets for f in sheet]
        wanted |= np.isin(feature, sheets) & (rank == 1)
    rows = table.append_column("feature", pa.array(feature)).filter(pa.array(wanted)).to_pandas()
    assert subject.corpus is not None
    n_active = np.zeros(subject.ks.shape[1], np.int64)
    n_active[feature] = table["n_active"].to_numpy()
    images = _images(output, subject.corpus.dataset, rows["image_id"].unique())
    return _Found(rows, images, n_active, int(table["n"][0].as_py()))


def _images(output: Output, dataset: str, ids: Sequence[str]) -> Images:
    wanted = pa.array(ids, pa.string())
    found: Images = {}
    for path in output.files(IMAGES.partition(dataset)):
        for rows in parquet.row_groups(output, path, ["image_id", "uri", "class_name"]):
            own = rows.filter(pc.is_in(rows["image_id"], value_set=wanted))
            columns = (own[name].to_pylist() for name in own.column_names)
            found |= {i: (uri, name) for i, uri, name in zip(*columns, strict=True)}
    return found


# -- pictures ------------------------------------------------------------------------------------


def _cut(
    context: Context, shown: Sequence[tuple[_Subject, _Found]], size: Sizes
) -> dict[Pair, Tiles]:
    """The tiles of every pair, cut by executors."""
    config = context.config
    specs = saved_networks(context.output, config)
    short = {
        s.pair: specs[s.pair.network].preprocessing.resize
        if s.pair.network in specs
        else _SHORT_SIDE
        for s, _ in shown
    }
    ready_made = {dataset.name for dataset in config.embeddings_datasets}
    jobs = {
        s.pair: _tasks(_cuts(s, found, size))
        for s, found in shown
        if s.pair.dataset not in ready_made
    }
    cut = CutImages(short, config.embed.image_seconds)
    return fold(context.session, "pictures", jobs, cut, _joined, at_least=1)


def _joined(first: Tiles, second: Tiles) -> Tiles:
    return first | second


def _cuts(subject: _Subject, found: _Found, size: Sizes) -> Iterator[tuple[str, Cut]]:
    """(uri, cut) of everything that is shown of a pair."""
    for class_id, uris in subject.samples.items():
        for n, uri in enumerate(uris):
            yield uri, Cut(("sample", class_id, n), None, size.sample)
    drawn = set(subject.chosen.drawn)
    columns = ["feature", "rank", "image_id", "x0", "y0", "x1", "y1"]
    for feature, rank, image_id, *box in found.rows.reindex(columns=columns).itertuples(
        index=False
    ):
        if image_id not in found.images or pd.isna(box[0]):
            continue
        uri, where = found.images[image_id][0], tuple(int(edge) for edge in box)
        if feature in drawn:
            yield uri, Cut(("patch", feature, rank), where, size.patch)  # type: ignore[arg-type]
        if rank == 1 and subject.with_sheets:
            yield uri, Cut(("sheet", feature), where, size.tile)  # type: ignore[arg-type]


def _tasks(cuts: Iterator[tuple[str, Cut]]) -> list[tuple[Job, ...]]:
    """Cuts by image, so many images a task."""
    by_uri: dict[str, list[Cut]] = {}
    for uri, cut in cuts:
        by_uri.setdefault(uri, []).append(cut)
    jobs = [Job(uri, tuple(own)) for uri, own in sorted(by_uri.items())]
    starts = range(0, len(jobs), _IMAGES_OF_A_TASK)
    return [tuple(jobs[start : start + _IMAGES_OF_A_TASK]) for start in starts]


# -- putting together ----------------------------------------------------------------------------


def _wanted(subject: _Subject) -> curves.Wanted:
    """The units whose counts are read: those of a class for the class, all for their extremes."""
    classes: dict[int, set[int]] = {feature: set() for feature in subject.chosen.drawn}
    for c, features in enumerate(
        [*a, *b] for a, b in zip(subject.chosen.present, subject.chosen.absent, strict=True)
    ):
        for feature in features:
            classes[feature].add(c)
    for feature, own in classes.items():
        own |= {int(subject.ks[:, feature].argmax()), int(subject.ks[:, feature].argmin())}
    keys = {}
    for feature, own in classes.items():
        layer = subject.layer_of(feature)
        keys[layer.name, feature - layer.first] = frozenset(own)
    return curves.Wanted(keys)


def _gallery(
    output: Output, subject: _Subject, found: _Found, tiles: Tiles, counts: Curves, size: Sizes
) -> Gallery:
    files: dict[str, bytes] = {}
    pair, chosen = subject.pair, subject.chosen
    units = {
        feature: _unit(subject, found, tiles, counts, size, feature, files)
        for feature in chosen.drawn
    }
    classes = [*_classes(output, subject, tiles, size, files)]
    sheets = dict(_sheets(subject, found, tiles, size, files)) if subject.with_sheets else {}
    return Gallery(
        pair.network,
        pair.dataset,
        subject.layers,
        classes,
        units,
        subject.ks,
        None if np.isnan(subject.q).all() else subject.q,
        *subject.thresholds,
        chosen.alike,
        chosen.order,
        sheets,
        files,
    )


def _unit(
    subject: _Subject,
    found: _Found,
    tiles: Tiles,
    counts: Curves,
    size: Sizes,
    feature: int,
    files: dict[str, bytes],
) -> UnitShown:
    layer = subject.layer_of(feature)
    unit, rows = feature - layer.first, found.of(feature)
    patches = [tiles.get(("patch", feature, rank)) for rank in range(1, len(rows) + 1)]
    corpus = subject.corpus.dataset if subject.corpus else subject.pair.dataset
    picture = None
    if any(patch is not None for patch in patches):
        path = names.picture(subject.pair.network, corpus, layer.name, str(unit))
        files[path] = sprites.sheet(patches, size.patch, 3)
        picture = Sample(path, len(patches))
    key = (layer.name, unit)
    inner = {c: n for (*own, c), n in _own(counts, key) if c != ALL}
    one = rows.iloc[0] if len(rows) else None
    return UnitShown(
        feature=feature,
        layer=layer,
        unit=unit,
        lo=None,
        hi=None,
        counts=counts.get((*key, ALL)),
        inner=inner,
        exemplars=[_exemplar(row, found.images) for row in rows.itertuples()],
        corpus=corpus,
        patches=picture,
        projections=None,
        whole=False,
        n_active=None if one is None else int(one.n_active),
        n=None if one is None else int(one.n),
    )


def _own(counts: Curves, key: tuple[str, int]) -> Iterator[tuple[tuple[str, int, int], Any]]:
    yield from ((k, v) for k, v in counts.items() if k[:2] == key)


def _exemplar(row: Any, images: Images) -> Exemplar:
    uri, class_name = images.get(row.image_id, ("", "?"))
    return Exemplar(class_name, float(row.activation), uri.rsplit("/", 1)[-1])


def _classes(
    output: Output, subject: _Subject, tiles: Tiles, size: Sizes, files: dict[str, bytes]
) -> Iterator[ClassShown]:
    pair = subject.pair
    failed = _per_class(parquet.read(output, FAILURES, *pair, columns=["class_id"]))
    copies = _per_class(_copies(output, pair.dataset))
    for row in formats.rows(subject.classes):
        c = row["class_id"]
        own = [tiles.get(("sample", c, n)) for n in range(len(subject.samples.get(c, ())))]
        samples = None
        if any(tile is not None for tile in own):
            path = names.samples(pair.dataset, c)
            files[path] = sprites.strip(own, size.sample)
            samples = Sample(path, len(own))
        yield ClassShown(
            class_id=c,
            name=row["class_name"],
            n_images=row["images"],
            n_plus=row["n_plus"],
            n_minus=row["n_minus"],
            present=subject.chosen.present[c],
            absent=subject.chosen.absent[c],
            kin=subject.chosen.kin[c],
            samples=samples,
            n_failed=failed.get(c, 0),
            n_copies=copies.get(c, 0),
        )


def _copies(output: Output, dataset: str) -> pa.Table:
    rows = parquet.read(output, DUPLICATES, dataset, columns=["class_id", "in_dataset"])
    return rows.filter(pc.greater(rows["in_dataset"], 1))


def _per_class(rows: pa.Table) -> dict[int, int]:
    counts = pc.value_counts(rows["class_id"]).to_pylist()
    return {row["values"]: row["counts"] for row in counts}


def _sheets(
    subject: _Subject, found: _Found, tiles: Tiles, size: Sizes, files: dict[str, bytes]
) -> Iterator[tuple[str, Sheet]]:
    corpus = subject.corpus.dataset if subject.corpus else ""
    for layer, features in zip(subject.layers, subject.chosen.sheets, strict=True):
        own = [tiles.get(("sheet", feature)) for feature in features]
        if not any(tile is not None for tile in own):
            continue
        path = names.sheet(subject.pair.network, layer.name)
        files[path] = sprites.strip(own, size.tile)
        active = {f: int(found.n_active[f]) for f in range(layer.first, layer.first + layer.units)}
        yield layer.name, Sheet(path, corpus, features, active, found.n)
