"""The report and the closing table, gathered from the tables (driver)."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Final

import numpy as np
import pandas as pd
import yaml

from kdsspark.config import Config, Preprocessing
from kdsspark.config.redaction import redacted, without_secrets
from kdsspark.engine.stage import Context, FeatureClassWanted, ItemPlan, total
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.network.spec import NetworkSpec
from kdsspark.output import parquet
from kdsspark.output.held import beyond
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.query import duck, view_queries
from kdsspark.report.data import ComputedOn, NetworkInfo, ReportData, RunInfo
from kdsspark.report.experiment_queries import EXPERIMENT_QUERIES
from kdsspark.report.queries import DISAGREEMENTS, QUERIES
from kdsspark.stages import EMBED, EXEMPLARS, EXPERIMENTS, MEASURE, PROBE, REPORT, SUMMARIZE
from kdsspark.stages.embed import complete, duplicates, processors
from kdsspark.stages.embed.networks import layer_sizes, saved_networks
from kdsspark.stages.report import looks, rest
from kdsspark.stages.report.disagreements import with_bins
from kdsspark.stages.report.feature_classes import read_feature_classes
from kdsspark.stages.report.pictures import filters
from kdsspark.stages.report.pictures.galleries import choose, galleries
from kdsspark.tables import FEATURES, HISTOGRAMS, THRESHOLDS
from kdsspark.terminal import Progress, aligned
from kdsspark.versions import versions

_FORMAT: Final = 4  # of the pages: with another number, every report is drawn again
_WRITTEN_AT_ONCE: Final = 8  # files, for object stores
_FOLDER: Final = "report"
_ITEM: Final = ItemName("report")
_MADE_BY: Final = (  # the report shows what they wrote
    EMBED, MEASURE, SUMMARIZE, EXEMPLARS, PROBE, *EXPERIMENTS,
)  # fmt: skip


@dataclass(frozen=True)
class ReportPlan(ItemPlan):
    """What the report must show."""

    made: tuple[Receipt, ...]  # of all that it follows from
    digest: str

    def finished(self, output: Output) -> bool:
        """Whether the report shows it, and all of its files are there."""
        drawn = REPORT.receipts(output).find(_ITEM)
        return (
            drawn is not None
            and drawn.digest == self.digest
            and _n_files(output) == drawn.counts["files"]
        )


def plan(
    output: Output, config: Config, _: Pair | None = None, wanted: Sequence[FeatureClassWanted] = ()
) -> ReportPlan:
    """What the report must show, whether it does or not; ``wanted`` as for :func:`run`."""
    pairs = {Pair(network, dataset.name) for network, dataset in config.pairs()}
    every = (r for stage in _MADE_BY for r in stage.receipts(output).all().values())
    made = tuple(receipt for receipt in every if receipt.item.pair in pairs)
    asked = looks.read(output)
    more = [sorted(asked.units), sorted(asked.classes), *map(str, beyond(output, config))]
    digest = fingerprint([_digest(config, made, wanted), *more])
    return ReportPlan(REPORT.name, {_ITEM: digest}, made, digest)


def run(context: Context) -> None:
    """Run the report's queries and replace ``report/`` file by file, ``index.html`` last.

    Does nothing if the report was drawn from the same tables, settings and versions and has all of
    its files. ``context.drawn`` are features and classes to draw as figure 1 of the paper, for
    every network that has the dataset and layer. Removes files of earlier reports. Raises
    :class:`DatasetError` for a pair that is not summarized, and :class:`ConfigError` for an unknown
    feature or class.
    """
    output, config, wanted = context.output, context.config, context.drawn
    _refuse_unsummarized(output, complete.working_pairs(context))
    planned = plan(output, config, wanted=wanted)
    if planned.finished(output):
        print("report: shows these tables already", file=sys.stderr)
        return
    REPORT.receipts(output).remove(_ITEM)
    steps = len(_queries(config)) + len(_experiments(output)) + 1
    with Progress(REPORT.name, steps, "steps") as progress:
        data = _gathered(context, planned.made, progress)
        gc.freeze()  # each collection would look through all of it
        try:
            _replace(output, _site().render(data, os.cpu_count() or 1))
        finally:
            gc.unfreeze()
        progress.show(steps)
    REPORT.receipts(output).write(Receipt(_ITEM, planned.digest, {"files": _n_files(output)}))


def _site() -> ModuleType:
    """The pages: with Matplotlib, whose import takes a second that nothing new does not need."""
    from kdsspark.report import site

    return site


def _refuse_unsummarized(output: Output, pairs: Sequence[Pair]) -> None:
    rows = parquet.read(output, THRESHOLDS, columns=["network", "dataset"]).to_pylist()
    for network, dataset in set(pairs) - {Pair(row["network"], row["dataset"]) for row in rows}:
        raise DatasetError(
            f"dataset {dataset}: is not summarized for network {network}, "
            f"run the summarize stage first"
        )


def _gathered(context: Context, made: Sequence[Receipt], progress: Progress) -> ReportData:
    """Everything that the report shows; ``made`` are the receipts of what it follows from."""
    output, config = context.output, context.config
    experiments = _experiments(output)
    drawn = read_feature_classes(output, config, context.drawn)
    with ThreadPoolExecutor(1) as beside:
        # Spark, which reads the images and the histograms, starts beside all that does without.
        needed = config.image_datasets or output.files(HISTOGRAMS.name)
        started = beside.submit(lambda: needed and context.session.sparkContext)
        frames = _answers(output, config, _queries(config) | experiments, progress)
        choice = choose(context, frames)
        frames["rest"] = rest.medians(output, frames["class_extremes"])
        _site()
        started.result()
    shown = galleries(context, choice)
    frames["failures"] = _redacted(frames["failures"])
    groups = {d.name: d.group for d in config.datasets if d.group is not None}
    extremes = frames.pop("disagreements", None)
    disagreements = None if extremes is None else with_bins(output, extremes)
    frames["sizes"] = _sizes(output, config)
    networks = _networks(output, config)
    others = tuple(map(str, beyond(output, config)))
    kinds = processors.of_pairs(output, context.pairs)
    return ReportData(
        _run(config, made),
        networks,
        frames,
        groups,
        drawn,
        disagreements,
        shown,
        filters.of_networks(output, config),
        {name: _ranked(frames[name], config) for name in experiments},
        others,
        _computed_on(kinds),
        processors.mixtures(kinds),
    )


def _answers(
    output: Output, config: Config, queries: Mapping[str, str], progress: Progress
) -> dict[str, pd.DataFrame]:
    """The rows of every query, of configured pairs."""
    frames = {}
    with duck.opened(output, view_queries.reads(*queries.values())) as database:
        for done, (name, sql) in enumerate(queries.items(), start=1):
            frames[name] = _of_config(duck.query(database, sql), config)
            progress.show(done)
    return frames


def _queries(config: Config) -> dict[str, str]:
    return QUERIES | ({"disagreements": DISAGREEMENTS} if config.measure.distances else {})


def _experiments(output: Output) -> dict[str, str]:
    """The queries of the experiments that have written all of their tables."""
    done = [
        one.name for one in EXPERIMENTS if all(output.files(table.name) for table in one.tables)
    ]
    return {name: q for name, q in EXPERIMENT_QUERIES.items() if name.partition("/")[0] in done}


def _ranked(frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    """The rows of an experiment with the rank that the configuration gives each dataset."""
    ranks = {dataset.name: dataset.rank for dataset in config.datasets}
    return frame.assign(rank=frame["dataset"].map(ranks).astype(float))


def _digest(config: Config, made: Sequence[Receipt], wanted: Sequence[FeatureClassWanted]) -> str:
    """The digest of everything that a report follows from."""
    tables = sorted((r.item, r.digest, *r.counts.items(), *r.seconds.items()) for r in made)
    shown = [_FORMAT, redacted(config), versions(), [list(one) for one in wanted]]
    return fingerprint([fingerprint(shown), fingerprint(tables)])


def _n_files(output: Output) -> int:
    return len(output.files(_FOLDER))


def _replace(output: Output, files: Mapping[str, bytes]) -> None:
    """Write the files of a report, the first page last, and remove those of earlier ones."""
    old = set(output.files(_FOLDER)) - {f"{_FOLDER}/{name}" for name in files}

    def write(name: str) -> None:
        with output.create(f"{_FOLDER}/{name}") as file:
            file.write(files[name])

    with ThreadPoolExecutor(_WRITTEN_AT_ONCE) as pool:
        list(pool.map(write, sorted(files.keys() - {"index.html"})))
    write("index.html")
    for path in sorted(old):
        output.remove(path)


def _redacted(failures: pd.DataFrame) -> pd.DataFrame:
    texts = {name: failures[name].map(without_secrets) for name in ("uri", "message")}
    return failures.assign(**texts)


def closing(context: Context) -> str:
    """Per dataset: images, failures, t+ and t-, and where the report is; for the terminal.

    Byte-identical images, and embeddings of several kinds of processors, are told first.
    """
    output = context.output
    thresholds = parquet.read(output, THRESHOLDS).to_pylist()
    found = {(row["network"], row["dataset"]): row for row in thresholds}
    rows = [("network", "dataset", "images", "failed", "t+", "t-")]
    for pair in context.pairs:
        row = found.get(pair, {})
        n_failed = total(EMBED.receipts(output).of(pair), "failed")
        limits = (_three_digits(row.get("t_plus")), _three_digits(row.get("t_minus")))
        images = row.get("n_images", 0) + n_failed
        rows.append((*pair, f"{images:,}", f"{n_failed:,}", *limits))
    table = aligned(rows, to_the_right=range(2, 6))
    kinds = processors.of_pairs(output, context.pairs)
    notes = [*duplicates.summary(context), *processors.mixtures(kinds)]
    return "\n".join([*notes, f"{table}\n\nreport: {output.path('report/index.html')}"])


def _three_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _of_config(frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    """The rows of configured pairs: an output may hold datasets of other configurations."""
    pairs = {(network, dataset.name) for network, dataset in config.pairs()}
    keys = [name for name in ("network", "dataset") if name in frame]
    configured = {pair[: len(keys)] for pair in pairs}
    rows = zip(*(frame[name] for name in keys), strict=True)
    wanted = np.array([key in configured for key in rows], dtype=bool)
    return frame[wanted].reset_index(drop=True)


def _run(config: Config, made: Sequence[Receipt]) -> RunInfo:
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "duration_s": sum(sum(receipt.seconds.values()) for receipt in made),
        "versions": versions(),
        "configuration": yaml.safe_dump(redacted(config), sort_keys=False, allow_unicode=True),
    }


def _networks(output: Output, config: Config) -> list[NetworkInfo]:
    specs = saved_networks(output, config)
    names = dict.fromkeys(network for network, _ in config.pairs())
    return [_network(output, name, specs.get(name)) for name in names]


def _computed_on(kinds: Mapping[Pair, Mapping[str, int]]) -> list[ComputedOn]:
    return [
        {"network": pair.network, "dataset": pair.dataset, "computed_on": kind, "images": n}
        for pair, own in kinds.items()
        for kind, n in own.items()
    ]


def _network(output: Output, name: str, spec: NetworkSpec | None) -> NetworkInfo:
    features = parquet.read(output, FEATURES, name, columns=["layer"])["layer"]
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
        "pooling": _pooling(spec) if spec else None,
        "preprocessing": _in_words(spec.preprocessing) if spec else None,
    }


def _sizes(output: Output, config: Config) -> pd.DataFrame:
    """The sizes of layers, for table 1 of the paper."""
    rows = [
        (network.name, layer, *size)
        for network in config.networks
        for layer, size in layer_sizes(output, network.name).items()
    ]
    return pd.DataFrame(rows, columns=["network", "layer", "neurons", "parameters"])


def _pooling(spec: NetworkSpec) -> str:
    tokens = {layer.tokens for layer in spec.layers} - {"mean"}
    return ", ".join([spec.pooling, *(f"tokens: {which}" for which in tokens)])


def _in_words(p: Preprocessing) -> str:
    mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (p.mean, p.std))
    return (
        f"short side {p.resize} ({p.interpolation}), crops of {p.crop}; "
        f"{p.channels} from 0 to {p.scale}, mean {mean}, std {std}"
    )
