"""What a stage is: a value with a name, the tables it writes, a plan and a way to run it (driver).

The list of all stages is :data:`kdsspark.stages.STAGES`. The command line, the runs, ``status``,
the removal of results and the documentation go over that list.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, cast

from kdsspark.output.names import ItemName, Pair, stem

if TYPE_CHECKING:  # the command line lists the stages before it imports what they need
    from kdsspark.config import Config
    from kdsspark.engine.work import Session
    from kdsspark.output.output import Output
    from kdsspark.output.receipts import Receipt, Receipts
    from kdsspark.tables import Table

FeatureClassWanted = tuple[str, str, int, str]
"""A feature and class that a user asks for: dataset, layer, unit, name of the class."""

NO_NETWORK: Final = "-"
"""The network of a pair where only the dataset matters, as the index has it."""


@dataclass(frozen=True)
class Context:
    """What a stage works with: a Spark session that starts when it is used, output and options."""

    session: Session
    output: Output
    config: Config
    fresh: bool = False  # start afresh what is defined otherwise than in the output
    retry_failures: bool = False  # try images again that failed before
    drawn: Sequence[FeatureClassWanted] = ()  # for the report

    @property
    def pairs(self) -> list[Pair]:
        """Every pair of the configuration."""
        return [Pair(network, dataset.name) for network, dataset in self.config.pairs()]


@dataclass(frozen=True)
class Standing:
    """How far one stage is with one pair, in what the stage counts.

    ``stale``: made of earlier inputs or settings, or in a shard that the next run writes again.
    ``missing``: not made. ``failed``: images that could not be embedded.
    """

    done: int = 0
    stale: int = 0
    missing: int = 0
    failed: int = 0

    @property
    def finished(self) -> bool:
        """Whether the next run has nothing to do here."""
        return bool(self.done or self.failed) and not (self.stale or self.missing)


class Plan(Protocol):
    """What one stage has to do for one pair; made by reading alone."""

    def standing(self, output: Output) -> Standing:
        """How far that is."""


@dataclass(frozen=True)
class ItemPlan:
    """A plan whose work items have receipts."""

    stage: str  # as receipts are filed
    digests: Mapping[ItemName, str]  # what the receipts say when all is done

    def finished(self, output: Output) -> bool:
        """Whether there is nothing to do."""
        return output.receipts(self.stage).finished(self.digests)

    def standing(self, output: Output) -> Standing:
        """The work items, held against their receipts."""
        found = output.receipts(self.stage).named(self.digests)
        done = sum(found[n].digest == d for n, d in self.digests.items() if n in found)
        return Standing(done, len(found) - done, len(self.digests) - len(found))


class _Code(Protocol):
    """The module of a stage."""

    def plan(self, output: Output, config: Config, pair: Pair) -> Plan:
        """What is to do for a pair; raises DatasetError where an earlier stage is not done."""

    def run(self, context: Context) -> None:
        """Do what is not done."""


@dataclass(frozen=True)
class Stage:
    """One stage. Its module is imported when it is first used, for some take seconds."""

    name: str  # the command, and how its receipts are filed
    help: str
    module: str  # with plan(output, config, pair), run(context); wanted, closing for some
    tables: tuple[Table, ...]
    counted: str  # the plural of what its plans count
    scope: Literal["dataset", "pair", "study"] = "pair"  # what a plan is of
    beside: tuple[str, ...] = ()  # folders of internal files, filed by network and dataset
    needs: Stage | None = None  # what must be done before it can be planned
    part_of_run: bool = True
    is_experiment: bool = False  # one of ``kdsspark experiment``
    one_label: bool = False  # leaves out datasets whose images may have several labels

    @property
    def command(self) -> str:
        """What a user types after ``kdsspark`` to run it alone."""
        return f"experiment {self.name}" if self.is_experiment else self.name

    @property
    def _code(self) -> _Code:
        return cast(_Code, importlib.import_module(self.module))

    def receipts(self, output: Output) -> Receipts:
        """The receipts of its work items."""
        return output.receipts(self.name)

    def plan(self, output: Output, config: Config, pair: Pair) -> Plan:
        """What is to do for a pair, by reading alone.

        Raises :class:`DatasetError` where an earlier stage is not done.
        """
        return self._code.plan(output, config, pair)

    def wanted(self, config: Config, pair: Pair) -> bool:
        """Whether the configuration asks for this stage of a pair; for most it always does."""
        if self.one_label and config.several(pair.dataset):
            return False
        wanted = getattr(self._code, "wanted", None)
        return wanted is None or bool(wanted(config, pair))

    def run(self, context: Context) -> None:
        """Do what is not done."""
        self._code.run(context)

    def closing(self, context: Context) -> str:
        """What the terminal shows when the stage has run alone or last; empty for most."""
        closing = getattr(self._code, "closing", None)
        return closing(context) if closing else ""


def prune(
    output: Output,
    receipts: Receipts,
    pair: Pair,
    wanted: Mapping[ItemName, str] | Sequence[ItemName],
    parts: Mapping[str, Sequence[str]],
) -> None:
    """Remove what no work item of a stage makes any more, before new parts appear beside it.

    Of the receipts of ``pair`` those of ``wanted`` items stay. ``parts`` has, for each folder that
    items write to, the names of the files that stay.
    """
    for item in receipts.of(pair):
        if item not in wanted:
            receipts.remove(item)
    for folder, names in parts.items():
        kept = set(names)
        output.clean(folder)
        for path in output.files(folder):
            if stem(path) not in kept:
                output.remove(path)


def total(receipts: Mapping[ItemName, Receipt], key: str) -> int:
    """One count, added up over receipts."""
    return sum(receipt.counts[key] for receipt in receipts.values())
