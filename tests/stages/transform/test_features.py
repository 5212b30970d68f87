"""What is written of every feature, against numpy: moments, relevance and places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.stages.transform.features import (
    DescribeFeatures,
    Limits,
    add_up,
    describe_features,
    read_features,
)
from kdsspark.tables import TRANSFORM_FEATURES, TRANSFORMS
from tests.inprocess import InProcess
from tests.stages.embedded import PAIR, Embedded, awkward, embed
from tests.stages.summarize.measured import write_distances

OTHER = Pair("clip", "fish")
IMAGES, CLASSES = 40, 3
SLICES = {"relu": ["relu-0", "relu-1"], "double": ["double-0"]}


def distances() -> dict[str, tuple[str, int, NDArray[np.float64]]]:
    """Slice -> layer, first unit, ks [units, classes, labelings]; the shuffle's are large."""
    rng = np.random.default_rng(5)
    found = {}
    for name, layer, first, units in (
        ("relu-0", "relu", 0, 5),
        ("relu-1", "relu", 5, 4),
        ("double-0", "double", 0, 2),
    ):
        ks = np.round(rng.uniform(-0.4, 0.4, (units, CLASSES, 2)), 3)
        ks[:, :, 1] = 1
        found[name] = (layer, first, ks)
    found["relu-0"][2][0, :, 0] = 0.3, -0.3, 0.05  # at the limits, not beyond
    found["relu-0"][2][1, :, 0] = np.nan
    found["relu-0"][2][2, :, 0] = 0.301, 0.35, -0.1
    found["relu-0"][2][3, :, 0] = -0.301, 0, 0
    return found


@pytest.fixture
def data(tmp_path: Path) -> Embedded:
    labels = np.random.default_rng(1).integers(0, CLASSES, IMAGES).tolist()
    found = embed(tmp_path, awkward(IMAGES), labels, [25, 15])
    write_distances(found.output, distances(), [300, 200, 100])
    return found


def item(data: Embedded, session: InProcess, **changed: Any) -> DescribeFeatures:
    fields: dict[str, Any] = {
        "name": OTHER.name,
        "digest": "d",
        "output": data.output,
        "pair": OTHER,
        "statistics": PAIR,
        "slices": SLICES,
        "of_values": Limits(-0.25, 0.15),
        "of_ks": Limits(-0.3, 0.3),
        "moments": add_up(session, data.output, {PAIR: list(data.parts)})[PAIR],
    }
    return DescribeFeatures(**fields | changed)


def described(data: Embedded) -> pd.DataFrame:
    return parquet.read(data.output, TRANSFORM_FEATURES, *OTHER).to_pandas()


def test_moments_of_all_files_are_those_of_numpy(data: Embedded, in_process: InProcess) -> None:
    found = add_up(in_process, data.output, {PAIR: list(data.parts)})[PAIR]
    assert list(found) == ["relu", "double"]
    for layer, moments in found.items():
        mean, std = moments.mean_and_std()
        for unit, x in enumerate(data.layers[layer].T.astype(np.float64)):
            finite = x[np.isfinite(x)]
            assert moments.n[unit] == len(finite)
            if len(finite):
                assert mean[unit] == pytest.approx(finite.mean(), rel=1e-14, abs=1e-15)
                assert std[unit] == pytest.approx(finite.std(), rel=1e-13, abs=1e-15)
            else:
                assert np.isnan([mean[unit], std[unit]]).all()
    assert np.isnan(found["relu"].mean_and_std()[0]).sum() == 1


def test_the_order_of_files_changes_no_bit_of_the_moments(
    data: Embedded, in_process: InProcess
) -> None:
    parts = list(data.parts)
    found = [add_up(in_process, data.output, {PAIR: order}) for order in (parts, parts[::-1])]
    for layer in data.layers:
        for one, other in zip(*(f[PAIR][layer].mean_and_std() for f in found), strict=True):
            np.testing.assert_array_equal(one, other)


def test_relevant_features_are_those_beyond_a_threshold_for_some_class(
    data: Embedded, in_process: InProcess
) -> None:
    outcome = describe_features(item(data, in_process))
    found = described(data)
    ks = {"relu": [*distances()["relu-0"][2], *distances()["relu-1"][2]]}
    ks["double"] = [*distances()["double-0"][2]]
    relevant = 0
    for layer, units in ks.items():
        rows = found[found["layer"] == layer]
        assert rows["unit"].tolist() == list(range(len(units)))
        above = [int((one[:, 0] > 0.3).sum()) for one in units]
        below = [int((one[:, 0] < -0.3).sum()) for one in units]
        assert rows["n_above"].tolist() == above
        assert rows["n_below"].tolist() == below
        kept = np.flatnonzero(np.array(above) + below)
        places = rows["position"].dropna()
        assert rows.loc[places.index, "unit"].tolist() == kept.tolist()
        assert places.tolist() == list(range(len(kept)))
        relevant += len(kept)
    assert (found["layer"] == "relu").sum() == 9
    assert outcome.counts == {"features": 11, "relevant": relevant}
    assert found.query("layer == 'relu' and unit < 4")["n_above"].tolist() == [0, 0, 2, 0]
    assert found.query("layer == 'relu' and unit < 4")["n_below"].tolist() == [0, 0, 0, 1]


def test_thresholds_and_counts_are_told(data: Embedded, in_process: InProcess) -> None:
    describe_features(item(data, in_process))
    (row,) = parquet.read(data.output, TRANSFORMS, *OTHER).to_pylist()
    relevant = int(described(data)["position"].notna().sum())
    assert row == {
        "statistics": "birds",
        "t_plus": 0.15,
        "t_minus": -0.25,
        "ks_plus": 0.3,
        "ks_minus": -0.3,
        "n_features": 11,
        "n_relevant": relevant,
        "network": "clip",
        "dataset": "fish",
    }


def test_without_thresholds_of_distances_no_feature_is_relevant(
    data: Embedded, in_process: InProcess
) -> None:
    describe_features(item(data, in_process, of_ks=Limits(None, None)))
    found = described(data)
    assert found["position"].isna().all()
    assert (found[["n_above", "n_below"]] == 0).all(axis=None)
    (row,) = parquet.read(data.output, TRANSFORMS, *OTHER).to_pylist()
    assert (row["ks_plus"], row["ks_minus"], row["n_relevant"]) == (None, None, 0)


def test_shards_read_what_was_written(data: Embedded, in_process: InProcess) -> None:
    describe_features(item(data, in_process))
    rows = described(data)
    found = read_features(data.output, OTHER)
    assert list(found) == ["relu", "double"]
    for layer, features in found.items():
        chosen = rows[rows["layer"] == layer]
        np.testing.assert_array_equal(features.mean, chosen["mean"].to_numpy(float))
        np.testing.assert_array_equal(features.std, chosen["std"].to_numpy(float))
        assert features.kept.tolist() == chosen.loc[chosen["position"].notna(), "unit"].tolist()
