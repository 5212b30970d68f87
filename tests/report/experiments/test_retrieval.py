"""The figure and the numbers of retrieval, with and without windows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kdsspark.report.experiments.retrieval import figure, rows


def _frame(windows: dict[str, tuple[int, ...]]) -> pd.DataFrame:
    """Two layers of datasets; windows of the last one only."""
    of = [
        {"dataset": name, "depth": depth, "windows": n, "whitened": whitened}
        for name, some in windows.items()
        for depth in (0, 1)
        for n in (0, *(some if depth else ()))
        for whitened in (False, True)
    ]
    found = pd.DataFrame(of).assign(images_per_class=9.0, kind="conv", chance=0.1)
    found["layer"] = [f"conv{depth}" for depth in found["depth"]]
    found["mean_average_precision"] = np.linspace(0.2, 0.8, len(found))
    return found.assign(
        low=found["mean_average_precision"] - 0.1, high=found["mean_average_precision"] + 0.1
    )


@pytest.mark.parametrize(("windows", "n_entries"), [((), 3), ((1, 30), 5)])
def test_windows_are_in_the_legend_where_there_are_any(
    windows: tuple[int, ...], n_entries: int
) -> None:
    frame = _frame({"birds": windows, "sets": ()})
    made = figure(frame)
    (legend,) = made.legends
    assert len(legend.get_texts()) == n_entries
    birds, sets = made.axes
    assert (len(birds.containers), len(sets.containers)) == (4 if windows else 2, 2)
    if windows:
        points = [container.lines[0] for container in birds.containers[2:]]
        expected = frame[(frame["dataset"] == "birds") & (frame["windows"] == 30)]
        assert [point.get_xdata().tolist() for point in points] == [[1], [1]]
        found = sorted(float(point.get_ydata()[0]) for point in points)
        assert found == pytest.approx(100 * expected["mean_average_precision"].to_numpy())


def test_the_numbers_say_what_the_vectors_are() -> None:
    found = rows({"retrieval": _frame({"birds": (1, 30)})})
    words = {True: "whitened components", False: "features as they are"}
    assert found["vectors"].tolist() == [words[one] for one in found["whitened"]]
    assert sorted(found["windows"].unique()) == [0, 1, 30]
