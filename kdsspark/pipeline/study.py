"""One configuration at work: the stages, each of which does only what is not done (driver)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kdsspark.config import Config
from kdsspark.errors import TooManyFailuresError
from kdsspark.pipeline import networks, reporting
from kdsspark.progress import Progress
from kdsspark.spark import check, duplicates, embed, measure, session, summarize
from kdsspark.storage import definitions, index, readymade, receipts
from kdsspark.storage.files import Store
from kdsspark.storage.receipts import Receipt


@dataclass
class Study:
    """The stages of one configuration on one output; holds Spark once a stage needs it.

    ``fresh``: where a network or dataset is not what the output was made of, what came from it
    is removed; otherwise that is refused. ``retry_failures``: images that failed are tried again.
    """

    config: Config
    fresh: bool = False
    verbose: bool = False
    retry_failures: bool = False

    @cached_property
    def store(self) -> Store:
        """The output."""
        return Store.at(self.config.output)

    @cached_property
    def spark(self) -> Any:
        """The Spark session, started when first asked for."""
        return session.start(self.config.spark, self.verbose)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(network, dataset) of everything to measure: all but datasets no image of which works."""
        pairs = [(network, dataset.name) for network, dataset in self.config.pairs()]
        return [pair for pair in pairs if not self._all_failed(*pair)]

    def settle(self) -> None:
        """Refuse an output made by other definitions, or clear it of them."""
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
        """Draw the report from the tables."""
        reporting.write_report(self.spark, self.store, self.config, self.pairs)

    def run(self) -> None:
        """All stages; failures above the limit are raised when everything is done."""
        self.index()
        receipts = self._embed()
        self.measure()
        self.summarize()
        self.check()
        self.report()
        self._refuse_failures(receipts)

    def closing_table(self) -> str:
        """Per dataset: images, failures, t+ and t-, and where the report is.

        Byte-identical images are told first, where there are some.
        """
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
