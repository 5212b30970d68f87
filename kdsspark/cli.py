"""The command line: ``kdsspark COMMAND --config FILE [--set KEY=VALUE ...]``.

This module imports little, so that :func:`main` takes charge of signals at once.
"""

from __future__ import annotations

import argparse
import atexit
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from kdsspark import __version__, interrupts
from kdsspark.errors import ConfigError, KdssparkError, StartError, TooManyFailuresError

if TYPE_CHECKING:
    from kdsspark.config import Config
    from kdsspark.output.definitions import Kind
    from kdsspark.output.lock import Lock
    from kdsspark.pipeline.records import Run
    from kdsspark.pipeline.study import Study

QUESTIONS: Final = {
    "status": "say what is done, stale, missing and failed; computes nothing",
    "sql": "run Spark SQL on the tables and ready-made views",
    "register": "make the tables and views known to a metastore",
    "forget": "remove a network or dataset from all tables of the output",
}
_INTERRUPTED: Final = "interrupted; run again to go on"
# After a signal. Then the process ends, even if a store that is out of reach has no record yet.
_SECONDS_TO_END: Final = 30
_SECONDS_OF_SPARK: Final = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done. 1: failed. 2: the command or the configuration is wrong. 3: too many images failed.
    A signal ends the process instead: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP.

    A user's mistake is one line on stderr; only a defect or a broken machine shows a traceback.
    """
    received = interrupts.Interrupts()
    options = _parser().parse_args(arguments)
    _encode_output(options)
    command = _Command(options)
    code, line = command.outcome(received)
    if line:
        print(f"kdsspark: {line}", file=sys.stderr)
    command.record(code, line)
    return code


@dataclass
class _Command:
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
        self._prepare()
        assert self.config is not None, "read by _prepare"
        if self.options.command in QUESTIONS:
            assert self.run is not None, "made by _prepare"
            return _answer(self.options, self.config, self.run)
        self._run(self.config)
        return 0

    def _prepare(self) -> None:
        """Import what takes a moment to import, and read the configuration."""
        from kdsspark import config
        from kdsspark.pipeline.records import Run

        self.run = Run(self.options.command)
        self.config = self.run.config = config.load(self.options.config, self.options.overrides)

    def _run(self, config: Config) -> None:
        from kdsspark.engine import machine
        from kdsspark.output.lock import Lock
        from kdsspark.pipeline.study import Study

        assert self.run is not None, "made by _prepare"
        options = self.options
        machine.check_files(config.output)
        machine.find_a_home()
        pairs = [(dataset, layer, _unit(unit), name) for dataset, layer, unit, name in options.pair]
        study = Study(config, options.fresh, options.verbose, options.retry_failures, pairs)
        self.lock = Lock(study.output)
        with self.lock:
            study.settle()
            try:
                study.do(options.command, self.run.stage)
            except TooManyFailuresError:
                _close(study, options.command)
                raise
            _close(study, options.command)

    def interrupt(self, received: signal.Signals) -> NoReturn:
        """End the process in order: Spark, the record of the run, the lock, temporary files.

        The work goes on in its thread meanwhile. Whatever it writes is written whole or not at all,
        so the next run can go on from there. The lock is therefore released last.
        """
        code, line = interrupts.exit_code(received), _INTERRUPTED
        if self.options.command in QUESTIONS:
            line = "interrupted"
        if self.lock and self.lock.lost:  # its heartbeat has sent the signal
            code, line = 1, self.lock.lost
        interrupts.exit_within(_SECONDS_TO_END, code)
        interrupts.say_last(f"kdsspark: {line}")
        with suppress(Exception):
            if "kdsspark.engine.session" in sys.modules:
                from kdsspark.engine import session

                session.stop(_SECONDS_OF_SPARK)
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


def _answer(options: argparse.Namespace, loaded: Config, run: Run) -> int:
    if options.command == "status":
        from kdsspark.pipeline.status import status

        print(status(loaded))
        return 0
    if options.command == "forget":
        from kdsspark.pipeline.forget import forget

        kind: Kind = "network" if options.dataset is None else "dataset"
        print(forget(loaded, kind, getattr(options, kind), run.stage))
        return 0
    from kdsspark.engine import session
    from kdsspark.output.output import Output
    from kdsspark.query import catalog, console
    from kdsspark.stages import STAGE_OF

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


def _encode_output(options: argparse.Namespace) -> None:
    """Print what the terminal's encoding lacks as escapes; CSV and JSON are UTF-8 everywhere."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_data = options.command == "sql" and options.format != "table"
        encoding = "utf-8" if is_data else None
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


