"""Why Spark did not start: the cause out of what a JVM writes, and the setting to blame."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.errors import PySparkRuntimeError

from kdsspark.config import Spark
from kdsspark.engine.starting.failed_start import blamed, cause

EXITED = PySparkRuntimeError("[JAVA_GATEWAY_EXITED] Java gateway process exited.")
LOG = """\
WARNING: Using incubator modules: jdk.incubator.vector
26/01/01 12:00:00 WARN NativeCodeLoader: Unable to load native-hadoop library
"""

# conf of Spark -> what its JVM wrote (Java 17, Spark 4.3), the cause, the key to blame
WRITTEN: list[tuple[dict[str, Any], str, str, str]] = [
    (
        {"spark.driver.memory": "4x"},
        "Invalid maximum heap size: -Xmx4x\nError: Could not create the Java Virtual Machine.\n",
        "Invalid maximum heap size: -Xmx4x",
        "spark.driver.memory",
    ),
    (
        {"spark.ui.enabled": False, "spark.driver.memory": 512},
        "Error occurred during initialization of VM\nToo small maximum heap\n",
        "Too small maximum heap",
        "spark.driver.memory",
    ),
    (
        {"spark.driver.memory": "900000g"},
        "Error occurred during initialization of VM\n"
        "Could not reserve enough space for 943718400000KB object heap\n",
        "Could not reserve enough space for 943718400000KB object heap",
        "spark.driver.memory",
    ),
    (
        {"spark.executor.memory": "4x", "spark.driver.memory": "1g"},
        f'{LOG}Exception in thread "main" org.apache.spark.SparkException: Executor memory must '
        "be a positive number\n\tat org.apache.spark.deploy.SparkSubmitArguments.error(x.scala)\n",
        "Executor memory must be a positive number",
        "spark.executor.memory",
    ),
    (
        {"spark.driver.extraJavaOptions": "-Xmx2g"},
        "Error: Not allowed to specify max heap(Xmx) memory settings through java options "
        "(was -Xmx2g). Use spark.driver.memory instead.\n\nUsage: spark-submit [options]\n",
        "Not allowed to specify max heap(Xmx) memory settings through java options "
        "(was -Xmx2g). Use spark.driver.memory instead.",
        "spark.driver.extraJavaOptions",
    ),
    (
        {"spark.jars.packages": "a.b:c"},
        f'{LOG}Exception in thread "main" java.lang.IllegalArgumentException: requirement '
        "failed: Provided Maven Coordinates must be in the form 'groupId:artifactId:version'. The "
        "coordinate provided is: a.b:c\n",
        "requirement failed: Provided Maven Coordinates must be in the form "
        "'groupId:artifactId:version'. The coordinate provided is: a.b:c",
        "spark.jars.packages",
    ),
    (
        {"spark.local.dir": "/nowhere/at/all"},
        f"{LOG}26/01/01 12:00:00 ERROR JavaUtils: Failed to create directory "
        "/nowhere/at/all/blockmgr-1\njava.nio.file.NoSuchFileException: /nowhere/at/all\n"
        "26/01/01 12:00:00 ERROR DiskBlockManager: Failed to create any local dir.\n",
        "Failed to create any local dir.",
        "spark.local.dir",
    ),
]


@pytest.mark.parametrize(("conf", "written", "line", "key"), WRITTEN)
def test_a_setting_is_blamed(conf: dict[str, Any], written: str, line: str, key: str) -> None:
    settings = Spark(conf=conf)
    assert cause(EXITED, written) == line
    found = blamed(settings, line) or blamed(settings, written)
    value = conf[key]
    assert found == f"spark.conf.{key}: must be a value that Spark starts with, got {value}"


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("", "PySparkRuntimeError: [JAVA_GATEWAY_EXITED] Java gateway process exited."),
        ("/opt/jdk/bin/java: cannot execute\n", "/opt/jdk/bin/java: cannot execute"),
        (  # a Java without the modules that Spark asks for
            "Error occurred during initialization of boot layer\n"
            "java.lang.module.FindException: Module jdk.incubator.vector not found\n",
            "Module jdk.incubator.vector not found",
        ),
        (
            "Error: LinkageError occurred while loading main class org.apache.spark.launcher.Main\n"
            "\tjava.lang.UnsupportedClassVersionError: org/apache/spark/launcher/Main has been "
            "compiled by a more recent version of the Java Runtime\n",
            "UnsupportedClassVersionError: org/apache/spark/launcher/Main has been compiled by a "
            "more recent version of the Java Runtime",
        ),
    ],
)
def test_a_machine_is_blamed(written: str, line: str) -> None:
    assert cause(EXITED, written) == line
    settings = Spark(conf={"spark.driver.memory": "1g", "spark.ui.enabled": False})
    assert blamed(settings, line) is None


@pytest.mark.parametrize(
    ("conf", "message", "key"),
    [
        ({"spark.task.cpus": 4}, "cores (=2) has to be >= the number of cpus per task = 4.", 1),
        ({"spark.task.cpus": 4}, "4 of 5 steps are done", 0),
        ({"spark.eventLog.dir": "/nope"}, "File file:/nope does not exist", 1),
        ({"spark.eventLog.dir": "/nope"}, "File file:/nope/other/else.x does not exist", 1),
        ({"spark.eventLog.dir": "/nope"}, "File file:/data/nope.x does not exist", 0),
        (
            {"spark.sql.shuffle.partitions": "many"},
            "spark.sql.shuffle.partitions should be int, but was many",
            1,
        ),
    ],
)
def test_a_message_names_a_key_or_its_value(conf: dict[str, Any], message: str, key: int) -> None:
    assert (blamed(Spark(conf=conf), message) is not None) == bool(key)


@pytest.mark.parametrize(
    ("master", "message", "to_blame"),
    [
        ("spark://gone:7077", "UnknownHostException: gone", True),
        ("spark://gone:7077", "All masters are unresponsive! Giving up.", True),
        ("yarn", "When running with master 'yarn' either HADOOP_CONF_DIR or ...", True),
        ("local[2]", "Address already in use", False),
    ],
)
def test_the_master_is_blamed(master: str, message: str, to_blame: bool) -> None:
    found = blamed(Spark(master=master), message)
    expected = f"spark.master: must be a master that Spark starts with, got {master}"
    assert found == (expected if to_blame else None)
