"""A cluster of two workers that know nothing of the checkout, and what is submitted to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import squeezenet1_1

from tests.cluster.standalone import Cluster, standalone
from tests.cluster.workplace import Workplace, study_config
from tests.pipeline.test_runs import tables
from tests.studies import NETWORK, image_config, run_here, write_images_and_a_broken_one

CLASSES = {"apple": 12, "b & <c>": 11, "d=e": 9}


STAGES = "index embed measure summarize exemplars"
"""Those of a run that make tables."""


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
    return write_images_and_a_broken_one(tmp_path_factory.mktemp("images"), CLASSES)


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
    images: Path,
) -> dict[str, pd.DataFrame]:
    """The tables that ``study_config`` gives here, without Spark."""
    study = run_here(study_config(tmp_path_factory.mktemp("local") / "out", images), STAGES)
    return tables(study.output)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(squeezenet1_1(weights=None).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def local(
    tmp_path_factory: pytest.TempPathFactory,
    images: Path,
    weights: Path,
) -> dict[str, pd.DataFrame]:
    """The tables that the images and the weights give where they are local files."""
    network = {**NETWORK, "weights": str(weights)}
    output = tmp_path_factory.mktemp("local") / "out"
    study = run_here(image_config(output, {"set": images}, networks=[network]), STAGES)
    return tables(study.output)
