"""Thresholds, curves and fits over the distances: ``thresholds``, ``davg``, ``layers``, ...

Needs what ``measure.py`` wrote.

From the repository root; cluster options go before the name of this file::

    export PYSPARK_PYTHON=$PWD/.venv/bin/python
    .venv/bin/spark-submit jobs/summarize.py --config conf/demo.yaml
"""

import sys

from kdsspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["summarize", *sys.argv[1:]]))
