"""Findings: yes where the paper is right by construction, no where it is not, else not testable."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress

from kdsspark.report.data import ReportData
from kdsspark.report.findings import FINDINGS, findings
from kdsspark.report.findings.evidence import NotTestable, difference, rank_correlation
from tests.report import worlds

NETWORKS = ("vgg16-imagenet", "vgg16-places")
# Of these, each is about one kind of network only.
PLACES_ONLY = {finding.text for finding in FINDINGS if "Places" in finding.text}


def answers(frames: dict[str, pd.DataFrame], network: str = NETWORKS[0]) -> pd.DataFrame:
    return findings(network, frames, worlds.GROUPS).set_index("finding")


@pytest.fixture(scope="module")
def published() -> dict[str, pd.DataFrame]:
    return worlds.make(worlds.as_published, NETWORKS)


def test_there_are_many_and_no_two_alike() -> None:
    texts = [finding.text for finding in FINDINGS]
    assert len(texts) == len(set(texts)) == 44
    sections = {finding.section for finding in FINDINGS}
    assert sections == {"5", "5.1", "5.2", "6.1", "6.2", "7", "7.1", "8"}


def test_all_hold_in_a_world_made_after_the_paper(published: dict[str, pd.DataFrame]) -> None:
    by_imagenet, by_places = (answers(published, network) for network in NETWORKS)
    own = by_imagenet[~by_imagenet.index.isin(PLACES_ONLY)]
    assert own[own["holds"] != "yes"].empty, own[own["holds"] != "yes"].to_string()
    assert (by_imagenet.loc[list(PLACES_ONLY), "holds"] == "not testable here").all()
    places = by_places.loc[list(PLACES_ONLY)]
    assert (places["holds"] == "yes").all(), places.to_string()


def test_each_fails_in_some_other_world() -> None:
    refuted = set()
    for world in (worlds.flat, worlds.against, worlds.dull):
        frames = worlds.make(world, NETWORKS, good=False)
        for network in NETWORKS:
            rows = answers(frames, network)
            refuted |= set(rows.index[rows["holds"] == "no"])
    assert {finding.text for finding in FINDINGS} - refuted == set()


def test_what_is_lacking_is_said(report: ReportData) -> None:
    """Random weights without fc, one dataset that is not the paper's, no groups."""
    rows = findings("no-fc", report.frames, {}).set_index("finding")
    lacking = rows[rows["holds"] == "not testable here"]["number"]
    assert lacking["fc layers of group c are more symmetric than those of group a"] == (
        "no fully connected layer was embedded"
    )
    assert lacking["In groups b and c, fewer pairs are kept in fc layers than in conv layers"] == (
        "no fully connected layer was embedded"
    )
    assert lacking["wood has the heaviest tails of all in low convolutional layers"] == (
        "the dataset wood is not here"
    )
    assert "needs four datasets or more, got 1" in set(lacking)
    assert len(lacking) > 30


def test_nothing_is_testable_without_distances(report: ReportData) -> None:
    frames = {
        name: frame[frame["dataset"] == "mono"] if "dataset" in frame else frame
        for name, frame in report.frames.items()
    }
    assert (findings("vgg16", frames, {"mono": "a"})["holds"] == "not testable here").all()


def test_numbers_follow_from_the_frames(published: dict[str, pd.DataFrame]) -> None:
    rows = answers(published)["number"]
    thresholds = published["thresholds"].query("network == 'vgg16-imagenet'")
    logs = np.log(thresholds["images_per_class"])
    r2 = [linregress(logs, thresholds[name]).rvalue ** 2 for name in ("t_plus", "t_minus")]
    assert rows["Thresholds follow a logarithmic curve of the class size, downwards"] == (
        f"R2 {r2[0]:.2f} (t+), {r2[1]:.2f} (t-); 11 datasets"
    )
    low = published["figure5"].query("network == 'vgg16-imagenet' and depth < 4")
    sizes = low.groupby("dataset")[["images_per_class", "mode"]].mean()
    rho = sizes[["images_per_class", "mode"]].corr("spearman").iloc[0, 1]
    assert rows["In low convolutional layers, distances fall as classes grow"] == (
        f"Spearman {rho:+.2f}"
    )
    zero = published["figure6"].query(
        "network == 'vgg16-imagenet' and kind == 'fc' and bin in (99, 100)"
    )
    spikes = zero.groupby("dataset")["percent"].sum().sort_values()
    assert rows["food101 has the largest spike of fc pairs around 0 (close to 8 %)"] == (
        f"{spikes['food101']:.1f} % within 0.01 of 0, others up to {spikes.iloc[-2]:.1f} %"
    )
    assert rows["t+ is farther from 0 than t- (table 3: in all datasets)"].startswith("in 11 of 11")
    assert rows["davg(t-) is larger than davg(t+) (table 3: in 10 of 11 datasets)"] == (
        "in 10 of 11 datasets"
    )


def test_correlation_and_difference() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (2, 12))
    by_pandas = pd.DataFrame({"x": x, "y": y}).corr("spearman")
    assert rank_correlation(x, y) == pytest.approx(by_pandas.loc["x", "y"])
    # 1 - 6 * 4 / (5 * 24), where 4 is the sum of the squared differences of ranks.
    assert rank_correlation([1, 2, 3, 4, 9], [20, 10, 40, 30, 50]) == pytest.approx(0.8)
    with pytest.raises(NotTestable, match="got 3"):
        rank_correlation([1, 2, 3], [1, 2, 3])
    with pytest.raises(NotTestable, match="one size"):
        rank_correlation([1, 1, 1, 1], [1, 2, 3, 4])
    assert difference(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1
    assert difference(np.array([0.5, 0.5]), np.array([0.25, 0.75])) == 0.25
