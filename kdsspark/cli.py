"""The command line: ``kdsspark COMMAND --config FILE [--set KEY=VALUE ...]``.

This module imports little, so that :func:`main` takes charge of signals at once.
"""

from __future__ import annotations

import argparse
import gc
import io
import sys
from collections.abc import Sequence
from typing import Final

from kdsspark import __version__, interrupts
from kdsspark.command import LAYERS, QUESTIONS, Command

_NEW_OBJECTS: Final = 20_000
"""Before garbage is looked for. Imports make objects that stay, and take a tenth less time so."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done. 1: failed. 2: the command or the configuration is wrong. 3: too many images failed.
    A signal ends the process instead: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP.

    A user's mistake is one line on stderr; only a defect or a broken machine shows a traceback.
    """
    received = interrupts.Interrupts()
    gc.set_threshold(_NEW_OBJECTS)
    options = _parser().parse_args(arguments)
    if options.command == "experiment":
        options.command = f"experiment {options.experiment}"
    _encode_output(options)
    _without_pandas()
    command = Command(options)
    code, line = command.outcome(received)
    if line:
        print(f"kdsspark: {line}", file=sys.stderr)
    command.record(code, line)
    return code


def _without_pandas() -> None:
    from kdsspark.engine.starting import without_pandas

    without_pandas.begin()


def _encode_output(options: argparse.Namespace) -> None:
    """Print what the terminal's encoding lacks as escapes; CSV and JSON are UTF-8 everywhere."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_data = options.command == "sql" and options.format != "table"
        encoding = "utf-8" if is_data else None
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


# -- options -------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    from kdsspark.stages import RUN, STAGES

    parser = argparse.ArgumentParser(
        prog="kdsspark",
        description="How well every feature of a network tells every class from the rest.",
    )
    parser.add_argument("--version", action="version", version=f"kdsspark {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = _common()
    whole = ", ".join(stage.name for stage in STAGES if stage.part_of_run)
    for name, text in ({RUN: whole} | {stage.name: stage.help for stage in STAGES}).items():
        added = commands.add_parser(name, parents=[common], help=text, description=text)
        _add_stage_options(added, name)
    for name, text in QUESTIONS.items():
        # A configuration need not have the network whose layers are asked for.
        parents = [] if name == LAYERS else [common]
        added = commands.add_parser(name, parents=parents, help=text, description=text)
        _add_question_options(added, name)
    _add_experiments(commands, common)
    return parser


def _common() -> argparse.ArgumentParser:
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
    return common


def _add_question_options(parser: argparse.ArgumentParser, name: str) -> None:
    if name == LAYERS:
        parser.add_argument("architecture", metavar="ARCHITECTURE", help="as in `networks`")
        parser.set_defaults(verbose=False, metrics=None)
    elif name == "sql":
        parser.add_argument("query", nargs="?", help="else statements are read from stdin")
        parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
    elif name == "register":
        parser.add_argument("--catalog", required=True, metavar="NAME", help="of the database")
    elif name == "forget":
        parser.set_defaults(metrics=None)
        which = parser.add_mutually_exclusive_group(required=True)
        for kind in ("dataset", "network"):
            help_text = f"a {kind} that the output holds, configured or not"
            which.add_argument(f"--{kind}", metavar="NAME", help=help_text)
    elif name == "look":
        parser.set_defaults(metrics=None)
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--unit", nargs=3, metavar=("NETWORK", "LAYER", "UNIT"))
        which.add_argument("--class", nargs=2, metavar=("DATASET", "NAME"))


def _add_experiments(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    from kdsspark.stages import EXPERIMENTS

    text = "answer one question of another paper from the same features"
    listed = "\n".join(f"  {one.name:15} {one.help}" for one in EXPERIMENTS)
    added = commands.add_parser(
        "experiment",
        parents=[common],
        help=text,
        description=f"{text[0].upper()}{text[1:]}. NAME is one of:\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [one.name for one in EXPERIMENTS]
    added.add_argument("experiment", metavar="NAME", choices=names, help="see above")
    _add_stage_options(added, "experiment")


def _add_stage_options(parser: argparse.ArgumentParser, stage: str) -> None:
    from kdsspark.stages import EMBED, REPORT, RUN

    parser.set_defaults(retry_failures=False, pair=[])
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="where a network or dataset is defined otherwise than in the output, start it afresh",
    )
    parser.add_argument("--metrics", metavar="FILE", help="write Prometheus metrics of the run")
    if stage in (RUN, EMBED.name):
        parser.add_argument(
            "--retry-failures", action="store_true", help="also try again what failed before"
        )
    if stage in (RUN, REPORT.name):
        parser.add_argument(
            "--pair",
            nargs=4,
            action="append",
            metavar=("DATASET", "LAYER", "UNIT", "CLASS"),
            help="draw the distributions of one feature and class (figure 1); may be repeated",
        )
