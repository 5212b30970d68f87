"""``python -m kdsspark.demo FOLDER``: write the demo corpus, unless it is there already."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kdsspark.demo import CORPUS, write_corpus
from kdsspark.errors import KdssparkError


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, write, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kdsspark.demo", description=__doc__)
    parser.add_argument("folder", type=Path, help="gets one folder per dataset")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other pictures")
    options = parser.parse_args(arguments)
    try:
        write_corpus(options.folder, options.seed)
    except (KdssparkError, OSError) as error:
        print(f"kdsspark.demo: {error}", file=sys.stderr)
        return 1
    print(f"{', '.join(CORPUS)} are in {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