# -- options -------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    from kdsspark.stages import RUN, STAGES

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", required=True, metavar="FILE", help="YAML; any fsspec URL")
    common.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key, e.g. measure.shuffles=10 or networks.0.weights=random",
    )
    common.add_argument("--verbose", action="store_true", help="show Spark's log and tracebacks")
    parser = argparse.ArgumentParser(
        prog="kdsspark",
        description="How well every feature of a network tells every class from the rest.",
    )
    parser.add_argument("--version", action="version", version=f"kdsspark {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    whole = ", ".join(stage.name for stage in STAGES if stage.part_of_run)
    stages = {RUN: whole} | {stage.name: stage.help for stage in STAGES}
    for name, text in (stages | QUESTIONS).items():
        added = commands.add_parser(name, parents=[common], help=text, description=text)
        if name in stages:
            _add_stage_options(added, name)
        elif name == "sql":
            added.add_argument("query", nargs="?", help="else statements are read from stdin")
            added.add_argument("--format", choices=("table", "csv", "json"), default="table")
        elif name == "register":
            added.add_argument("--catalog", required=True, metavar="NAME", help="of the database")
        elif name == "forget":
            added.set_defaults(metrics=None)
            which = added.add_mutually_exclusive_group(required=True)
            for kind in ("dataset", "network"):
                help_text = f"a {kind} that the output holds, configured or not"
                which.add_argument(f"--{kind}", metavar="NAME", help=help_text)
    return parser


def _add_stage_options(parser: argparse.ArgumentParser, stage: str) -> None:
    parser.set_defaults(retry_failures=False, pair=[])
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="where a network or dataset is defined otherwise than in the output, start it afresh",
    )
    parser.add_argument("--metrics", metavar="FILE", help="write Prometheus metrics of the run")
    if stage in ("run", "embed"):
        parser.add_argument(
            "--retry-failures", action="store_true", help="also try again what failed before"
        )
    if stage in ("run", "report"):
        parser.add_argument(
            "--pair",
            nargs=4,
            action="append",
            metavar=("DATASET", "LAYER", "UNIT", "CLASS"),
            help="draw the distributions of one feature and class (figure 1); may be repeated",
        )


# -- errors --------------------------------------------------------------------------------------


def _where_details_are(error: KdssparkError) -> str:
    if not isinstance(error, StartError):
        return ""
    from kdsspark.engine.session import keep_log

    return f"; what it wrote is in {keep_log()}"


def _failure(error: Exception, config: Config | None) -> str:
    """What to say of an error that is no mistake of the user's: its cause, and where details are.

    For a failed task, the cause is the Python error in it.
    """
    from kdsspark import causes
    from kdsspark.engine import machine

    line = f"failed: {causes.of(error).line}"
    if "No space left on device" in line:
        line += machine.free_space(config.output if config else None)
    try:
        return f"{line}\nkdsspark: details in {_log(error)}"
    except OSError as unwritten:
        return f"{line}\nkdsspark: no details, TMPDIR must be a folder with space: {unwritten}"


def _log(error: BaseException) -> str:
    """Write the traceback beside what Spark wrote, and say where."""
    from kdsspark.engine.session import keep_log

    with keep_log().open("a") as log:
        log.write(_traceback(error))
    return os.fspath(log.name)


def _traceback(error: BaseException) -> str:
    from kdsspark.config.redaction import without_secrets

    return without_secrets("".join(traceback.format_exception(error)))
