"""The tables that follow from distances, against numpy, scipy and fractions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kdsspark.output.output import Output
from kdsspark.stages.summarize.dataset_task import summarize_dataset
from kdsspark.tables import DAVG, DISTRIBUTION, KS, LAYERS, SIGNIFICANCE, SURVIVAL, THRESHOLDS
from tests import reference
from tests.stages.embedded import PAIR, embed
from tests.stages.summarize.measured import write_distances
from tests.stages.summarize.small import (
    LAYERS_OF,
    SHUFFLES,
    SIZES,
    VALUES,
    distances,
    frame,
    item,
    summarized,
)


@pytest.fixture(scope="module")
def ks() -> dict[str, NDArray[np.float64]]:
    """Layer -> [units, classes, labelings], the class without images left out."""
    slices = distances()
    conv = np.concatenate([slices["conv-0"][2], slices["conv-1"][2]])
    return {"conv": conv[:, :3], "fc": slices["fc-0"][2][:, :3]}


def of_kind(ks: NDArray[np.float64], labels: str) -> NDArray[np.float64]:
    return ks[:, :, :1] if labels == "true" else ks[:, :, 1:]


def both(ks: dict[str, NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[features, classes], and [features, classes x shuffles]."""
    whole = np.concatenate([ks["conv"], ks["fc"]])
    return whole[:, :, 0], whole[:, :, 1:].reshape(len(whole), -1)


def test_thresholds_are_those_of_equation_4(
    output: Output, ks: dict[str, NDArray[np.float64]]
) -> None:
    row = frame(output, THRESHOLDS).set_index("dataset").loc[PAIR.dataset]
    assert (row["n_images"], row["n_classes"], row["images_per_class"]) == (15, 3, 5)
    true, shuffled = both(ks)
    for sign, name in ((1, "plus"), (-1, "minus")):
        t, davg = reference.threshold(true, shuffled, sign)
        assert 0.05 < abs(t) < 1
        assert row[f"t_{name}"] == t
        assert row[f"davg_{name}"] == pytest.approx(davg, rel=1e-15)
        alone = [
            reference.threshold(true, shuffled[:, one::SHUFFLES], sign)[0]
            for one in range(SHUFFLES)
        ]
        assert len(set(alone)) > 1
        assert row[f"t_{name}_std"] == pytest.approx(np.std(alone, ddof=1), rel=1e-12)


def test_davg_has_both_terms_at_every_point(
    output: Output, ks: dict[str, NDArray[np.float64]]
) -> None:
    curve = frame(output, DAVG).set_index(["sign", "x"])
    assert len(curve) == 2 * 1001
    true, shuffled = both(ks)
    for sign, name in ((1, "+"), (-1, "-")):
        for x in (0, 0.017, 0.2, 0.5, 1):
            row = curve.loc[(name, x)]
            assert row["n_true"] == (sign * true > x).sum() / 3
            assert row["n_shuffled"] == (sign * shuffled > x).sum() / 9
            expected = float(reference.davg(true, shuffled, x, sign))
            assert row["davg"] == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("labels", ["true", "shuffled"])
def test_layers_have_fits_quantiles_and_shares(
    output: Output, ks: dict[str, NDArray[np.float64]], labels: str
) -> None:
    found = frame(output, LAYERS).set_index(["labels", "layer", "sign"])
    assert len(found) == 2 * 2 * 2
    limits = frame(output, THRESHOLDS).iloc[0]
    for layer in LAYERS_OF:
        values = of_kind(ks[layer], labels).ravel()
        for sign, name in ((1, "+"), (-1, "-")):
            size, row = sign * values[sign * values > 0], found.loc[(labels, layer, name)]
            shape, _, scale = stats.lognorm.fit(size, floc=0)
            low, high = stats.lognorm.ppf([0.16, 0.84], shape, scale=scale)
            fitted = [scale * np.exp(-(shape**2)), low, high]
            assert row["n"] == len(size)
            np.testing.assert_allclose(row[["mode", "low", "high"]].to_numpy(float), fitted, 1e-6)
            quantiles = np.quantile(size, [0.16, 0.5, 0.84])
            np.testing.assert_allclose(row[["q16", "q50", "q84"]].to_numpy(float), quantiles)
            limit = limits["t_plus"] if sign > 0 else -limits["t_minus"]
            beyond, pairs = (sign * values > limit).sum(), np.isfinite(values).sum()
            assert beyond < pairs
            assert beyond or labels == "shuffled"
            assert row["kept"] == beyond / pairs


