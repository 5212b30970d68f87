"""A made-up world and what the findings answer in them, made once."""

from __future__ import annotations

import pandas as pd
import pytest

from kdsspark.report.findings import FINDINGS, findings
from tests.report import worlds

Frames = dict[str, pd.DataFrame]


def answers(frames: Frames, network: str) -> pd.DataFrame:
    """The findings by the names of the functions that judge them."""
    rows = findings(network, frames, worlds.GROUPS)
    return rows.set_index(pd.Index([finding.judge.__name__ for finding in FINDINGS]))


@pytest.fixture(scope="session")
def published() -> Frames:
    """Frames in which the paper is right by construction, of its three networks."""
    return worlds.make()


@pytest.fixture(scope="session")
def imagenet(published: Frames) -> Frames:
    """The published frames of the network trained on ImageNet."""
    return {name: rows[rows["network"] == worlds.IMAGENET] for name, rows in published.items()}


@pytest.fixture(scope="session")
def by_imagenet(published: Frames) -> pd.DataFrame:
    """The answers for the network trained on ImageNet: section, holds, number by finding."""
    return answers(published, worlds.IMAGENET)


@pytest.fixture(scope="session")
def by_places(published: Frames) -> pd.DataFrame:
    """The answers for the network trained on Places."""
    return answers(published, worlds.PLACES)
