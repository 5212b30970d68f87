"""Numbers of other papers, held against what the papers say of them in words."""

from __future__ import annotations

from kdsspark import paper_seeds as seeds


def test_most_classes_need_few_filters() -> None:
    """Agrawal et al., section 3.2: table 5 has the 20 classes of PASCAL."""
    rows = seeds.FILTERS_NEEDED
    assert rows["class"].nunique() == len(rows) == 20
    assert (rows["half"] < rows["most"]).all()
    assert rows["most"].max() < seeds.FILTERS_OF_CONV5
    assert rows.set_index("class").loc["person"].tolist() == [1, 15]


def test_half_of_the_filters_share_a_fifth_by_chance() -> None:
    """Two random choices of 50 among 256 have 50 / 256 in common."""
    assert abs(seeds.CHANCE_OVERLAP - 50 / seeds.FILTERS_OF_CONV5) < 0.001


def test_sources_side_by_side_beat_one_network_of_both() -> None:
    """Azizpour et al., table 3, on every task that is classified."""
    rows = seeds.SOURCES.set_index("sources")[list(seeds.SOURCES_CLASSIFIED)]
    assert (rows.loc["side by side"] > rows.loc["both sets, one network"]).all()
    assert rows.loc["Places"].idxmax() == "102 flowers"
    assert (rows.loc["Places"] > rows.loc["ImageNet"]).tolist() == [True, False, False, False]


def test_the_best_choices_are_better_than_the_standard() -> None:
    """Azizpour et al., table 6."""
    assert (seeds.RETRIEVAL["best"] > seeds.RETRIEVAL["standard"]).all()
