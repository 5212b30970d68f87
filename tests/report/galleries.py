"""Galleries for made-up tables: what is chosen is chosen as by the stage, pictures are made up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pandas as pd
from PIL import Image

from kdsspark.report.gallery import unit_figures
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
from kdsspark.report.gallery.sprites import Sprites
from kdsspark.report.parts import names

Tables = dict[str, pd.DataFrame]

N_IMAGES = 40  # of a corpus
SIDE = 4


def of_tables(tables: Tables, pictures: bool = True, n_units: int = 3) -> list[Gallery]:
    """A gallery for each network and dataset of the table ``ks``, without files for pictures."""
    true = tables["ks"][tables["ks"]["labels"] == "true"]
    largest = tables["thresholds"].sort_values("n_images").groupby("network")["dataset"].last()
    found = []
    for key, rows in true.groupby(["network", "dataset"]):
        network, dataset = map(str, key)
        layers = _layers(tables["features"], network)
        first = rows["layer"].map({layer.name: layer.first for layer in layers})
        ks = np.zeros((rows["class_id"].max() + 1, sum(x.units for x in layers)), np.float32)
        ks[rows["class_id"], first + rows["unit"]] = rows["ks"].fillna(0)
        limits = tables["thresholds"].query("network == @network and dataset == @dataset")
        t = tuple(None if pd.isna(x) else float(x) for x in limits[["t_plus", "t_minus"]].iloc[0])
        depth = np.repeat(np.arange(len(layers), dtype=np.int32), [x.units for x in layers])
        images = tables["images"].query("dataset == @dataset")
        class_names = dict(images.groupby("class_id")["class_name"].first())
        numbers = unit_figures.RULES if largest[network] == dataset else []
        figures = unit_figures.choose(numbers, dataset, ks, layers, class_names, False)
        chosen = choose(ks, depth, t, n_units, unit_figures.features(figures))
        rng = np.random.default_rng(len(found))
        classes = list(_classes(tables, (network, dataset), chosen, pictures))
        units = {f: _unit(rng, dataset, classes, layers, f, pictures) for f in chosen.drawn}
        units = {f: _at(network, unit) for f, unit in units.items()}
        with_sheets = pictures and largest[network] == dataset
        sheets = dict(_sheets(network, dataset, layers, chosen)) if with_sheets else {}
        q = np.full(ks.shape, 0.5, np.float32)
        in_rows = unit_figures.features(x for x in figures if x.number in unit_figures.IN_ROWS)
        strips = {f: row for f in in_rows if (row := _row(network, units[f]))}
        shown = (chosen.alike, chosen.order, sheets, figures, strips)
        files = _files(classes, units, sheets, strips)
        found.append(Gallery(network, dataset, layers, classes, units, ks, q, *t, *shown, files))
    return found


def _layers(features: pd.DataFrame, network: str) -> list[LayerShown]:
    own = features[features["network"] == network].groupby("depth", sort=True)
    rows = [
        (str(g["layer"].iloc[0]), str(g["kind"].iloc[0]), int(g["feature"].min()), len(g))
        for _, g in own
    ]
    return [LayerShown(n, kind, depth, *at) for depth, (n, kind, *at) in enumerate(rows)]


def _classes(
    tables: Tables, pair: tuple[str, str], chosen: Chosen, pictures: bool
) -> Iterator[ClassShown]:
    network, dataset = pair
    images = tables["images"].query("dataset == @dataset")
    failed = tables["failures"]
    failed = failed[(failed["network"] == network) & (failed["dataset"] == dataset)]
    for (c, name), own in images.groupby(["class_id", "class_name"]):
        samples = Sample(names.samples(dataset, c), min(len(own), 9)) if pictures else None
        units = (chosen.present[c], chosen.absent[c], chosen.kin[c])
        n_failed = int((failed["class_id"] == c).sum())
        yield ClassShown(c, name, len(own), 7, 5, *units, samples, n_failed, n_copies=c % 3)


def _unit(
    rng: np.random.Generator,
    dataset: str,
    classes: list[ClassShown],
    layers: list[LayerShown],
    feature: int,
    pictures: bool,
) -> UnitShown:
    layer = next(x for x in reversed(layers) if x.first <= feature)
    dead = feature % 5 == 0
    inner = {shown.class_id: rng.poisson(1, 100) for shown in classes}
    places = [] if dead else [0, 0, -1]
    best = [Exemplar(classes[i].name, 9.5 - n) for n, i in enumerate(places)]
    patches = Sample("", len(best)) if best and pictures else None
    n_active = 0 if dead else N_IMAGES
    shown = (sum(inner.values()), inner, best, dataset, patches, None, n_active, N_IMAGES)
    return UnitShown(feature, layer, feature - layer.first, *shown)


def _at(network: str, unit: UnitShown) -> UnitShown:
    """With the path of its picture."""
    if unit.patches is None:
        return unit
    path = names.picture(network, unit.corpus, unit.layer.name, str(unit.unit))
    patches = Sample(path, unit.patches.n)
    return UnitShown(**{**vars(unit), "patches": patches})


def _row(network: str, unit: UnitShown) -> Sample | None:
    if unit.patches is None:
        return None
    path = names.row(network, unit.corpus, unit.layer.name, str(unit.unit))
    return Sample(path, unit.patches.n)


def _sheets(
    network: str, dataset: str, layers: list[LayerShown], chosen: Chosen
) -> Iterator[tuple[str, Sheet]]:
    for layer, features in zip(layers, chosen.sheets, strict=True):
        own = range(layer.first, layer.first + layer.units)
        active = {f: 0 if f % 5 == 0 else f % N_IMAGES for f in own}
        path = names.sheet(network, layer.name)
        yield layer.name, Sheet(path, dataset, features, active, N_IMAGES)


def _files(
    classes: list[ClassShown],
    units: dict[int, UnitShown],
    sheets: dict[str, Sheet],
    rows: dict[int, Sample],
) -> dict[str, bytes]:
    strips = {shown.samples.path: shown.samples.n for shown in classes if shown.samples}
    strips |= {row.path: row.n for row in rows.values()}
    strips |= {sheet.path: len(sheet.features) for sheet in sheets.values()}
    patches = [unit.patches for unit in units.values() if unit.patches]
    files = {path: _strip(n) for path, n in strips.items()}
    return files | {sample.path: _patches(sample.n) for sample in patches}


@cache
def _strip(n: int) -> bytes:
    return _sprites(n, in_rows=False)


@cache
def _patches(n: int) -> bytes:
    return _sprites(n, in_rows=True)


def _sprites(n: int, in_rows: bool) -> bytes:
    sprites = Sprites(n, SIDE, in_rows)
    for i, tile in enumerate(np.random.default_rng(n).integers(0, 256, (n, SIDE, SIDE, 3))):
        sprites.put(i, Image.fromarray(tile.astype(np.uint8)))
    return sprites.encoded()
