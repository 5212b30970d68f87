"""Figures and the page that shows them: ``<output>/report/index.html``.

Needs what ``summarize.py`` wrote.

From the repository root; cluster options go before the name of this file::

    export PYSPARK_PYTHON=$PWD/.venv/bin/python
    .venv/bin/spark-submit jobs/report.py --config conf/demo.yaml
"""

import sys

from kdsspark.cli import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))
