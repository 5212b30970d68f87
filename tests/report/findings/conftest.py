"""Made-up worlds and what the findings answer in them, made once."""

from __future__ import annotations

import pandas as pd
import pytest

from kdsspark.report.findings import findings
from tests.report import worlds

Frames = dict[str, pd.DataFrame]


def answers(frames: Frames, network: str) -> pd.DataFrame:
    return findings(network, frames, worlds.GROUPS).set_index("finding")


@pytest.fixture(scope="session")
def published() -> Frames:
    """Frames in which the paper is right by construction, of both its networks."""
    return worlds.make(worlds.as_published, worlds.NETWORKS)


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


@pytest.fixture(scope="session")
def refuted() -> set[str]:
    """The findings that fail in one of the worlds where the paper is wrong."""
    texts: set[str] = set()
    for world in (worlds.flat, worlds.against, worlds.dull):
        frames = worlds.make(world, worlds.NETWORKS, good=False)
        for network in worlds.NETWORKS:
            rows = answers(frames, network)
            texts |= set(rows.index[rows["holds"] == "no"])
    return texts
