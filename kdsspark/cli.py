"""The command line: ``kdsspark STAGE --config FILE [--set KEY=VALUE ...]``."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdsspark import __version__, config
from kdsspark.errors import KdssparkError, TooManyFailuresError

if TYPE_CHECKING:
    from kdsspark.pipeline.study import Study

STAGES = {
    "run": "index, embed, measure, summarize, check, report",
    "index": "list the images of every dataset, with their classes",
    "embed": "compute the embeddings that are missing",
    "measure": "histograms and signed KS distances of every feature and class",
    "summarize": "thresholds, curves and layers from the distances",
    "check": "hold the invariants of the tables against the files",
    "report": "draw report/index.html from the tables",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage and return the exit code: 0 done, 1 failed, 2 wrong use, 3 too many failures.

    A user's mistake is one line on stderr; only a defect or a broken machine shows a traceback.
    """
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except KdssparkError as error:
        print(f"kdsspark: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("kdsspark: interrupted; run again to go on", file=sys.stderr)
        return 1
    except Exception as error:
        if options.verbose:
            traceback.print_exc()
        print(f"kdsspark: failed: {_innermost(error)}", file=sys.stderr)
        print(f"kdsspark: details in {_log(error)}", file=sys.stderr)
        return 1
    return 0


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
    common.add_argument(
        "--fresh",
        action="store_true",
        help="where a network or dataset is defined otherwise than in the output, start it afresh",
    )
    common.add_argument("--verbose", action="store_true", help="show Spark's log and tracebacks")
    parser = argparse.ArgumentParser(
        prog="kdsspark",
        description="How well every feature of a network tells every class from the rest.",
    )
    parser.add_argument("--version", action="version", version=f"kdsspark {__version__}")
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for stage, help_text in STAGES.items():
        added = stages.add_parser(stage, parents=[common], help=help_text, description=help_text)
        added.set_defaults(retry_failures=False)
        if stage in ("run", "embed"):
            added.add_argument(
                "--retry-failures", action="store_true", help="also try again what failed before"
            )
    return parser


def _run(options: argparse.Namespace) -> None:
    loaded = config.load(options.config, options.overrides)
    # Only now: torch and Spark take seconds to import, a mistake should be told at once.
    from kdsspark.pipeline.study import Study
    from kdsspark.storage.lock import Lock

    study = Study(loaded, options.fresh, options.verbose, options.retry_failures)
    with Lock(study.store):
        study.settle()
        try:
            getattr(study, options.stage)()
        except TooManyFailuresError:
            _close(study, options.stage)
            raise
        _close(study, options.stage)


def _close(study: Study, stage: str) -> None:
    if stage in ("run", "report"):
        print(study.closing_table())


def _innermost(error: BaseException) -> str:
    """The last line of what went wrong, which for a failed task is the Python error in it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    python = [line for line in lines if "Error: " in line and not line.startswith(("at ", "File"))]
    return (python or lines or [repr(error)])[0]


def _log(error: BaseException) -> str:
    """Write the traceback beside what Spark wrote, and say where."""
    from kdsspark.spark.session import log_file

    with log_file().open("a") as log:
        log.write("".join(traceback.format_exception(error)))
    return os.fspath(log_file())
