"""Linear support vector machines on embeddings, relevant features, full network: ``probe``.

Needs what ``transform.py`` wrote.

From the repository root; cluster options go before the name of this file::

    export PYSPARK_PYTHON=$PWD/.venv/bin/python
    .venv/bin/spark-submit jobs/probe.py --config conf/demo.yaml
"""

import sys

from kdsspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["probe", *sys.argv[1:]]))
