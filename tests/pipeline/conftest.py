"""What the tests of whole studies share."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyspark import TaskContext

from kdsspark.engine import gpus, work
from kdsspark.stages.embed import image_job
from tests.inprocess import InProcess, Task
from tests.pipeline.whole import STAGES, Whole
from tests.stages.embed.fakes import FakeNetwork


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """A study that runs in this process; all of it is done in the output ``finished``."""
    made = Whole(tmp_path_factory.mktemp("whole"), InProcess())
    network, task = FakeNetwork(), Task()
    made.make_inputs()
    cpus = pa.cpu_count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TaskContext, "get", lambda: task)
        patch.setattr(work, "_freeze", lambda _: None)
        patch.setattr(image_job, "extractor", lambda _: network)
        patch.setattr(gpus, "_gpu_count", lambda: 0)
        made.run(made.config("finished"), STAGES)
        yield made
    pa.set_cpu_count(cpus)
    work._grant(None)
