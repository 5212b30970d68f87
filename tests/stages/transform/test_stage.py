"""The full-network and the pruned embedding against numpy and pandas, on awkward data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from kdsspark import config
from kdsspark.config import Config, Transform
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.stages import TRANSFORM
from kdsspark.tables import (
    EMBEDDINGS,
    FULL_NETWORK,
    KS,
    PRUNED,
    THRESHOLDS,
    TRANSFORM_FEATURES,
    TRANSFORMS,
    Table,
)
from tests.studies import run, write_embeddings

pytestmark = pytest.mark.usefixtures("without_spark")

NAMES = ['it\'s "quoted"', "a/b", "<script>alert(1)</script>", "Übung 猫", "one"]
LAYERS = ("relu", "double", "noise")
OWN, GIVEN = Transform(), Transform(t_plus=0.15, t_minus=-0.25)


def _layers(labels: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Features that tell of the class, some that do not, and awkward ones; the last layer none."""
    rng = np.random.default_rng(seed)
    n = len(labels)
    useful = np.maximum(rng.normal(size=(n, 5)) + 2 * (labels[:, None] == np.arange(5)), 0)
    with_nan = np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))
    with_inf = np.where(rng.random(n) < 0.1, np.inf, rng.normal(size=n))
    one = (labels == NAMES.index("one")).astype(float)  # high for a class and low for none
    odd = [np.full(n, 3.5), np.full(n, np.nan), with_nan, with_inf, one, -one]
    return {
        "relu": np.column_stack([useful, *odd]).astype(np.float32),
        "double": np.column_stack([rng.lognormal(0, 3, n), 1e6 + labels + rng.normal(size=n)]),
        "noise": np.full((n, 2), 7, np.float32),
    }


def _write(folder: Path, sizes: list[int], parts: int, seed: int, offset: int = 0) -> None:
    labels = np.repeat(np.arange(5), sizes)
    labels = np.random.default_rng(seed).permutation(labels)
    layers = _layers(labels, seed)
    for part, rows in enumerate(np.array_split(np.arange(len(labels)), parts)):
        write_embeddings(
            folder / f"part{part + offset}.parquet",
            {name: values[rows] for name, values in layers.items()},
            [NAMES[i] for i in labels[rows]],
            [f"image {seed} {row}" for row in rows],
        )


def _config(folder: Path, *names: str) -> Config:
    datasets = [
        {"name": name, "embeddings": str(folder / name), "network": "clip"} for name in names
    ]
    return config.parse({"output": str(folder / "out"), "datasets": datasets})


def _transform(study: Study, settings: Transform, *names: str) -> None:
    datasets = tuple(d for d in study.config.datasets if d.name in names)
    chosen = study.config.model_copy(update={"transform": settings, "datasets": datasets})
    Study(chosen).do("transform")


def _frame(store: Output, table: Table, dataset: str) -> pd.DataFrame:
    return parquet.read(store, table, "clip", dataset).to_pandas()


def _values(frame: pd.DataFrame, layer: str) -> np.ndarray:
    """[images, units] in the order of the ids."""
    return np.stack(frame.sort_values("image_id")[layer].to_list())


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, without_spark: None) -> Study:  # noqa: ARG001
    folder = tmp_path_factory.mktemp("transform")
    _write(folder / "birds", [30, 25, 20, 20, 1], parts=3, seed=1)
    _write(folder / "other", [8, 8, 8, 8, 8], parts=2, seed=2)
    found = run(_config(folder, "birds", "other"))
    _transform(found, OWN, "birds")
    _transform(found, GIVEN.model_copy(update={"statistics": "birds"}), "other")
    return found


def _moments(study: Study, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """Of the dataset `birds`, by numpy: NaN without finite values."""
    values = _values(_frame(study.output, EMBEDDINGS, "birds"), layer).astype(np.float64)
    columns = [column[np.isfinite(column)] for column in values.T]
    mean = [column.mean() if len(column) else np.nan for column in columns]
    std = [column.std() if len(column) else np.nan for column in columns]
    return np.array(mean), np.array(std)


def _expected_codes(
    study: Study, dataset: str, layer: str, t_minus: float, t_plus: float
) -> np.ndarray:
    x = _values(_frame(study.output, EMBEDDINGS, dataset), layer).astype(np.float64)
    mean, std = _moments(study, layer)
    codes = np.zeros(x.shape, int)
    for i, u in np.ndindex(x.shape):
        if np.isfinite(x[i, u]) and std[u] > 0:
            z = (x[i, u] - mean[u]) / std[u]
            codes[i, u] = 1 if z > t_plus else -1 if z < t_minus else 0
    return codes


@pytest.mark.parametrize("layer", LAYERS)
def test_values_are_discretised_by_the_datasets_own_thresholds(study: Study, layer: str) -> None:
    limits = parquet.read(study.output, THRESHOLDS).to_pandas().set_index("dataset").loc["birds"]
    found = _values(_frame(study.output, FULL_NETWORK, "birds"), layer)
    expected = _expected_codes(study, "birds", layer, limits["t_minus"], limits["t_plus"])
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, expected)
    assert set(np.unique(found)) == ({0} if layer == "noise" else {-1, 0, 1})


