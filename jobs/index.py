"""List the images of every dataset, with their classes: table ``images``.

From the repository root; cluster options go before the name of this file::

    export PYSPARK_PYTHON=$PWD/.venv/bin/python
    .venv/bin/spark-submit jobs/index.py --config conf/demo.yaml
"""

import sys

from kdsspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["index", *sys.argv[1:]]))
