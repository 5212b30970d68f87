"""Everything that the report shows, gathered from the tables and images (driver)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kdsspark.config import Config
from kdsspark.config.redaction import without_secrets
from kdsspark.engine.stage import Context
from kdsspark.output.held import beyond
from kdsspark.output.receipts import Receipt
from kdsspark.query import duck, view_queries
from kdsspark.report.data import FeatureClass, ReportData
from kdsspark.report.experiment_queries import EXPERIMENT_QUERIES
from kdsspark.stages.embed import processors
from kdsspark.stages.report import curves, facts, rest
from kdsspark.stages.report.disagreements import with_bins
from kdsspark.stages.report.feature_classes import read_feature_classes
from kdsspark.stages.report.pictures import filters, galleries
from kdsspark.terminal import Progress

if TYPE_CHECKING:
    from kdsspark.report.parts.drawing import Figures, Wanted


@contextmanager
def gathered(
    context: Context,
    made: Sequence[Receipt],
    queries: Mapping[str, str],
    progress: Progress,
) -> Iterator[tuple[ReportData, Figures]]:
    """What the pages show, and their figures, which are drawn meanwhile.

    ``made`` are the receipts of what it follows from, ``queries`` the SQL by name. Queries that no
    choice depends on are asked while executors cut the images; figures are drawn while the pages
    are written. Raises :class:`ConfigError` for an unknown feature or class of ``context.drawn``.
    """
    output = context.output
    drawn = read_feature_classes(output, context.config, context.drawn)
    with (
        ExitStack() as to_the_end,
        duck.opened(output, view_queries.reads(*queries.values())) as database,
        ThreadPoolExecutor(1) as beside,
    ):
        answers = _Answers(database, queries, context.config, progress)
        choice = galleries.choose(context, answers.of(galleries.CHOOSES_FROM))
        others = beside.submit(_ready_to_draw, context, made, answers, drawn)
        pictures = galleries.pictures(context, choice)
        data, wanted_figures = others.result()
        figures = to_the_end.enter_context(_drawn_beside(wanted_figures))
        lowest = rest.lowest(data.frames["class_extremes"])
        wanted = curves.together(galleries.counts_shown(choice), rest.counts_compared(lowest))
        counts = curves.read(context.session, output, wanted)
        yield (
            replace(
                data,
                frames={**data.frames, "rest": rest.medians(lowest, counts)},
                galleries=galleries.galleries(output, choice, pictures, counts),
            ),
            figures,
        )


def _ready_to_draw(
    context: Context, made: Sequence[Receipt], answers: _Answers, drawn: Sequence[FeatureClass]
) -> tuple[ReportData, list[Wanted]]:
    """What the pages show beside images, and its figures; processes get ready if these are many."""
    from kdsspark.report import site  # takes half a second, which is free here
    from kdsspark.report.parts import drawing

    data = _without_images(context, made, answers, drawn)
    figures = list(site.figures(data))
    if drawing.are_many(figures):
        drawing.begin_to_import()
    return data, figures


def _drawn_beside(figures: Sequence[Wanted]) -> AbstractContextManager[Figures]:
    """Half of the cores draw; one of the others writes pages."""
    from kdsspark.report.parts import drawing

    return drawing.drawn_beside(figures, max(1, (os.cpu_count() or 1) // 2))


@dataclass(frozen=True, eq=False)
class _Answers:
    """The rows of the queries, of configured pairs. Each query is asked once."""

    database: duck.Connection
    queries: Mapping[str, str]
    config: Config
    progress: Progress
    frames: dict[str, pd.DataFrame] = field(default_factory=dict)

    def of(self, names: Iterable[str]) -> dict[str, pd.DataFrame]:
        """The rows of these queries, and of those that were asked before."""
        for name in names:
            if name not in self.frames:
                rows = duck.query(self.database, self.queries[name])
                self.frames[name] = _of_config(rows, self.config)
                self.progress.show(len(self.frames))
        return self.frames


def _without_images(
    context: Context,
    made: Sequence[Receipt],
    answers: _Answers,
    drawn: Sequence[FeatureClass],
) -> ReportData:
    """What the pages show beside the galleries and the frame ``rest``."""
    output, config = context.output, context.config
    frames = dict(answers.of(answers.queries))
    frames["failures"] = _redacted(frames["failures"])
    frames["sizes"] = facts.sizes(output, config)
    extremes = frames.pop("disagreements", None)
    kinds = processors.of_pairs(output, context.pairs)
    return ReportData(
        facts.run_info(config, made),
        facts.networks(output, config),
        frames,
        {d.name: d.group for d in config.datasets if d.group is not None},
        drawn,
        None if extremes is None else with_bins(output, extremes),
        filters=filters.of_networks(output, config),
        experiments={n: _ranked(frames[n], config) for n in EXPERIMENT_QUERIES if n in frames},
        beyond=tuple(map(str, beyond(output, config))),
        computed_on=facts.computed_on(kinds),
        mixtures=processors.mixtures(kinds),
    )


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
