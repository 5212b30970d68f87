"""One command under way: what it does, how it ends, and what it leaves (driver).

This module imports little, so that the command line takes charge of signals at once.
"""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from kdsspark import interrupts
from kdsspark.errors import ConfigError, KdssparkError, StartError, TooManyFailuresError

if TYPE_CHECKING:
    from kdsspark.config import Config
    from kdsspark.output.definitions import Kind
    from kdsspark.output.lock import Lock
    from kdsspark.pipeline.records import Run
    from kdsspark.pipeline.study import Study

LAYERS: Final = "layers"
QUESTIONS: Final = {
    "status": "say what is done, stale, missing and failed; computes nothing",
    "sql": "run Spark SQL on the tables and ready-made views",
    "register": "make the tables and views known to a metastore",
    "forget": "remove a network or dataset from all tables of the output",
    "look": "draw one more unit or class into the report",
    LAYERS: "list what can be a layer of a network, and what each layer table selects",
}
_INTERRUPTED: Final = "interrupted; run again to go on"
# After a signal. Then the process ends, even if a store that is out of reach has no record yet.
_SECONDS_TO_END: Final = 30


@dataclass
class Command:
    """A command under way, and what has to be put in order when a signal ends it."""

    options: argparse.Namespace
    config: Config | None = None
    run: Run | None = None
    lock: Lock | None = None

    def outcome(self, received: interrupts.Interrupts) -> tuple[int, str | None]:
        """Do it; the exit code, and the line that says what went wrong."""
        from kdsspark.config.redaction import without_secrets

        try:
            if _is_prompt(self.options):
                interrupts.as_exceptions()
                return self._do(), None
            ended = received.during(self._do)
            if isinstance(ended, signal.Signals):
                self.interrupt(ended)
            return ended, None
        except KdssparkError as error:
            return error.exit_code, without_secrets(f"{error}{_where_details_are(error)}")
        except KeyboardInterrupt:  # at a prompt
            return interrupts.exit_code(signal.SIGINT), "interrupted"
        except Exception as error:
            if self.options.verbose:
                print(_traceback(error), file=sys.stderr)
            return 1, without_secrets(_failure(error, self.config))

    def _do(self) -> int:
        """Do it; the exit code."""
        if self.options.command == LAYERS:
            from kdsspark.network.layers.listing import listing

            print(listing(self.options.architecture))
            return 0
        self._prepare()
        assert self.config is not None, "read by _prepare"
        if self.options.command == "forget":
            self._forget(self.config)
        elif self.options.command == "look":
            self._look(self.config)
        elif self.options.command in QUESTIONS:
            return _answer(self.options, self.config)
        else:
            self._run(self.config)
        return 0

    def _prepare(self) -> None:
        """Import what takes a moment to import, and read the configuration."""
        from kdsspark import config
        from kdsspark.engine.starting import connect

        connect.refuse_client()
        from kdsspark.pipeline.records import Run

        self.run = Run(self.options.command)
        self.config = self.run.config = config.load(self.options.config, self.options.overrides)

    def _run(self, config: Config) -> None:
        from kdsspark.pipeline.study import Study

        assert self.run is not None, "made by _prepare"
        options = self.options
        pairs = [(dataset, layer, _unit(unit), name) for dataset, layer, unit, name in options.pair]
        study = Study(config, options.fresh, options.verbose, options.retry_failures, pairs)
        with self._settled(study):
            try:
                study.do(options.command, self.run.stage)
            except TooManyFailuresError:
                _close(study, options.command)
                raise
            _close(study, options.command)

    @contextmanager
    def _settled(self, study: Study) -> Iterator[None]:
        """As :meth:`Study.settled`, with a lock that a signal can release."""
        from kdsspark.output.lock import Lock

        self.lock = Lock(study.output)
        with study.settled(self.lock):
            yield

    def _forget(self, config: Config) -> None:
        from kdsspark.output.lock import Lock
        from kdsspark.output.output import Output
        from kdsspark.pipeline.forget import forget

        assert self.run is not None, "made by _prepare"
        kind: Kind = "network" if self.options.dataset is None else "dataset"
        self.lock = Lock(Output.at(config.output))
        print(forget(config, kind, getattr(self.options, kind), self.run.stage, self.lock))

    def _look(self, config: Config) -> None:
        from kdsspark.pipeline.study import Study
        from kdsspark.stages import REPORT
        from kdsspark.stages.report import looks

        assert self.run is not None, "made by _prepare"
        study = Study(config, verbose=self.options.verbose)
        output = study.output
        with self._settled(study):
            if self.options.unit:
                pages = [looks.add_unit(output, config, *self.options.unit)]
            else:
                pages = looks.add_class(output, config, *getattr(self.options, "class"))
            study.do(REPORT.name, self.run.stage)
        print(*(output.path(f"report/{page}") for page in pages), sep="\n")

    def interrupt(self, received: signal.Signals) -> NoReturn:
        """End the process in order: Spark, the record of the run, the lock, temporary files.

        The work goes on in its thread meanwhile. Whatever it writes is written whole or not at all,
        so the next run can go on from there. The lock is therefore released last.
        """
        code, line = interrupts.exit_code(received), _INTERRUPTED
        if self.lock is None and self.options.command in QUESTIONS:
            line = "interrupted"
        if self.lock and self.lock.lost:  # its heartbeat has sent the signal
            code, line = 1, self.lock.lost
        interrupts.exit_within(_SECONDS_TO_END, code)
        interrupts.say_last(f"kdsspark: {line}")
        with suppress(Exception):
            if "kdsspark.engine.starting.jvm" in sys.modules:
                from kdsspark.engine.starting import jvm

                jvm.stop()
        with suppress(Exception):
            if self.config is None:
                self._prepare()
            self.record(code, line)
        with suppress(Exception):
            if self.lock:
                self.lock.release()
        with suppress(Exception):
            atexit._run_exitfuncs()
        os._exit(code)

    def record(self, code: int, line: str | None) -> None:
        """Write how the run ended beside the tables, and for monitoring where that is asked for.

        Questions that change nothing leave no record.
        """
        options, run = self.options, self.run
        if run is None or (options.command in QUESTIONS and not run.stages):
            return
        from kdsspark.output.output import Output
        from kdsspark.pipeline import records

        record, last = run.ended(code, line.partition("\n")[0] if line else None), None
        if self.config:
            with suppress(Exception):  # an output out of reach has been told of
                output = Output.at(self.config.output)
                records.write(output, record)
                last = records.latest(output, options.command, exit_code=0)
        if options.metrics:
            from kdsspark.pipeline import metrics

            try:
                metrics.write(options.metrics, metrics.gauges(record, options.config, last))
            except KdssparkError as error:
                print(f"kdsspark: {error}", file=sys.stderr)


