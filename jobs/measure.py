"""Histograms and signed Kolmogorov-Smirnov distances: ``ranges``, ``histograms``, ``ks``.

Needs what ``embed.py`` wrote.

From the repository root; cluster options go before the name of this file::

    export PYSPARK_PYTHON=$PWD/.venv/bin/python
    .venv/bin/spark-submit jobs/measure.py --config conf/demo.yaml
"""

import sys

from kdsspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["measure", *sys.argv[1:]]))
