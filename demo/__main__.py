"""``python -m demo FOLDER``: write the demo's images, unless they are there already."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from demo import PAINTERS, write_corpus


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, write, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("folder", type=Path, help="gets one folder per dataset")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other pictures")
    parser.add_argument("--few", action="store_true", help="some images of some classes only")
    options = parser.parse_args(arguments)
    try:
        write_corpus(options.folder, options.seed, options.few)
    except OSError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(f"{', '.join(PAINTERS)} are in {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
