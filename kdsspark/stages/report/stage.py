"""The report and the closing table, gathered from the tables (driver)."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
import yaml

from kdsspark.config import Config
from kdsspark.config.redaction import redacted, without_secrets
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.network.spec import NetworkSpec
from kdsspark.output import parquet, receipts
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.query import view_queries, views
from kdsspark.report.data import NetworkInfo, ReportData, RunInfo
from kdsspark.report.queries import DISAGREEMENTS, QUERIES, histograms_of
from kdsspark.report.site import render
from kdsspark.stages.embed.networks import saved_networks
from kdsspark.stages.report.disagreements import with_bins
from kdsspark.stages.report.feature_classes import Wanted, read_feature_classes
from kdsspark.tables import FEATURES, THRESHOLDS
from kdsspark.terminal import Progress, aligned
from kdsspark.versions import versions

_FORMAT: Final = 2  # of the pages: with another number, every report is drawn again
_FOLDER: Final = "report"
_TOGETHER: Final = 4  # queries at a time, because their many short jobs leave cores idle
_MADE_BY: Final = (receipts.EMBED, receipts.MEASURE, receipts.SUMMARIZE)  # what the report shows


def write_report(
    session: Any,
    store: Store,
    config: Config,
    pairs: Sequence[tuple[str, str]],
    wanted_pairs: Sequence[Wanted] = (),
) -> None:
    """Run the report's queries and replace ``report/`` file by file, ``index.html`` last.

    Nothing is done where the report was drawn from the same tables, settings and versions and all
    of its files are there. ``wanted_pairs``: (dataset, layer, unit, name of the class) to draw as
    figure 1 of the paper, by every network that has the dataset and layer. Files of earlier reports
    are removed. Raises :class:`DatasetError` where a (network, dataset) of ``pairs`` is not
    summarized, and :class:`ConfigError` for a wanted pair that is not there.
    """
    rows = parquet.read(store, THRESHOLDS, columns=["network", "dataset"]).to_pylist()
    for network, dataset in set(pairs) - {(row["network"], row["dataset"]) for row in rows}:
        raise DatasetError(
            f"dataset {dataset}: is not summarized for network {network}, "
            f"run the summarize stage first"
        )
    made = [r for stage in _MADE_BY for r in receipts.read(store, stage).values()]
    digest = _digest(config, made, wanted_pairs)
    drawn_last = receipts.find(store, receipts.REPORT, _FOLDER)
    if drawn_last and drawn_last.digest == digest and _n_files(store) == drawn_last.counts["files"]:
        print("report: shows these tables already", file=sys.stderr)
        return
    if drawn_last:
        receipts.remove(store, receipts.REPORT, _FOLDER)
    steps = len(_queries(config)) + 1
    with Progress("report", steps, "steps") as progress:
        data = _gathered(session, store, config, wanted_pairs, made, progress)
        _replace(store, render(data))
        progress.show(steps)
    receipts.write(store, receipts.REPORT, Receipt(_FOLDER, digest, {"files": _n_files(store)}))


def _gathered(
    session: Any,
    store: Store,
    config: Config,
    wanted_pairs: Sequence[Wanted],
    made: Sequence[Receipt],
    progress: Progress,
) -> ReportData:
    """All that the report shows; ``made`` are the receipts of what it follows from."""
    queries = _queries(config)
    read = view_queries.reads(*queries.values(), histograms_of(1))
    opened = views.opened(session, store, read)
    drawn = read_feature_classes(opened, store, config, wanted_pairs)
    frames = {}
    with ThreadPoolExecutor(_TOGETHER) as pool:
        results = pool.map(partial(views.query, opened), queries.values())
        for done, (name, frame) in enumerate(zip(queries, results, strict=True), start=1):
            frames[name] = _of_config(frame, config)
            progress.show(done)
    frames["failures"] = _redacted(frames["failures"])
    groups = {d.name: d.group for d in config.datasets if d.group is not None}
    extremes = frames.pop("disagreements", None)
    disagreements = None if extremes is None else with_bins(opened, extremes)
    networks = _networks(store, config)
    return ReportData(_run(config, made), networks, frames, groups, drawn, disagreements)


def _queries(config: Config) -> dict[str, str]:
    return QUERIES | ({"disagreements": DISAGREEMENTS} if config.measure.distances else {})


def _digest(config: Config, made: Sequence[Receipt], wanted_pairs: Sequence[Wanted]) -> str:
    """Of all that a report follows from."""
    tables = sorted((r.unit, r.digest, *r.counts.items(), *r.seconds.items()) for r in made)
    shown = [_FORMAT, redacted(config), versions(), [list(pair) for pair in wanted_pairs]]
    return fingerprint([fingerprint(shown), fingerprint(tables)])


def _n_files(store: Store) -> int:
    return len(store.files(_FOLDER))


def _replace(store: Store, files: Mapping[str, bytes]) -> None:
    """Write the files of a report, the first page last, and remove those of earlier ones."""
    old = set(store.files(_FOLDER)) - {f"{_FOLDER}/{name}" for name in files}
    for name in sorted(files, key=lambda name: name == "index.html"):
        with store.create(f"{_FOLDER}/{name}") as file:
            file.write(files[name])
    for path in sorted(old):
        store.remove(path)


def _redacted(failures: pd.DataFrame) -> pd.DataFrame:
    texts = {name: failures[name].map(without_secrets) for name in ("uri", "message")}
    return failures.assign(**texts)


def closing_table(store: Store, config: Config) -> str:
    """Per dataset: images, failures, t+ and t-, and where the report is; for the terminal."""
    thresholds = parquet.read(store, THRESHOLDS).to_pylist()
    found = {(row["network"], row["dataset"]): row for row in thresholds}
    rows = [("network", "dataset", "images", "failed", "t+", "t-")]
    for network, dataset in config.pairs():
        row = found.get((network, dataset.name), {})
        shards = receipts.read(store, receipts.EMBED, f"{network}/{dataset.name}").values()
        n_failed = sum(shard.counts["failed"] for shard in shards)
        limits = (_three_digits(row.get("t_plus")), _three_digits(row.get("t_minus")))
        images = row.get("n_images", 0) + n_failed
        rows.append((network, dataset.name, f"{images:,}", f"{n_failed:,}", *limits))
    table = aligned(rows, to_the_right=range(2, 6))
    return f"{table}\n\nreport: {store.path('report/index.html')}"


def _three_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _of_config(frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    """The rows of what is configured: an output may hold datasets of other configurations."""
    pairs = {(network, dataset.name) for network, dataset in config.pairs()}
    keys = [name for name in ("network", "dataset") if name in frame]
    configured = {pair[: len(keys)] for pair in pairs}
    found = zip(*(frame[name] for name in keys), strict=True)
    wanted = np.array([key in configured for key in found], dtype=bool)
    return frame[wanted].reset_index(drop=True)


def _run(config: Config, made: Sequence[Receipt]) -> RunInfo:
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "duration_s": sum(sum(receipt.seconds.values()) for receipt in made),
        "versions": versions(),
        "configuration": yaml.safe_dump(redacted(config), sort_keys=False, allow_unicode=True),
    }


def _networks(store: Store, config: Config) -> list[NetworkInfo]:
    specs = saved_networks(store, config)
    names = dict.fromkeys(network for network, _ in config.pairs())
    return [_network(store, name, specs.get(name)) for name in names]


def _network(store: Store, name: str, spec: NetworkSpec | None) -> NetworkInfo:
    features = parquet.read(store, FEATURES, name, columns=["layer"])["layer"]
    return {
        "name": name,
        "architecture": spec.architecture if spec else None,
        "weights": spec.weights if spec else None,
        "random": spec is not None and spec.weights == "random",
        "layers": len(features.unique()),
        "features": len(features),
        "crops": spec.crops if spec else None,
        "precision": spec.precision if spec else None,
        "activation": spec.activation if spec else None,
        "pooling": spec.pooling if spec else None,
    }