def _unit(text: str) -> int:
    if not text.isdecimal():
        raise ConfigError(f"--pair must have the number of a unit in third place, got {text}")
    return int(text)


def _close(study: Study, command: str) -> None:
    if text := study.closing(command):
        print(text)


def _answer(options: argparse.Namespace, loaded: Config) -> int:
    if options.command == "status":
        from kdsspark.pipeline.status import status

        print(status(loaded))
        return 0
    from kdsspark.engine.starting import machine, session
    from kdsspark.output.output import Output
    from kdsspark.query import catalog, console
    from kdsspark.stages import STAGE_OF

    machine.check_files(loaded.output)
    output = Output.at(loaded.output)
    if options.command == "sql":
        spark = session.start(loaded.spark, options.verbose)
        return console.execute(spark, output, options.query, options.format, STAGE_OF)
    spark = session.start(catalog.with_metastore(loaded.spark), options.verbose)
    print(*catalog.register(spark, output, options.catalog), sep="\n")
    return 0


def _is_prompt(options: argparse.Namespace) -> bool:
    """Whether statements are typed at a terminal."""
    return options.command == "sql" and options.query is None and sys.stdin.isatty()


# -- errors --------------------------------------------------------------------------------------


def _where_details_are(error: KdssparkError) -> str:
    if not isinstance(error, StartError):
        return ""
    from kdsspark.engine.starting.jvm import keep_log

    return f"; what it wrote is in {keep_log()}"


def _failure(error: Exception, config: Config | None) -> str:
    """What to say of an error that is no mistake of the user's: its cause, and where details are.

    For a failed task, the cause is the Python error in it.
    """
    from kdsspark import causes
    from kdsspark.engine.starting import machine

    line = f"failed: {causes.of(error).line}"
    if "No space left on device" in line:
        line += machine.free_space(config.output if config else None)
    try:
        return f"{line}\nkdsspark: details in {_log(error)}"
    except OSError as unwritten:
        return f"{line}\nkdsspark: no details, TMPDIR must be a folder with space: {unwritten}"


def _log(error: BaseException) -> str:
    """Write the traceback beside what Spark wrote, and say where."""
    from kdsspark.engine.starting.jvm import keep_log

    with keep_log().open("a") as log:
        log.write(_traceback(error))
    return os.fspath(log.name)


def _traceback(error: BaseException) -> str:
    from kdsspark.config.redaction import without_secrets

    return without_secrets("".join(traceback.format_exception(error)))