@pytest.mark.parametrize("labels", ["true", "shuffled"])
def test_the_distribution_is_that_of_numpy(
    output: Output, ks: dict[str, NDArray[np.float64]], labels: str
) -> None:
    found = frame(output, DISTRIBUTION)
    for layer in LAYERS_OF:
        rows = found[(found["labels"] == labels) & (found["layer"] == layer)].sort_values("bin")
        values = of_kind(ks[layer], labels)
        counts, edges = np.histogram(values[np.isfinite(values)], bins=200, range=(-1, 1))
        assert rows["n"].tolist() == counts.tolist()
        assert rows["lo"].tolist() == edges[:-1].tolist()
        assert rows["hi"].tolist() == edges[1:].tolist()
        assert set(rows["kind"]) == {layer}


@pytest.mark.parametrize("labels", ["true", "shuffled"])
def test_survival_counts_features_beyond_every_x(
    output: Output, ks: dict[str, NDArray[np.float64]], labels: str
) -> None:
    found = frame(output, SURVIVAL)
    found = found[found["labels"] == labels]
    shuffles = [0] if labels == "true" else [1, 2, 3]
    grid = np.arange(101) / 100
    whole = np.concatenate([ks["conv"], ks["fc"]])
    keys = []
    for key, rows in found.groupby(["class_id", "shuffle", "sign"]):
        class_id, shuffle, sign = key
        assert rows["x"].tolist() == grid.tolist()
        values = whole[:, class_id, shuffle] if class_id < 3 else np.full(1, np.nan)
        signed = values if sign == "+" else -values
        assert rows["n_features"].tolist() == (signed > grid[:, None]).sum(1).tolist()
        keys.append(key)
    assert keys == [(c, s, sign) for c in range(4) for s in shuffles for sign in "+-"]


def test_where_no_pair_has_a_distance_there_are_no_thresholds(tmp_path: Path) -> None:
    nothing = {n: (layer, u, np.full_like(ks, np.nan)) for n, (layer, u, ks) in distances().items()}
    output = summarized(tmp_path, nothing)
    row = frame(output, THRESHOLDS).iloc[0]
    undefined = ["t_plus", "davg_plus", "t_minus", "davg_minus", "t_plus_std", "t_minus_std"]
    assert row[undefined].isna().all()
    layers = frame(output, LAYERS)
    assert layers["n"].tolist() == [0] * 8
    assert layers["kept"].isna().all()
    assert frame(output, SURVIVAL)["n_features"].sum() == 0


def test_one_shuffle_has_no_deviation(tmp_path: Path) -> None:
    one = {name: (layer, u, ks[:, :, :2]) for name, (layer, u, ks) in distances().items()}
    labels = np.repeat(range(4), SIZES).tolist()
    output = embed(tmp_path, {"conv": np.zeros((15, 1), np.float32)}, labels, [15]).output
    write_distances(output, one, VALUES)
    summarize_dataset(replace(item(output), shuffles=1))
    row = frame(output, THRESHOLDS).iloc[0]
    assert row[["t_plus", "t_minus"]].notna().all()
    assert row[["t_plus_std", "t_minus_std"]].isna().all()


def test_family_wise_p_values_compare_with_the_largest_of_every_shuffle(output: Output) -> None:
    rows = frame(output, KS)
    n, m = rows["n_inner"], rows["n_outer"]
    rows["reach"] = rows["ks"].abs() * np.sqrt(n * m / (n + m))
    shuffled = rows[rows["labels"] == "shuffled"]
    key = ["layer", "unit", "class_id"]
    found = frame(output, SIGNIFICANCE).merge(rows[rows["labels"] == "true"], on=key)
    assert len(found) == (rows["labels"] == "true").sum()
    for name, by in (("p_max", None), ("p_max_layer", "layer")):
        for _, row in found.iterrows():
            rivals = shuffled if by is None else shuffled[shuffled[by] == row[by]]
            largest = rivals.groupby("shuffle")["reach"].max()
            assert len(largest) == SHUFFLES
            expected = (1 + (largest >= row["reach"]).sum()) / (1 + SHUFFLES)
            undefined = np.isnan(row["reach"])
            assert np.isnan(row[name]) if undefined else row[name] == pytest.approx(expected)
        assert found[name].nunique() > 1
