"""When the report is drawn, and what the terminal shows at the end of a run (driver).

What draws it is imported when something is new: pandas, DuckDB and Matplotlib take two seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from kdsspark.config import Config
from kdsspark.config.redaction import redacted
from kdsspark.engine.stage import Context, FeatureClassWanted, ItemPlan, total
from kdsspark.engine.work import started_beside
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.held import beyond
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.report.experiment_queries import EXPERIMENT_QUERIES
from kdsspark.report.queries import DISAGREEMENTS, QUERIES
from kdsspark.stages import EMBED, EXEMPLARS, EXPERIMENTS, MEASURE, PROBE, REPORT, SUMMARIZE
from kdsspark.stages.embed import complete, duplicates, processors
from kdsspark.stages.report import files, looks
from kdsspark.tables import HISTOGRAMS, THRESHOLDS
from kdsspark.terminal import Progress, aligned
from kdsspark.versions import versions

_FORMAT: Final = 6  # of the pages: with another number, every report is drawn again
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
            and files.count(output) == drawn.counts["files"]
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
    queries = _queries(config) | _experiments(output)
    with Progress(REPORT.name, len(queries) + 1, "steps") as progress:
        _draw(context, planned, queries, progress)
        progress.show(len(queries) + 1)
    REPORT.receipts(output).write(Receipt(_ITEM, planned.digest, {"files": files.count(output)}))


def _draw(
    context: Context, planned: ReportPlan, queries: dict[str, str], progress: Progress
) -> None:
    with _starting(context) as starting:
        from kdsspark.stages.report import gathering

        shown = gathering.gathered(starting, planned.made, queries, progress)
        with shown as (data, figures):
            from kdsspark.report import site

            files.replace(context.output, site.render(data, figures))


@contextmanager
def _starting(context: Context) -> Iterator[Context]:
    """Spark, which reads images and histograms, starts beside all that does without.

    Where there are none, it is not started.
    """
    if not (context.config.image_datasets or context.output.files(HISTOGRAMS.name)):
        yield context
        return
    with started_beside(context.session) as session:
        yield replace(context, session=session)


def _refuse_unsummarized(output: Output, pairs: Sequence[Pair]) -> None:
    rows = parquet.read(output, THRESHOLDS, columns=["network", "dataset"]).to_pylist()
    for network, dataset in set(pairs) - {Pair(row["network"], row["dataset"]) for row in rows}:
        raise DatasetError(
            f"dataset {dataset}: is not summarized for network {network}, "
            f"run the summarize stage first"
        )


def _queries(config: Config) -> dict[str, str]:
    return QUERIES | ({"disagreements": DISAGREEMENTS} if config.measure.distances else {})


def _experiments(output: Output) -> dict[str, str]:
    """The queries of the experiments that have written all of their tables."""
    done = [
        one.name for one in EXPERIMENTS if all(output.files(table.name) for table in one.tables)
    ]
    return {name: q for name, q in EXPERIMENT_QUERIES.items() if name.partition("/")[0] in done}


def _digest(config: Config, made: Sequence[Receipt], wanted: Sequence[FeatureClassWanted]) -> str:
    """The digest of everything that a report follows from."""
    tables = sorted((r.item, r.digest, *r.counts.items(), *r.seconds.items()) for r in made)
    shown = [_FORMAT, redacted(config), versions(), [list(one) for one in wanted]]
    return fingerprint([fingerprint(shown), fingerprint(tables)])


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
