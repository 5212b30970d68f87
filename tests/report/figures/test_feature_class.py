"""Figure 1: densities, cumulative curves and the gap, from the histograms of a feature."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import ks_2samp

from kdsspark.report.figures import feature_class

BINS = pd.DataFrame({"lo": [0, 1, 2.0], "hi": [1, 2, 3.0], "inner": [0, 1, 3], "outer": [4, 3, 1]})


def test_densities_have_an_area_of_one() -> None:
    wide = BINS.assign(lo=BINS["lo"] * 0.5, hi=BINS["hi"] * 0.5)
    curves = feature_class.curves_of(wide)
    assert curves["density_inner"].tolist() == [0, 0.5, 1.5]
    assert (0.5 * curves["density_outer"]).sum() == 1
    assert curves["cumulative_inner"].tolist() == [0, 0.25, 1]
    assert curves["cumulative_outer"].tolist() == [0.5, 0.875, 1]


def test_the_distance_is_that_of_scipy_with_the_papers_sign() -> None:
    inner, outer = (BINS["lo"].repeat(BINS[side]) for side in ("inner", "outer"))
    ks, at = feature_class.distance_of(BINS)
    assert ks == ks_2samp(inner, outer).statistic == 0.625  # outer 7/8, inner 1/4
    assert at == 1
    mirrored = BINS.assign(inner=BINS["outer"], outer=BINS["inner"])
    assert feature_class.distance_of(mirrored) == (-0.625, 1)


def test_curves_of_constants_and_of_one_side() -> None:
    same = pd.DataFrame({"lo": [2.0] * 2, "hi": [2.0] * 2, "inner": [3, 0], "outer": [5, 0]})
    curves = feature_class.curves_of(same)
    assert curves["density_inner"].tolist() == [1, 0]
    assert curves["cumulative_outer"].tolist() == [1, 1]
    assert feature_class.distance_of(same) == (0, -1)
    alone = same.assign(lo=[0.0, 1.0], hi=[1.0, 2.0], outer=0)
    assert feature_class.curves_of(alone)["density_outer"].isna().all()
    ks, at = feature_class.distance_of(alone)
    assert np.isnan(ks)
    assert at == -1
    for bins in (same, alone):
        assert [len(ax.texts) for ax in feature_class.figure1(bins, "x").axes] == [0, 0]


def test_the_gap_is_drawn_where_it_is() -> None:
    curves, (ks, at) = feature_class.curves_of(BINS), feature_class.distance_of(BINS)
    ax = Figure().subplots()
    inner, outer, gap, text = feature_class.cumulative(ax, curves, ks, at)
    assert inner.get_ydata().tolist() == [0, 0, 0.25, 1]
    assert outer.get_ydata().tolist() == [0, 0.5, 0.875, 1]
    assert gap.get_xydata().tolist() == [[2, 0.25], [2, 0.875]]
    assert text.get_text() == "ks = 0.625"


def test_densities_are_drawn_over_their_bins() -> None:
    curves = feature_class.curves_of(BINS)
    inner, outer = feature_class.densities(Figure().subplots(), curves)
    assert inner.get_data().values.tolist() == [0, 0.25, 0.75]
    assert outer.get_data().edges.tolist() == [0, 1, 2, 3]
    assert inner.get_hatch()


def test_figure1_names_the_feature_and_counts_images() -> None:
    figure = feature_class.figure1(BINS, "fc6, unit 7")
    assert figure.get_supxlabel() == "value of fc6, unit 7"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["the class: 4 images", "all others: 8 images"]