@pytest.mark.parametrize("layer", LAYERS)
def test_statistics_of_one_dataset_apply_to_another(study: Study, layer: str) -> None:
    found = _values(_frame(study.output, FULL_NETWORK, "other"), layer)
    np.testing.assert_array_equal(found, _expected_codes(study, "other", layer, -0.25, 0.15))


def _relevant(study: Study) -> pd.DataFrame:
    """Layer, unit -> classes of `birds` above and below its thresholds."""
    limits = parquet.read(study.output, THRESHOLDS).to_pandas().set_index("dataset").loc["birds"]
    ks = parquet.read(study.output, KS, "clip", "birds", "true").to_pandas()
    ks["above"], ks["below"] = ks["ks"] > limits["t_plus"], ks["ks"] < limits["t_minus"]
    return ks.groupby(["layer", "unit"])[["above", "below"]].sum()


@pytest.mark.parametrize("dataset", ["birds", "other"])
def test_pruned_keeps_the_features_beyond_a_threshold_for_some_class(
    study: Study, dataset: str
) -> None:
    relevant = _relevant(study)
    assert ((relevant["above"] > 0) & (relevant["below"] == 0)).any()
    assert ((relevant["above"] == 0) & (relevant["below"] > 0)).any()
    embedded, pruned = (_frame(study.output, t, dataset) for t in (EMBEDDINGS, PRUNED))
    kept = 0
    for layer in LAYERS:
        counts = relevant.loc[layer].sort_index()
        units = counts.index[(counts["above"] > 0) | (counts["below"] > 0)]
        values = _values(embedded, layer)[:, list(units)]
        np.testing.assert_array_equal(_values(pruned, layer), values)
        assert _values(pruned, layer).dtype == values.dtype or not len(units)
        kept += len(units)
    assert _values(pruned, "noise").shape == (len(embedded), 0)
    assert 7 <= kept < 15
    row = _frame(study.output, TRANSFORMS, dataset).iloc[0]
    assert (row["n_features"], row["n_relevant"]) == (15, kept)


@pytest.mark.parametrize("dataset", ["birds", "other"])
def test_features_tell_their_statistics_and_places(study: Study, dataset: str) -> None:
    found = _frame(study.output, TRANSFORM_FEATURES, dataset).set_index(["layer", "unit"])
    relevant = _relevant(study)
    assert len(found) == 15
    for layer in LAYERS:
        mean, std = _moments(study, layer)
        rows = found.loc[layer].sort_index()
        np.testing.assert_allclose(rows["mean"].to_numpy(float), mean, rtol=1e-12)
        np.testing.assert_allclose(rows["std"].to_numpy(float), std, rtol=1e-9)
        counts = relevant.loc[layer].sort_index()
        assert rows["n_above"].tolist() == counts["above"].tolist()
        assert rows["n_below"].tolist() == counts["below"].tolist()
        places = rows["position"].dropna()
        assert places.tolist() == list(range(len(places)))
        assert places.index.tolist() == counts.index[counts.sum(axis=1) > 0].tolist()


def test_the_thresholds_that_were_applied_are_told(study: Study) -> None:
    limits = parquet.read(study.output, THRESHOLDS).to_pandas().set_index("dataset").loc["birds"]
    own, other = (_frame(study.output, TRANSFORMS, name).iloc[0] for name in ("birds", "other"))
    for row in (own, other):
        assert row["statistics"] == "birds"
        assert (row["ks_plus"], row["ks_minus"]) == (limits["t_plus"], limits["t_minus"])
    assert (own["t_plus"], own["t_minus"]) == (limits["t_plus"], limits["t_minus"])
    assert (other["t_plus"], other["t_minus"]) == (0.15, -0.25)


def test_images_and_classes_are_those_of_the_embeddings(study: Study) -> None:
    columns = ["image_id", "class_id", "class_name"]
    expected = _frame(study.output, EMBEDDINGS, "birds")[columns]
    assert set(expected["class_name"]) == set(NAMES)
    for table in (FULL_NETWORK, PRUNED):
        pd.testing.assert_frame_equal(_frame(study.output, table, "birds")[columns], expected)
        assert len(study.output.files(table.partition("clip", "birds"))) == 3


def _when(study: Study) -> dict[str, int]:
    tables = ("full_network", "pruned", "transform_features", "_receipts/transform")
    paths = [path for table in tables for path in study.output.files(table)]
    return {path: Path(study.output.path(path)).stat().st_mtime_ns for path in paths}


def test_what_is_done_is_not_done_again(study: Study) -> None:
    before = _when(study)
    assert before
    _transform(study, OWN, "birds")
    receipts = TRANSFORM.receipts(study.output).of(Pair("clip", "birds"))
    assert [r.counts["images"] for r in receipts.values()] == [32, 32, 32]
    assert _when(study) == before


