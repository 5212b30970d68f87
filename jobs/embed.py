"""Activations of every image under every network: ``embeddings`` and ``failures``.

Needs what ``index.py`` wrote.

From the repository root; cluster options go before the name of this file::

    export PYSPARK_PYTHON=$PWD/.venv/bin/python
    .venv/bin/spark-submit jobs/embed.py --config conf/demo.yaml
"""

import sys

from kdsspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["embed", *sys.argv[1:]]))
