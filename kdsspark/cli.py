"""The command line: ``kdsspark COMMAND --config FILE [--set KEY=VALUE ...]``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from kdsspark import __version__, config
from kdsspark.config import Config
from kdsspark.config.redaction import without_secrets
from kdsspark.errors import ConfigError, KdssparkError, TooManyFailuresError
from kdsspark.stages import RUN, STAGES

if TYPE_CHECKING:
    from kdsspark.output.definitions import Kind
    from kdsspark.pipeline.records import Run
    from kdsspark.pipeline.study import Study

QUESTIONS: Final = {
    "status": "say what is done, stale, missing and failed; computes nothing",
    "sql": "run Spark SQL on the tables and ready-made views",
    "register": "make the tables and views known to a metastore",
    "forget": "remove a network or dataset from all tables of the output",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0 done, 1 failed, 2 wrong use, 3 too many failures.

    A user's mistake is one line on stderr; only a defect or a broken machine shows a traceback.
    """
    options = _parser().parse_args(arguments)
    # A scheduler that ends a run is told, and recorded, like a user who interrupts it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Not before the options are read: importing pyarrow and pandas takes a moment.
    from kdsspark.pipeline.records import Run

    run = Run(options.command)
    code, line = _attempt(options, run)
    if line:
        line = without_secrets(line)
        print(f"kdsspark: {line}", file=sys.stderr)
    if options.command not in QUESTIONS or run.stages:
        _record(options, run, run.config, code, line)
    return code


def _attempt(options: argparse.Namespace, run: Run) -> tuple[int, str | None]:
    """The exit code, and the line that says what went wrong."""
    try:
        loaded = config.load(options.config, options.overrides)
        run.config = loaded
        if options.command not in QUESTIONS:
            _run(options, loaded, run)
            return 0, None
        return _answer(options, loaded, run), None
    except KdssparkError as error:
        return error.exit_code, str(error)
    except KeyboardInterrupt:
        return 1, "interrupted; run again to go on"
    except Exception as error:
        if options.verbose:
            print(_traceback(error), file=sys.stderr)
        return 1, f"failed: {_innermost(error)}\nkdsspark: details in {_log(error)}"


def _run(options: argparse.Namespace, loaded: Config, run: Run) -> None:
    from kdsspark.output.lock import Lock
    from kdsspark.pipeline.study import Study

    pairs = [(dataset, layer, _unit(unit), name) for dataset, layer, unit, name in options.pair]
    study = Study(loaded, options.fresh, options.verbose, options.retry_failures, pairs)
    with Lock(study.output):
        study.settle()
        try:
            study.do(options.command, run.stage)
        except TooManyFailuresError:
            _close(study, options.command)
            raise
        _close(study, options.command)


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

    output = Output.at(loaded.output)
    if options.command == "sql":
        spark = session.start(loaded.spark, options.verbose)
        return console.execute(spark, output, options.query, options.format)
    spark = session.start(catalog.with_metastore(loaded.spark), options.verbose)
    print(*catalog.register(spark, output, options.catalog), sep="\n")
    return 0


def _record(
    options: argparse.Namespace, run: Run, loaded: Config | None, code: int, line: str | None
) -> None:
    """Write what happened beside the tables, and for monitoring where that is asked for."""
    from kdsspark.output.output import Output
    from kdsspark.pipeline import records

    record, last = run.ended(code, line.partition("\n")[0] if line else None), None
    if loaded:
        with suppress(Exception):  # an output out of reach has been told of
            output = Output.at(loaded.output)
            records.write(output, record)
            last = records.latest(output, options.command, exit_code=0)
    if options.metrics:
        from kdsspark.pipeline import metrics

        try:
            metrics.write(options.metrics, metrics.gauges(record, options.config, last))
        except KdssparkError as error:
            print(f"kdsspark: {error}", file=sys.stderr)


# -- options -------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
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


def _innermost(error: BaseException) -> str:
    """The cause of an error in one line; of a failed task, the Python error in it."""
    from kdsspark.query import causes

    return causes.of(error).line


def _log(error: BaseException) -> str:
    """Write the traceback beside what Spark wrote, and say where."""
    from kdsspark.engine.session import keep_log

    with keep_log().open("a") as log:
        log.write(_traceback(error))
    return os.fspath(log.name)


def _traceback(error: BaseException) -> str:
    return without_secrets("".join(traceback.format_exception(error)))
