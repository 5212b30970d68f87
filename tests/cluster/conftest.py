"""A cluster of two workers that know nothing of the checkout, and what is submitted to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.standalone import Cluster, standalone
from tests.cluster.workplace import Workplace
from tests.studies import write_images

CLASSES = {"apple": 12, "b & <c>": 11, "d=e": 9}


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace.made(tmp_path_factory.mktemp("workplace"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, workplace: Workplace) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with standalone(folder, workers=2, cores=1, env=workplace.env) as started:
        yield started


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    write_images(folder, CLASSES)
    (folder / "apple" / "broken.jpg").write_bytes(b"not an image")
    return folder
