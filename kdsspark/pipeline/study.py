"""One configuration at work: the stages, each of which does only what is not done (driver)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import pyarrow as pa

from kdsspark.config import Config
from kdsspark.datasets import readymade
from kdsspark.engine import session
from kdsspark.errors import TooManyFailuresError
from kdsspark.output import definitions, receipts
from kdsspark.output.receipts import Receipt
from kdsspark.output.store import Store
from kdsspark.stages import check, index
from kdsspark.stages.embed import complete as embedded
from kdsspark.stages.embed import duplicates, networks, shards
from kdsspark.stages.embed import stage as embed
from kdsspark.stages.measure import stage as measure
from kdsspark.stages.probe import stage as probe
from kdsspark.stages.report import stage as reporting
from kdsspark.stages.report.feature_classes import Wanted
from kdsspark.stages.summarize import stage as summarize
from kdsspark.stages.transform import stage as transform
from kdsspark.terminal import Progress

RUN: Final = ("index", "embed", "measure", "summarize", "check", "report")
"""The stages of ``kdsspark run``, in order."""

Timed = Callable[[str], AbstractContextManager[None]]


def _untimed(_: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass
class Study:
    """The stages of one configuration on one output; ``spark`` starts once a stage needs it.

    ``fresh``: where a network or dataset is not what the output was made of, what came from it
    is removed; otherwise that is refused. ``retry_failures``: images that failed are tried again.
    ``drawn``: (dataset, layer, unit, class name) that the report draws as the paper's figure 1.
    """

    config: Config
    fresh: bool = False
    verbose: bool = False
    retry_failures: bool = False
    drawn: Sequence[Wanted] = ()

    def __post_init__(self) -> None:
        # Of Arrow's allocators the one that gives back what is freed: with ten million images the
        # driver peaks at 3.5 GiB by it, at 4.1 by the default one.
        pa.set_memory_pool(pa.system_memory_pool())
        self.spark = session.at_need(self.config.spark, self.verbose)

    @cached_property
    def store(self) -> Store:
        """The output."""
        return Store.at(self.config.output)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(network, dataset) of everything to measure: all but datasets no image of which works."""
        pairs = [(network, dataset.name) for network, dataset in self.config.pairs()]
        return [pair for pair in pairs if not self._all_failed(*pair)]

    def settle(self) -> None:
        """Refuse an output made by other definitions, or clear it of them and of broken uploads."""
        self.store.abort_uploads()
        definitions.settle(self.store, self.config, self.fresh)

    def index(self) -> None:
        """List the images of every dataset, or the rows of ready-made embeddings; say how many."""
        datasets, indexed = self.config.datasets, []
        with Progress("index", len(datasets), "datasets") as progress:
            for done, dataset in enumerate(datasets, start=1):
                indexed.append(index.write_index(self.store, dataset))
                progress.show(done)
        print(*indexed, sep="\n", file=sys.stderr)

    def embed(self) -> None:
        """Embed what is indexed and not embedded; raises :class:`TooManyFailuresError`."""
        self._refuse_failures(self._embed())

    def measure(self) -> None:
        """Measure every dataset whose embeddings, or whose settings, have changed."""
        measure.measure(self.spark, self.store, self.pairs, self.config.measure)

    def summarize(self) -> None:
        """Thresholds, curves and layers of every dataset that was measured anew."""
        summarize.summarize(self.spark, self.store, self.pairs, self.config.measure)

    def check(self) -> None:
        """Hold the invariants against the files; raises :class:`InvariantError`."""
        check.check(self.spark, self.store, self.pairs, self.config.measure)

    def report(self) -> None:
        """Draw the report from the tables, unless it shows them already."""
        reporting.write_report(self.spark, self.store, self.config, self.pairs, self.drawn)

    def transform(self) -> None:
        """Full-network and pruned embeddings of every dataset."""
        config = self.config
        transform.transform(self.spark, self.store, self.pairs, config.transform, config.measure)

    def probe(self) -> None:
        """Linear support vector machines on every layer, as it is and as it is transformed."""
        config = self.config
        settings = (config.probe, config.transform, config.measure)
        probe.probe(self.spark, self.store, self.pairs, *settings)

    def do(self, command: str, timed: Timed = _untimed) -> None:
        """One stage, or all of ``RUN``, each in the context that ``timed`` makes for its name.

        Failures above the limit are raised when everything is done.
        """
        late: TooManyFailuresError | None = None
        for stage in RUN if command == "run" else (command,):
            with timed(stage):
                try:
                    getattr(self, stage)()
                except TooManyFailuresError as error:
                    late = error
        self.gather()
        if late:
            raise late

    def gather(self) -> None:
        """Let the next run read few files where this one left many."""
        for stage in (receipts.EMBED, receipts.MEASURE, receipts.CHECK):
            receipts.keep(self.store, stage)
        for network, dataset in self.config.pairs():
            shards.keep_held_rows(self.store, network, dataset.name)

    def closing_table(self, command: str) -> str:
        """What a command prints when it is done; nothing for most.

        After a report: per dataset images, failures, t+ and t-, and where the report is;
        byte-identical images are told first, where there are some. After a probe: accuracies.
        """
        if command == "probe":
            return probe.closing_table(self.store, self.pairs)
        if command not in ("run", "report"):
            return ""
        twins = duplicates.summary(self.store, list(self._first_networks))
        return "\n".join([*twins, reporting.closing_table(self.store, self.config)])

    def _embed(self) -> list[Receipt]:
        config, store = self.config, self.store
        with_images = [d for d in config.datasets if not d.ready_made]
        sources = [readymade.source(d) for d in config.datasets if d.ready_made]
        networks.write_ready_made_features(store, sources)
        work = embed.plan_imports(store, sources)
        for network in networks.prepare_networks(store, config, self.fresh):
            if self.retry_failures:
                embed.forget_failures(store, network.spec.name, with_images)
            work += embed.plan_images(
                store, with_images, network.spec, network.weights, config.embed
            )
        done = embed.run(self.spark, store, work)
        for name, dataset in config.pairs():
            embedded.commit(store, name, dataset.name)
        duplicates.find(self.spark, store, self._first_networks)
        return done

    @property
    def _first_networks(self) -> dict[str, str]:
        """Dataset -> the first network that embeds it."""
        found: dict[str, str] = {}
        for network, dataset in self.config.pairs():
            found.setdefault(dataset.name, network)
        return found

    def _all_failed(self, network: str, dataset: str) -> bool:
        found = receipts.read(self.store, receipts.EMBED, f"{network}/{dataset}").values()
        return bool(found) and not any(receipt.counts["embedded"] for receipt in found)

    def _refuse_failures(self, receipts: Sequence[Receipt]) -> None:
        """Hold the share of failed images against ``embed.max_failures``, pair by pair."""
        for network, dataset in self.config.pairs():
            name = f"{network}/{dataset.name}"
            counts = [r.counts for r in receipts if r.unit.rpartition("/")[0] == name]
            failed, images = (sum(c[key] for c in counts) for key in ("failed", "images"))
            if failed / images > self.config.embed.max_failures:
                raise TooManyFailuresError(
                    f"dataset {dataset.name}: {failed} of {images} images failed by network "
                    f"{network}, embed.max_failures allows {self.config.embed.max_failures:.1%}; "
                    f"the table failures says why"
                )
