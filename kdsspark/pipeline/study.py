"""One configuration at work: the stages, each of which does only what is not done (driver)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from kdsspark.config import Config
from kdsspark.engine.stage import Context, FeatureClassWanted
from kdsspark.engine.starting import machine, session
from kdsspark.engine.work import Session
from kdsspark.errors import TooManyFailuresError
from kdsspark.output import definitions
from kdsspark.output.lock import Lock
from kdsspark.output.output import Output
from kdsspark.stages import removal, stages_of

Timed = Callable[[str], AbstractContextManager[None]]


def untimed(_: str) -> AbstractContextManager[None]:
    """No time is taken."""
    return nullcontext()


@dataclass
class Study:
    """The stages of one configuration on one output; Spark starts once a stage needs it.

    ``fresh``: where a network or dataset is not what the output was made of, what came from it
    is removed; otherwise that is refused. ``retry_failures``: images that failed are tried again.
    ``drawn``: features and classes that the report draws as the paper's figure 1.
    """

    config: Config
    fresh: bool = False
    verbose: bool = False
    retry_failures: bool = False
    drawn: Sequence[FeatureClassWanted] = ()
    spark: Session | None = None  # that is there already; else one starts

    def __post_init__(self) -> None:
        # This one of Arrow's allocators gives back what is freed: with ten million images the
        # driver peaks at 3.5 GiB by it, at 4.1 by the default one.
        pa.set_memory_pool(pa.system_memory_pool())

    @cached_property
    def context(self) -> Context:
        """What the stages work with."""
        spark = self.spark or session.at_need(self.config.spark, self.verbose)
        output = Output.at(self.config.output)
        return Context(spark, output, self.config, self.fresh, self.retry_failures, self.drawn)

    @property
    def output(self) -> Output:
        """The output."""
        return self.context.output

    @contextmanager
    def settled(self, lock: Lock) -> Iterator[None]:
        """The machine can do it, and the output is this study's alone, in the block."""
        machine.check_files(self.config.output)
        machine.find_a_home()
        with lock:
            self.settle()
            yield

    def settle(self) -> None:
        """Refuse an output made by other definitions, or clear it of them and of broken uploads."""
        output, config = self.output, self.config
        output.abort_uploads()
        if self.fresh:
            for change in definitions.changes(output, config):
                removal.remove(output, change.kind, change.name)
        else:
            definitions.refuse_changes(output, config)
        definitions.record(output, config)

    def do(self, command: str, timed: Timed = untimed) -> None:
        """One stage, or all of a run, each in the context that ``timed`` makes for its name.

        Failures above the limit are raised when everything is done.
        """
        late: TooManyFailuresError | None = None
        for stage in stages_of(command):
            with timed(stage.name):
                try:
                    stage.run(self.context)
                except TooManyFailuresError as error:
                    late = error
        if late:
            raise late

    def closing(self, command: str) -> str:
        """What a command prints when it is done: what its last stage has to show."""
        return stages_of(command)[-1].closing(self.context)
