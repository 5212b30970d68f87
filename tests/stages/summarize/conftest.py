"""A small dataset, summed up once."""

from __future__ import annotations

import pytest

from kdsspark.output.output import Output
from tests.stages.summarize.small import distances, summarized


@pytest.fixture(scope="package")
def output(tmp_path_factory: pytest.TempPathFactory) -> Output:
    return summarized(tmp_path_factory.mktemp("summarized"), distances())
