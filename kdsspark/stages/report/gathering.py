"""Everything that the report shows, gathered from the tables and images (driver)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from kdsspark.config import Config
from kdsspark.config.redaction import without_secrets
from kdsspark.engine.stage import Context
from kdsspark.output.held import beyond
from kdsspark.output.receipts import Receipt
from kdsspark.query import duck, view_queries
from kdsspark.report.data import ReportData
from kdsspark.report.experiment_queries import EXPERIMENT_QUERIES
from kdsspark.report.gallery.gallery import Gallery
from kdsspark.stages.embed import processors
from kdsspark.stages.report import facts, rest
from kdsspark.stages.report.disagreements import with_bins
from kdsspark.stages.report.feature_classes import read_feature_classes
from kdsspark.stages.report.pictures import filters
from kdsspark.stages.report.pictures.galleries import CHOOSES_FROM, choose, galleries
from kdsspark.terminal import Progress


def gathered(
    context: Context,
    made: Sequence[Receipt],
    queries: Mapping[str, str],
    started: Callable[[], object],
    progress: Progress,
) -> ReportData:
    """What the pages show.

    ``made`` are the receipts of what it follows from, ``queries`` the SQL by name. ``started``
    waits for Spark, which reads images and histograms. Raises :class:`ConfigError` for an unknown
    feature or class of ``context.drawn``.
    """
    output, config = context.output, context.config
    drawn = read_feature_classes(output, config, context.drawn)
    frames, shown = _answers(context, queries, started, progress)
    frames["failures"] = _redacted(frames["failures"])
    groups = {d.name: d.group for d in config.datasets if d.group is not None}
    extremes = frames.pop("disagreements", None)
    disagreements = None if extremes is None else with_bins(output, extremes)
    frames["sizes"] = facts.sizes(output, config)
    kinds = processors.of_pairs(output, context.pairs)
    ranked = {name: _ranked(frames[name], config) for name in EXPERIMENT_QUERIES if name in frames}
    return ReportData(
        facts.run_info(config, made),
        facts.networks(output, config),
        frames,
        groups,
        drawn,
        disagreements,
        shown,
        filters.of_networks(output, config),
        ranked,
        tuple(map(str, beyond(output, config))),
        facts.computed_on(kinds),
        processors.mixtures(kinds),
    )


def _answers(
    context: Context,
    queries: Mapping[str, str],
    started: Callable[[], object],
    progress: Progress,
) -> tuple[dict[str, pd.DataFrame], list[Gallery]]:
    """The rows of every query, of configured pairs, and the galleries.

    The images are cut beside the queries that no choice depends on.
    """
    output, config = context.output, context.config
    frames: dict[str, pd.DataFrame] = {}
    with duck.opened(output, view_queries.reads(*queries.values())) as database:

        def answer(name: str) -> None:
            frames[name] = _of_config(duck.query(database, queries[name]), config)
            progress.show(len(frames))

        def answer_the_others() -> pd.DataFrame:
            for name in queries:
                if name not in CHOOSES_FROM:
                    answer(name)
            return rest.medians(output, frames["class_extremes"])

        for name in CHOOSES_FROM:
            answer(name)
        choice = choose(context, frames)
        with ThreadPoolExecutor(1) as beside:
            medians = beside.submit(answer_the_others)
            started()
            shown = galleries(context, choice)
            frames["rest"] = medians.result()
    return frames, shown


def _of_config(frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    """The rows of configured pairs: an output may hold datasets of other configurations."""
    pairs = {(network, dataset.name) for network, dataset in config.pairs()}
    keys = [name for name in ("network", "dataset") if name in frame]
    configured = {pair[: len(keys)] for pair in pairs}
    rows = zip(*(frame[name] for name in keys), strict=True)
    wanted = np.array([key in configured for key in rows], dtype=bool)
    return frame[wanted].reset_index(drop=True)


def _ranked(frame: pd.DataFrame, config: Config) -> pd.DataFrame:
    """The rows of an experiment with the rank that the configuration gives each dataset."""
    ranks = {dataset.name: dataset.rank for dataset in config.datasets}
    return frame.assign(rank=frame["dataset"].map(ranks).astype(float))


def _redacted(failures: pd.DataFrame) -> pd.DataFrame:
    texts = {name: failures[name].map(without_secrets) for name in ("uri", "message")}
    return failures.assign(**texts)