def test_other_thresholds_are_applied_and_a_lost_part_is_written_again(tmp_path: Path) -> None:
    _write(tmp_path / "birds", [12, 12, 12, 12, 1], parts=2, seed=3)
    found = run(_config(tmp_path, "birds"))
    _transform(found, OWN, "birds")
    store = found.output
    own = _values(_frame(store, FULL_NETWORK, "birds"), "double")
    _transform(found, Transform(t_plus=1.5, t_minus=-1.5), "birds")
    wide = _values(_frame(store, FULL_NETWORK, "birds"), "double")
    assert np.abs(wide).sum() < np.abs(own).sum()
    _transform(found, OWN, "birds")
    np.testing.assert_array_equal(_values(_frame(store, FULL_NETWORK, "birds"), "double"), own)

    lost = TRANSFORM.receipts(store).of(Pair("clip", "birds")).popitem()[0]
    TRANSFORM.receipts(store).remove(lost)
    store.remove(PRUNED.part(lost.part, "clip", "birds"))
    _transform(found, OWN, "birds")
    assert len(_frame(store, PRUNED, "birds")) == 49


def test_shards_that_are_gone_leave_no_part_and_added_ones_count(tmp_path: Path) -> None:
    _write(tmp_path / "birds", [12, 12, 12, 12, 1], parts=2, seed=4)
    first = run(_config(tmp_path, "birds"))
    _transform(first, GIVEN, "birds")
    (tmp_path / "birds/part1.parquet").unlink()
    _write(tmp_path / "birds", [3, 3, 3, 3, 3], parts=1, seed=5, offset=7)
    again = run(_config(tmp_path, "birds"))
    _transform(again, GIVEN, "birds")
    fresh = run(_config(tmp_path, "birds").model_copy(update={"output": str(tmp_path / "new")}))
    _transform(fresh, GIVEN, "birds")
    for table in (FULL_NETWORK, PRUNED, TRANSFORM_FEATURES, TRANSFORMS):
        found, expected = (_frame(one.output, table, "birds") for one in (again, fresh))
        assert repr(found.to_dict("list")) == repr(expected.to_dict("list"))
    assert len(_frame(again.output, PRUNED, "birds")) == 25 + 15


def test_how_the_rows_are_cut_changes_no_number(tmp_path: Path) -> None:
    found = []
    for parts in (1, 5):
        folder = tmp_path / str(parts)
        _write(folder / "birds", [12, 12, 12, 12, 1], parts, seed=6)
        study = run(_config(folder, "birds"))
        _transform(study, OWN, "birds")
        assert len(study.output.files(PRUNED.name)) == parts
        features = _frame(study.output, TRANSFORM_FEATURES, "birds")
        codes = _frame(study.output, FULL_NETWORK, "birds").sort_values("image_id")
        found.append((features, {layer: _values(codes, layer).tolist() for layer in LAYERS}))
    pd.testing.assert_frame_equal(found[0][0], found[1][0], check_exact=True)
    assert found[0][1] == found[1][1]


def _error(study: Study, settings: Transform, name: str) -> str:
    with pytest.raises(DatasetError) as error:
        _transform(study, settings, name)
    return str(error.value)


def test_the_stages_before_are_asked_for(tmp_path: Path) -> None:
    _write(tmp_path / "birds", [5, 5, 5, 5, 5], parts=1, seed=7)
    found = run(_config(tmp_path, "birds"), "index embed")
    assert "dataset birds: is not measured by network clip" in _error(found, OWN, "birds")
    found.do("measure")
    assert "dataset birds: is not summarized for network clip" in _error(found, OWN, "birds")
    found.do("summarize")
    missing = Transform(statistics="fish")
    assert (
        _error(found, missing, "birds") == "dataset fish: is not embedded by clip, run embed first"
    )
    _transform(found, OWN, "birds")


def test_one_class_has_no_thresholds_but_takes_given_ones(tmp_path: Path) -> None:
    _write(tmp_path / "alone", [9, 0, 0, 0, 0], parts=1, seed=8)
    found = run(_config(tmp_path, "alone"))
    message = _error(found, Transform(t_plus=0.15), "alone")
    assert message == (
        "dataset alone: must have thresholds to be transformed with, got none by network clip; "
        "give transform.t_plus and transform.t_minus"
    )
    _transform(found, GIVEN, "alone")
    assert set(np.unique(_values(_frame(found.output, FULL_NETWORK, "alone"), "double"))) > {0}
    row = _frame(found.output, TRANSFORMS, "alone").iloc[0]
    assert row[["ks_plus", "ks_minus"]].isna().all()
    assert row["n_relevant"] == 0


def test_parts_have_the_declared_columns_and_no_nulls(study: Study) -> None:
    path = study.output.files(PRUNED.partition("clip", "birds"))[0]
    schema = pq.read_schema(study.output.path(path))
    assert schema.names == [*PRUNED.schema.names, *LAYERS]
    assert not any(field.nullable for field in schema)
