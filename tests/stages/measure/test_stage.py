"""measure and summarize, as tables, against the few-line reference, on awkward data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from kdsspark import config
from kdsspark.output import parquet
from kdsspark.output.arrow import image_keys
from kdsspark.output.output import Output
from kdsspark.stats.shuffles import shuffled_labels
from kdsspark.tables import (
    DAVG,
    DISTANCES,
    DISTRIBUTION,
    EMBEDDINGS,
    HISTOGRAMS,
    KS,
    LAYERS,
    RANGES,
    SIGNIFICANCE,
    SURVIVAL,
    THRESHOLDS,
    Table,
)
from tests import reference
from tests.studies import run, write_embeddings

pytestmark = pytest.mark.usefixtures("spark")
BINS, SHUFFLES = 20, 3
OTHERS = ["auc", "wasserstein"]
SIZES = {"a": 25, "b & c": 14, "d/e": 9, "one": 1, "zz": 11}


def _awkward(rng: np.random.Generator, n: int) -> dict[str, Any]:
    """One column each: what real activations do, and what they should not."""
    columns = [
        rng.normal(size=n),
        rng.standard_cauchy(n),
        np.where(rng.random(n) < 0.85, 0, rng.exponential(size=n)),
        np.full(n, 3.5),
        np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
        np.where(rng.random(n) < 0.1, np.inf, -np.abs(rng.normal(size=n))),
        np.full(n, np.nan),
        rng.integers(0, 4, n).astype(float),
        np.where(np.arange(n) == 0, -np.inf, rng.lognormal(0, 2, n)),
    ]
    return {
        "relu": np.stack(columns, 1).astype(np.float32),
        "double": np.stack([np.sqrt(rng.random(n)), columns[7] / 3], 1),
    }


@pytest.fixture(scope="module")
def labels() -> list[str]:
    names = [name for name, size in SIZES.items() for _ in range(size)]
    return [str(name) for name in np.random.default_rng(5).permutation(names)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, labels: list[str]) -> Output:
    folder = tmp_path_factory.mktemp("measure")
    rng = np.random.default_rng(1)
    layers = _awkward(rng, len(labels))
    for part, rows in enumerate(np.array_split(np.arange(len(labels)), 3)):
        write_embeddings(
            folder / f"given/part{part}.parquet",
            {name: values[rows] for name, values in layers.items()},
            [labels[row] for row in rows],
            [f"image {row}" for row in rows],
        )
    write_embeddings(folder / "alone.parquet", {"relu": layers["relu"][:9]}, ["same"] * 9)
    raw = {
        "output": str(folder / "out"),
        "datasets": [
            {"name": "given", "embeddings": str(folder / "given"), "network": "clip"},
            {"name": "alone", "embeddings": str(folder / "alone.parquet"), "network": "other"},
        ],
        "measure": {"bins": BINS, "shuffles": SHUFFLES, "seed": 11, "distances": OTHERS},
    }
    return run(config.parse(raw)).output


def _frame(store: Output, table: Table, *partition: str) -> pd.DataFrame:
    return parquet.read(store, table, *partition).to_pandas()


@pytest.fixture(scope="module")
def data(store: Output) -> dict[str, Any]:
    """What was embedded, as arrays in the order of the embeddings table."""
    rows = parquet.read(store, EMBEDDINGS, "clip", "given")
    true = rows["class_id"].to_numpy()
    keys = image_keys(rows["image_id"])
    labelings = [shuffled_labels(keys, true, 11, shuffle) for shuffle in range(SHUFFLES + 1)]
    values = {
        name: np.stack(rows[name].to_pylist()).astype(np.float64) for name in ("relu", "double")
    }
    return {"labels": labelings, "values": values}


def _expected(data: dict[str, Any]) -> pd.DataFrame:
    rows = []
    for layer, values in data["values"].items():
        for unit, x in enumerate(values.T):
            finite = x[np.isfinite(x)]
            lo, hi = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
            for shuffle, labeling in enumerate(data["labels"]):
                for class_id in range(len(SIZES)):
                    inner, outer = x[labeling == class_id], x[labeling != class_id]
                    counts = [reference.histogram(side, lo, hi, BINS) for side in (inner, outer)]
                    ks, where = reference.binned_ks(*counts)
                    exact = reference.exact_ks(inner, outer)
                    sizes = [int(c.sum()) for c in counts]
                    rows.append((layer, unit, class_id, shuffle, *sizes, ks, where, exact))
    names = ["layer", "unit", "class_id", "shuffle", "n_inner", "n_outer", "ks", "bin", "ks_exact"]
    return pd.DataFrame(rows, columns=names)


def test_distances_are_those_of_the_reference(store: Output, data: dict[str, Any]) -> None:
    key = ["layer", "unit", "class_id", "shuffle"]
    expected = _expected(data).set_index(key).sort_index()
    found = _frame(store, KS, "clip", "given").set_index(key).sort_index()
    assert list(found.index) == list(expected.index)
    for column in ("n_inner", "n_outer", "bin"):
        assert (found[column] == expected[column]).all(), column
    for column in ("ks", "ks_exact"):
        np.testing.assert_allclose(
            found[column].to_numpy(float), expected[column].to_numpy(float), rtol=0, atol=1e-15
        )
    assert found["ks"].isna().sum() > 0  # the feature without finite values, classes without any
    assert (found.loc[found["labels"] == "true"].index.get_level_values("shuffle") == 0).all()
    shuffled = found.loc[found["labels"] == "shuffled"].index.get_level_values("shuffle")
    assert set(shuffled) == {1, 2, 3}


def test_other_distances_are_scipys_over_the_bins_of_the_histograms(store: Output) -> None:
    histograms = _frame(store, HISTOGRAMS, "clip", "given")
    key = ["layer", "unit", "class_id"]
    found = _frame(store, DISTANCES, "clip", "given").set_index(key)
    others = [c.name for c in DISTANCES.columns if c.nullable and c.name not in OTHERS]
    assert found[others].isna().all(axis=None)
    where = (np.arange(BINS), np.arange(BINS))
    checked = 0
    for _, rows in histograms.groupby(["layer", "unit"]):
        counts = np.stack(rows["counts"].to_numpy())
        for row, inner in zip(rows.itertuples(), counts, strict=True):
            outer = counts.sum(0) - inner
            seen = found.loc[row.layer, row.unit, row.class_id]
            if not inner.sum() or not outer.sum():
                assert seen[OTHERS].isna().all()
                continue
            sides = [np.repeat(np.arange(BINS), side) for side in (inner, outer)]
            area = stats.mannwhitneyu(*sides).statistic / inner.sum() / outer.sum()
            moved = stats.wasserstein_distance(*where, inner, outer) / BINS
            np.testing.assert_allclose(
                [seen["auc"], seen["wasserstein"]], [area, moved], atol=1e-12
            )
            checked += 1
    assert checked > 40


def test_constant_feature_has_distance_zero_and_no_bin(store: Output) -> None:
    ks = _frame(store, KS, "clip", "given").query("layer == 'relu' and unit == 3")
    assert (ks["ks"] == 0).all()
    assert (ks["bin"] == -1).all()
    assert (ks["ks_exact"] == 0).all()


def test_ranges_and_histograms(store: Output, data: dict[str, Any]) -> None:
    ranges = _frame(store, RANGES, "clip", "given").set_index(["layer", "unit"])
    histograms = _frame(store, HISTOGRAMS, "clip", "given").set_index(["layer", "unit", "class_id"])
    true = data["labels"][0]
    for layer, values in data["values"].items():
        for unit, x in enumerate(values.T):
            finite, row = x[np.isfinite(x)], ranges.loc[layer, unit]
            assert (row["n"], row["n_nonfinite"]) == (len(finite), len(x) - len(finite))
            if not len(finite):
                assert np.isnan(row["lo"])
                assert np.isnan(row["hi"])
                continue
            assert (row["lo"], row["hi"]) == (finite.min(), finite.max())
            for class_id in range(len(SIZES)):
                found = histograms.loc[layer, unit, class_id]
                counts = reference.histogram(x[true == class_id], row["lo"], row["hi"], BINS)
                assert list(found["counts"]) == list(counts)
                assert found["n"] == counts.sum()


def test_shuffles_keep_the_sizes_of_classes(data: dict[str, Any]) -> None:
    for labeling in data["labels"]:
        assert sorted(np.bincount(labeling)) == sorted(SIZES.values())
    assert len({tuple(labeling) for labeling in data["labels"]}) == SHUFFLES + 1


@pytest.fixture(scope="module")
def distances(store: Output) -> dict[str, Any]:
    """labels -> [features, classes x shuffles], NaN where undefined."""
    ks = _frame(store, KS, "clip", "given").sort_values(["layer", "unit", "class_id", "shuffle"])
    return {
        labels: ks[ks["labels"] == labels]["ks"].to_numpy().reshape(11, -1)
        for labels in ("true", "shuffled")
    }


def test_thresholds_by_equation_4(store: Output, distances: dict[str, Any]) -> None:
    row = _frame(store, THRESHOLDS).set_index("dataset").loc["given"]
    assert (row["n_images"], row["n_classes"]) == (60, 5)
    assert row["images_per_class"] == 12
    true, shuffled = distances["true"], distances["shuffled"]
    for sign, name in ((1, "plus"), (-1, "minus")):
        t, davg = reference.threshold(true, shuffled, sign)
        assert row[f"t_{name}"] == t
        assert row[f"davg_{name}"] == pytest.approx(davg, rel=1e-15)
    curve = _frame(store, DAVG, "clip", "given").set_index(["sign", "x"])
    assert len(curve) == 2002
    for x in (0.0, 0.017, 0.2, 1.0):
        expected = float(reference.davg(true, shuffled, x, 1))
        assert curve.loc[("+", x), "davg"] == pytest.approx(expected, abs=1e-14)
        assert curve.loc[("+", x), "n_true"] == (true > x).sum() / 5
        assert curve.loc[("+", x), "n_shuffled"] == (shuffled > x).sum() / 15


def test_layers_fit_log_normals(store: Output, distances: dict[str, Any]) -> None:
    found = _frame(store, LAYERS, "clip", "given").set_index(["labels", "layer", "sign"])
    limits = _frame(store, THRESHOLDS).set_index("dataset").loc["given"]
    rows = {"double": slice(0, 2), "relu": slice(2, 11)}  # as sorted by name
    for labels, layer, sign in found.index:
        ks = distances[labels][rows[layer]]
        size = ks[ks > 0] if sign == "+" else -ks[ks < 0]
        row = found.loc[(labels, layer, sign)]
        shape, _, scale = stats.lognorm.fit(size, floc=0)
        assert row["n"] == len(size)
        assert row["mode"] == pytest.approx(scale * np.exp(-(shape**2)), rel=1e-6)
        assert row["low"] == pytest.approx(stats.lognorm.ppf(0.16, shape, scale=scale), rel=1e-6)
        assert row["high"] == pytest.approx(stats.lognorm.ppf(0.84, shape, scale=scale), rel=1e-6)
        quantiles = np.quantile(size, [0.16, 0.5, 0.84])
        np.testing.assert_allclose(row[["q16", "q50", "q84"]].to_numpy(float), quantiles)
        beyond = ks > limits["t_plus"] if sign == "+" else ks < limits["t_minus"]
        assert row["kept"] == pytest.approx(beyond.sum() / np.isfinite(ks).sum())


def test_distribution_and_survival(store: Output, distances: dict[str, Any]) -> None:
    distribution = _frame(store, DISTRIBUTION, "clip", "given")
    survival = _frame(store, SURVIVAL, "clip", "given")
    for labels, ks in distances.items():
        counts = distribution[distribution["labels"] == labels].groupby("bin")["n"].sum()
        expected, edges = np.histogram(ks[np.isfinite(ks)], bins=200, range=(-1, 1))
        assert list(counts) == list(expected)
        assert list(distribution["lo"][:200]) == list(edges[:-1])
        curves = survival[survival["labels"] == labels]
        per_class = ks.reshape(11, 5, -1)
        for _, row in curves.sample(200, random_state=3).iterrows():
            column = row["shuffle"] - (labels == "shuffled")
            one = per_class[:, row["class_id"], column]
            size = one if row["sign"] == "+" else -one
            assert row["n_features"] == (size > row["x"]).sum()
        assert len(curves) == 5 * per_class.shape[2] * 2 * 101


def test_one_class_has_no_distances_and_no_thresholds(store: Output) -> None:
    ks = _frame(store, KS, "other", "alone")
    assert ks["ks"].isna().all()
    assert (ks["bin"] == -1).all()
    row = _frame(store, THRESHOLDS).set_index("dataset").loc["alone"]
    assert row[["t_plus", "davg_plus", "t_minus", "davg_minus"]].isna().all()


def test_significance_by_scipy(store: Output, data: dict[str, Any]) -> None:
    key = ["layer", "unit", "class_id"]
    found = _frame(store, SIGNIFICANCE, "clip", "given").set_index(key).sort_index()
    true = data["labels"][0]
    for layer, unit, class_id in found.index:
        x = data["values"][layer][:, unit]
        sides = (x[mask & np.isfinite(x)] for mask in (true == class_id, true != class_id))
        inner, outer = sides
        p = found.loc[(layer, unit, class_id), "p"]
        if len(inner) and len(outer):
            expected = stats.ks_2samp(inner, outer, method="exact").pvalue
            assert p == pytest.approx(expected, rel=1e-9)
        else:
            assert np.isnan(p)
    defined = found.dropna()
    np.testing.assert_allclose(defined["q"], stats.false_discovery_control(defined["p"]))
    for _, layer in defined.groupby("layer"):
        np.testing.assert_allclose(layer["q_layer"], stats.false_discovery_control(layer["p"]))
    row = _frame(store, THRESHOLDS).set_index("dataset").loc["given"]
    assert row["significant"] == (found["q"] < 0.05).sum()
    assert row["significant_by_layer"] == (found["q_layer"] < 0.05).sum()


def test_thresholds_vary_with_the_shuffle(store: Output, distances: dict[str, Any]) -> None:
    row = _frame(store, THRESHOLDS).set_index("dataset").loc["given"]
    for sign, name in ((1, "plus"), (-1, "minus")):
        single = [
            reference.threshold(
                distances["true"], distances["shuffled"][:, shuffle::SHUFFLES], sign
            )
            for shuffle in range(SHUFFLES)
        ]
        assert row[f"t_{name}_std"] == pytest.approx(np.std([t for t, _ in single], ddof=1))
