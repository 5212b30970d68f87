"""The test of every distance against chance, by scipy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from kdsspark.output.parquet import conform
from kdsspark.stages.summarize.significance import TESTED, significance
from kdsspark.tables import KS, SIGNIFICANCE

SIZES = [12, 20, 1]
UNITS = {"conv": 14, "fc": 6}
LARGEST = np.array([[0.5, 0.4, 1.0], [0.3, 0.7, 1.1]])  # reach: [layers, shuffles]
SLICES = {"conv": ["conv-0", "conv-1"], "fc": ["fc-0"]}


def rows(exact: bool) -> dict[str, pa.Table]:
    """Slice -> rows of ``ks``, by two samples each; unit 3 has none of class 1."""
    rng = np.random.default_rng(5)
    found: dict[str, list[dict[str, object]]] = {"conv-0": [], "conv-1": [], "fc-0": []}
    for layer, units in UNITS.items():
        for unit in range(units):
            labels = np.repeat(range(3), [12, 0 if unit == 3 else 20, 1])
            x = rng.normal(size=len(labels)) + (labels == 0) * rng.choice(
                [0, 1.2] if layer == "conv" else [2]
            )
            for class_id in range(3):
                inner, outer = x[labels == class_id], x[labels != class_id]
                defined = len(inner) and len(outer)
                test = stats.ks_2samp(inner, outer, method="exact") if defined else None
                row = {"layer": layer, "unit": unit, "class_id": class_id, "shuffle": 0}
                ks = float(-test.statistic * test.statistic_sign) if test else None
                row |= {"n_inner": len(inner), "n_outer": len(outer), "bin": 0}
                row |= {"ks": ks and ks / 2 if exact else ks, "ks_exact": ks if exact else None}
                row |= {"expected": test.pvalue if test else None}
                found["fc-0" if layer == "fc" else f"conv-{unit // 8}"].append(row)
    return {name: pa.Table.from_pylist(some) for name, some in found.items()}


@pytest.mark.parametrize("exact", [True, False])
def test_p_and_q_are_those_of_scipy(exact: bool) -> None:
    given = rows(exact)
    layers = [pa.concat_tables(given[name] for name in slices) for slices in SLICES.values()]
    schema = pa.schema([KS.schema.field(name) for name in TESTED])
    layers = [conform(layer.select(TESTED), schema) for layer in layers]
    tested, counts = significance(layers, LARGEST)
    assert set(tested.column_names) == set(SIGNIFICANCE.schema.names)
    found = tested.to_pandas()
    expected = pa.concat_tables(given.values()).to_pandas()
    key = ["layer", "unit", "class_id"]
    assert found[key].to_numpy().tolist() == expected[key].to_numpy().tolist()
    p = expected["expected"].to_numpy(float)
    assert np.isnan(p).sum() == 2
    np.testing.assert_allclose(found["p"], p, rtol=1e-9)
    defined = ~np.isnan(p)
    q = stats.false_discovery_control(p[defined])
    np.testing.assert_allclose(found["q"][defined], q, rtol=1e-9)
    assert found["q"][~defined].isna().all()
    ks, n, m = (expected[name].to_numpy(float) for name in ("ks", "n_inner", "n_outer"))
    reached = np.abs(ks) * np.sqrt(n * m / (n + m))
    layers = (expected["layer"] == "fc").to_numpy().astype(int)
    for name, largest in (("p_max", LARGEST.max(0)[None]), ("p_max_layer", LARGEST[layers])):
        share = (1 + (largest >= reached[:, None]).sum(1)) / 4
        np.testing.assert_array_equal(found[name], np.where(defined, share, np.nan))
        assert len(set(found[name].dropna())) >= 3
    assert (found["p_max_layer"] < found["p_max"]).any()
    by_layer = np.full(len(p), np.nan)
    for layer in UNITS:
        chosen = defined & (expected["layer"] == layer).to_numpy()
        by_layer[chosen] = stats.false_discovery_control(p[chosen])
    np.testing.assert_allclose(found["q_layer"], by_layer, rtol=1e-9)
    assert counts == {
        "significant": (q < 0.05).sum(),
        "significant_by_layer": np.nansum(by_layer < 0.05),
    }
    assert 0 < counts["significant"] < defined.sum()
    assert counts["significant"] != counts["significant_by_layer"]
