"""The numbers and figures of filters, by hand-made rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kdsspark.report.experiments.filters import needed, overlap, summary

HEAD = {"dataset": "birds", "images_per_class": 9.0, "depth": 0, "layer": "l", "kind": "conv"}
CLASSES = pd.DataFrame(
    [
        HEAD | {"n_features": 200, "class_id": c, "full": full, "half": half, "most": most}
        | {"best": best}
        for c, (full, half, most, best) in enumerate(
            [(0.5, 1, 10, 0.25), (0.75, 2, 20, 0.5), (1.0, 15, 45, 0.75)]
        )
    ]
)  # fmt: skip
OVERLAPS = pd.DataFrame(
    [
        HEAD | {"n_features": 200, "class_id": a, "other": b, "overlap": share}
        for (a, b), share in {
            (0, 0): 1.0,
            (1, 1): 1.0,
            (2, 2): 1.0,
            (0, 1): 0.5,
            (1, 0): 0.5,
        }.items()
    ]
)


def test_means_medians_and_ends_over_classes() -> None:
    (row,) = summary({"filters": CLASSES, "filters/overlap": OVERLAPS}).to_dict("records")
    assert (row["classes"], row["full"], row["best"]) == (3, 0.75, 0.5)
    assert (row["half"], row["most"], row["least"], row["greatest"]) == (2, 20, 10, 45)
    assert row["overlap"] == pytest.approx((0.5 + 0.5 + 4 * 0) / 6)  # pairs without any count as 0
    assert row["chance"] == 0.25


def test_the_share_of_the_performance_by_number_of_features() -> None:
    shares = {0: [0.5, 1.0], 1: [0.25, 0.75]}
    rows = [
        HEAD | {"class_id": c, "k": k, "share": share}
        for c, of in shares.items()
        for k, share in zip((1, 8), of, strict=True)
    ]
    (ax,) = needed(pd.DataFrame(rows)).axes
    *classes, mean, _, _ = ax.lines
    assert [list(line.get_ydata()) for line in classes] == [[50, 100], [25, 75]]
    np.testing.assert_array_equal(mean.get_data(), [[1, 8], [37.5, 87.5]])


def test_classes_that_share_nothing_are_dark() -> None:
    ax = overlap(OVERLAPS).axes[0]
    np.testing.assert_array_equal(ax.images[0].get_array(), [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]])
