"""One configuration at work: the stages, each of which does only what is not done (driver)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kdsspark.config import Config
from kdsspark.errors import TooManyFailuresError
from kdsspark.pipeline import networks, reporting
from kdsspark.progress import Progress
from kdsspark.spark import check, embed, measure, session, summarize
from kdsspark.storage import definitions, index, readymade
from kdsspark.storage.files import Store
from kdsspark.storage.receipts import Receipt


@dataclass
class Study:
    """The stages of one configuration on one output; holds Spark once a stage needs it."""

    config: Config
    verbose: bool = False
    started: float = field(default_factory=time.time)

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
        """(network, dataset) of everything to embed and measure."""
        return [(network, dataset.name) for network, dataset in self.config.pairs()]

    def settle(self, fresh: bool) -> None:
        """Refuse an output made by other definitions, or with ``fresh`` clear it of them."""
        definitions.settle(self.store, self.config, fresh)

    def index(self) -> None:
        """List the images of every dataset, or the rows of ready-made embeddings."""
        total = len(self.config.datasets)
        with Progress("index", total, "datasets") as progress:
            for done, dataset in enumerate(self.config.datasets, start=1):
                index.write_index(self.store, dataset)
                progress.show(done)

    def embed(self) -> None:
        """Embed what is indexed and not embedded; raises :class:`TooManyFailuresError`."""
        receipts = self._embed()
        self._refuse_failures(receipts)

    def measure(self) -> None:
        """Measure every dataset whose embeddings, or whose settings, have changed."""
        measure.measure(self.spark, self.store, self.pairs, self.config.measure)

    def summarize(self) -> None:
        """Thresholds, curves and layers of every dataset that was measured anew."""
        summarize.summarize(self.spark, self.store, self.pairs)

    def report(self) -> None:
        """Draw the report from the tables."""
        reporting.write_report(self.spark, self.store, self.config)

    def run(self) -> None:
        """All stages, then the invariants; failures above the limit are raised at the end."""
        self.index()
        receipts = self._embed()
        self.measure()
        self.summarize()
        check.check(self.spark, self.store, self.pairs)
        self.report()
        self._refuse_failures(receipts)

    def _embed(self) -> list[Receipt]:
        config = self.config
        with_images = [d for d in config.datasets if not d.ready_made]
        sources = [readymade.source(d) for d in config.datasets if d.ready_made]
        networks.write_ready_made_features(self.store, sources)
        receipts: list[Receipt] = []
        for network in networks.prepare_networks(self.store, config):
            receipts += embed.embed_images(
                self.spark, self.store, with_images, network.spec, network.weights, config.embed
            )
        if sources:
            receipts += embed.import_embeddings(self.spark, self.store, sources, config.embed)
        return receipts

    def _refuse_failures(self, receipts: Sequence[Receipt]) -> None:
        """Hold the share of failed images against ``embed.max_failures``, pair by pair."""
        for network, dataset in self.pairs:
            counts = [
                r.counts for r in receipts if r.unit.rpartition("/")[0] == f"{network}/{dataset}"
            ]
            failed, images = (sum(c[key] for c in counts) for key in ("failed", "images"))
            if failed > self.config.embed.max_failures * images:
                raise TooManyFailuresError(
                    f"dataset {dataset}: {failed} of {images} images failed by network {network}, "
                    f"embed.max_failures allows {self.config.embed.max_failures:.1%}; "
                    f"the table failures says why"
                )
