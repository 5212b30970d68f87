"""Spark's daemon for Python workers, which imports what tasks need before it forks any.

Otherwise every new worker imports torch for itself, which takes six seconds. Spark starts a daemon
of its own for the workers of queries, and others for the planning of data sources.
"""

import os
import sys

from kdsspark.engine.starting.daemon import without_archives

if __name__ == "__main__":
    sys.path[:] = without_archives(sys.path, os.environ.get("SPARK_HOME", ""))
    from pyspark.daemon import manager

    if sys.argv[1:2] == ["pyspark.worker"]:
        if "SPARK_SIMPLIFIED_TRACEBACK" in os.environ:  # of queries
            import pandas  # noqa: F401
        else:
            import kdsspark.network.extractor
            import kdsspark.stages.embed.shard_task
            import kdsspark.stages.measure.stage  # noqa: F401

    manager()
