"""Synthetic tables, true to the declarations of ``kdsspark.tables``, and the queries run on them.

DuckDB stands in for Spark: it understands the same SQL, needs milliseconds, and refuses unknown
columns. ``tests/stages/report/test_stage.py`` compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from kdsspark.output.output import Output
from kdsspark.query.view_queries import VIEW_QUERIES
from kdsspark.report.data import NetworkInfo, ReportData, RunInfo
from kdsspark.report.queries import QUERIES
from kdsspark.stats.summaries.thresholds import DISTRIBUTION_BINS
from kdsspark.tables import TABLES
from tests.report import galleries

SCRIPT = "<script>alert(1)</script>"
N_FAILED = 7
SIGNS = {"+": 1, "-": -1}
BESIDE = {
    "rest": ["network", "dataset", "layer", "unit", "class_id", "ks", "own", "rest"],
    "sizes": ["network", "layer", "neurons", "parameters"],
}
"""Frames of the report that no query gives."""
VGG = [f"conv{b}_{i}" for b, n in ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3)) for i in range(1, n + 1)]
VGG_LAYERS = [(name, "conv") for name in VGG] + [("fc6", "fc"), ("fc7", "fc")]

Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Study:
    """One network over some datasets: what to make up. ``datasets``: name -> class names."""

    network: str
    layers: Sequence[tuple[str, str]]
    datasets: dict[str, list[str]]
    units: int = 20
    per_class: int = 30
    dead: float = 0.0
    random: bool = False


def made_up_ks(study: Study, n_classes: int, rng: np.random.Generator) -> dict[str, Any]:
    """{labels: ks by (layer, unit, class)}; NaN for a single class, as the contract says."""
    shape = (len(study.layers), study.units, n_classes)
    signs = np.where(rng.random(shape) < 0.45, 1, -1)
    chance = -np.log(rng.random((2, *shape))) / (2 * study.per_class)
    gain = 0.06 + 0.006 * np.arange(shape[0])[:, None, None]
    effect = gain * rng.lognormal(0, 0.5, shape) * rng.lognormal(0, 0.25, n_classes)
    true = signs * np.minimum(np.sqrt(chance[0] + effect**2), 1)
    shuffled = signs[:, :, ::-1] * np.minimum(np.sqrt(chance[1]), 1)
    dead = rng.random(shape[:2]) < study.dead
    true[dead] = shuffled[dead] = 0
    if n_classes == 1:
        true[:] = shuffled[:] = np.nan
    return {"true": true, "shuffled": shuffled}


def above(ks: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """(class, x): features of a class strictly above x."""
    flat = ks.reshape(-1, ks.shape[-1])
    return np.stack([(flat > x).sum(axis=0) for x in grid], axis=1)


def add_davg(out: dict[str, list[dict]], head: dict, ks: dict[str, np.ndarray]) -> dict[str, Any]:
    grid, best = np.arange(1001) / 1000, {}
    for sign, factor in SIGNS.items():
        true, shuffled = (above(factor * ks[k], grid).mean(axis=0) for k in ("true", "shuffled"))
        at = int(np.argmax(true - shuffled))
        best[sign] = (grid[at], (true - shuffled)[at])
        for x, a, b in zip(grid, true, shuffled, strict=True):
            out["davg"].append(
                {**head, "x": x, "sign": sign, "n_true": a, "n_shuffled": b, "davg": a - b}
            )
    if np.isnan(ks["true"]).all():
        return dict.fromkeys(("t_plus", "davg_plus", "t_minus", "davg_minus"))
    (plus, davg_plus), (minus, davg_minus) = best["+"], best["-"]
    return {
        "t_plus": plus,
        "davg_plus": davg_plus,
        "t_minus": -minus,
        "davg_minus": davg_minus,
    }


def add_layers(out: dict[str, list[dict]], head: dict, ks: np.ndarray, best: dict, study: Study):
    for (layer, kind), values in zip(study.layers, ks, strict=True):
        edges = np.linspace(-1, 1, DISTRIBUTION_BINS + 1)
        counts = np.histogram(values[~np.isnan(values)], edges)[0]
        for b, n in enumerate(counts):
            row = {"kind": kind, "layer": layer, "bin": b, "lo": edges[b], "hi": edges[b + 1]}
            out["distribution"].append({**head, **row, "n": int(n)})
        for sign, factor in SIGNS.items():
            inside = factor * values[factor * values > 0]
            row = {"layer": layer, "sign": sign, "n": inside.size}
            if inside.size:
                t = factor * best["t_plus" if sign == "+" else "t_minus"]
                mu, sigma = np.log(inside).mean(), np.log(inside).std()
                row |= {"mode": np.exp(mu - sigma**2), "kept": (inside > t).sum() / values.size}
                row |= {"low": np.exp(mu - sigma), "high": np.exp(mu + sigma)}
                row |= {q: np.quantile(inside, float(q[1:]) / 100) for q in ("q16", "q50", "q84")}
            out["layers"].append({**head, **row})


def add_ks(out: dict[str, list[dict]], head: dict, ks: np.ndarray, study: Study) -> None:
    for (layer, _), by_unit in zip(study.layers, ks, strict=True):
        for unit, by_class in enumerate(by_unit):
            for class_id, value in enumerate(by_class):
                row = {"layer": layer, "unit": unit, "class_id": class_id, "shuffle": 0}
                sizes = {"n_inner": study.per_class, "n_outer": 1}
                out["ks"].append({**head, **row, **sizes, "ks": value})


def add_survival(out: dict[str, list[dict]], head: dict, ks: np.ndarray) -> None:
    grid, shuffle = np.arange(101) / 100, int(head["labels"] == "shuffled")
    for sign, factor in SIGNS.items():
        for class_id, curve in enumerate(above(factor * ks, grid)):
            for x, n in zip(grid, curve, strict=True):
                row = {"class_id": class_id, "shuffle": shuffle, "sign": sign, "x": x}
                out["survival"].append({**head, **row, "n_features": int(n)})


def add_dataset(out: dict[str, list[dict]], study: Study, name: str, seed: int) -> None:
    rng, classes = np.random.default_rng(seed), study.datasets[name]
    head = {"network": study.network, "dataset": name}
    ks = made_up_ks(study, len(classes), rng)
    best = add_davg(out, head, ks)
    failed = N_FAILED if name == next(iter(study.datasets)) else 0
    n_images = study.per_class * len(classes) - failed
    size = {"n_images": n_images, "n_classes": len(classes)}
    size |= {"images_per_class": n_images / len(classes), "significant": 1000 + seed}
    out["thresholds"].append({**head, **size, **best})
    add_ks(out, {**head, "labels": "true"}, ks["true"], study)
    for labels, values in ks.items():
        add_layers(out, {**head, "labels": labels}, values, best, study)
        add_survival(out, {**head, "labels": labels}, values)


def add_images(out: dict[str, list[dict]], dataset: str, classes: list[str], n: int) -> None:
    for class_id, class_name in enumerate(classes):
        for i in range(n):
            row = {"image_id": f"{class_id:04d}{i:04d}", "uri": f"/data/{dataset}/{i}.jpg"}
            named = {"class_id": class_id, "class_name": class_name, "version": "1"}
            out["images"].append({"dataset": dataset, **row, **named})


def make_tables(studies: Sequence[Study]) -> Tables:
    """Every table the queries read, for all ``studies``; the first images of each failed."""
    out: dict[str, list[dict]] = {name: [] for name in TABLES}
    for study in studies:
        rows = enumerate(study.layers)
        for depth, (layer, kind) in rows:
            for unit in range(study.units):
                row = {"layer": layer, "unit": unit, "kind": kind, "depth": depth}
                feature = depth * study.units + unit
                out["features"].append({"network": study.network, **row, "feature": feature})
        for seed, name in enumerate(study.datasets):
            add_dataset(out, study, name, seed)
    for dataset, classes in {k: v for s in studies for k, v in s.datasets.items()}.items():
        add_images(out, dataset, classes, studies[0].per_class)
    for study in studies:
        first = [i for i in out["images"] if i["dataset"] == next(iter(study.datasets))]
        cause = {"stage": "decode", "error": "UnidentifiedImageError", "message": "no <image>"}
        out["failures"] += [{"network": study.network, **i, **cause} for i in first[:N_FAILED]]
    return {name: pd.DataFrame(rows) for name, rows in out.items()}


def run_queries(tables: Tables) -> dict[str, pd.DataFrame]:
    """The result of every query, over tables with exactly the declared columns."""
    with duckdb.connect() as connection:
        for name, table in TABLES.items():
            partitions = [pa.field(partition, pa.string()) for partition in table.partitioned_by]
            connection.register("rows", _typed(tables[name], [*partitions, *table.schema]))
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM rows")
        return run_on(connection)


def _typed(frame: pd.DataFrame, fields: list[pa.Field]) -> pa.Table:
    """The frame with these columns, null where it lacks one."""
    columns = {
        field.name: pa.array(frame[field.name], field.type, from_pandas=True)
        if field.name in frame
        else pa.nulls(len(frame), field.type)
        for field in fields
    }
    return pa.table(columns)


def run_on(
    connection: duckdb.DuckDBPyConnection, queries: Mapping[str, str] = QUERIES
) -> dict[str, pd.DataFrame]:
    """The result of every query in a database that has the tables; adds the ready-made views.

    What no query gives is empty, as for ready-made embeddings without histograms.
    """
    for name, sql in VIEW_QUERIES.items():
        connection.execute(f"CREATE VIEW {name} AS {sql}")
    beside = {name: pd.DataFrame(columns=columns) for name, columns in BESIDE.items()}
    return {name: _fetched(connection.sql(sql)) for name, sql in queries.items()} | beside


def run_on_files(output: Output, queries: Mapping[str, str] = QUERIES) -> dict[str, pd.DataFrame]:
    """The result of every query over the files of an output."""
    with duckdb.connect() as connection:
        for name, table in TABLES.items():
            if output.files(name):
                files = f"{output.path(name)}/**/*.parquet"
                rows = f"SELECT * FROM read_parquet('{files}', hive_partitioning = true)"
                # A table: over files, DuckDB 2.0 forgets a filter by partition in a window.
                connection.execute(f"CREATE TABLE {name} AS {rows}")
            else:
                partitions = [
                    pa.field(partition, pa.string()) for partition in table.partitioned_by
                ]
                connection.register("rows", pa.schema([*partitions, *table.schema]).empty_table())
                connection.execute(f"CREATE TABLE {name} AS SELECT * FROM rows")
        return run_on(connection, queries)


def _fetched(result: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    """As Spark gives it: sums of integers are 64-bit integers."""
    columns = zip(result.columns, result.types, strict=True)
    sums = {name: np.int64 for name, kind in columns if str(kind) == "HUGEINT"}
    return result.df().astype(sums)


def describe(study: Study) -> NetworkInfo:
    return NetworkInfo(
        name=study.network,
        architecture="vgg16",
        weights="random" if study.random else "IMAGENET1K_V1",
        random=study.random,
        layers=len(study.layers),
        features=len(study.layers) * study.units,
        crops="ten",
        precision="float32",
        activation="post_relu",
        pooling="mean",
        preprocessing="short side 256 (bilinear), crops of 224",
    )


def make_report(*studies: Study, tables: Tables | None = None, pictures: bool = True) -> ReportData:
    """The report's data for the studies, whose ``tables`` are made here if they are not given.

    Without ``pictures``, images cannot be shown, as for ready-made embeddings.
    """
    run = RunInfo(
        when="2024-03-01 12:30 UTC",
        duration_s=192.0,
        versions={"kdsspark": "0.1.0", "python": "3.11.2", "pyspark": "4.0.0"},
        configuration='output: out\ndatasets:\n  - {name: "<b>birds</b>"}\n',
    )
    infos = [describe(study) for study in studies]
    tables = make_tables(studies) if tables is None else tables
    shown = galleries.of_tables(tables, pictures)
    return ReportData(run=run, networks=infos, frames=run_queries(tables), galleries=shown)


BIRDS = [SCRIPT, "quote \" and ' & co", "r\u00e9sum\u00e9 \u9ce5 \U0001f426", "a/b=c"]
BIRDS += [f"bird {i}" for i in range(8)]
