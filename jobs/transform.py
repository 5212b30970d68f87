"""Full-network and pruned embeddings: ``full_network``, ``pruned`` and what they were made with.

Needs what ``summarize.py`` wrote.

From the repository root; cluster options go before the name of this file::

    export PYSPARK_PYTHON=$PWD/.venv/bin/python
    .venv/bin/spark-submit jobs/transform.py --config conf/demo.yaml
"""

import sys

from kdsspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["transform", *sys.argv[1:]]))
