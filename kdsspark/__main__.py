"""``python -m kdsspark`` is the command ``kdsspark``."""

import sys

from kdsspark.cli import main

if __name__ == "__main__":
    sys.exit(main())
