"""Whichever way a dataset is cut, and in whatever order its files come, the tables are the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kdsspark import config
from kdsspark.errors import ConfigError
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS
from kdsspark.stages.measure import stage as measure
from kdsspark.stages.measure.plan import Way
from kdsspark.tables import DAVG, DISTRIBUTION, HISTOGRAMS, KS, LAYERS, RANGES, SURVIVAL, TABLES
from tests.studies import run, write_embeddings

pytestmark = pytest.mark.usefixtures("without_spark")
IMAGES, CLASSES, PAIR = 400, 5, ("clip", "given")
NOT_MEASURED = {
    *("images", "image_classes", "embeddings", "failures", "duplicates", "probe"),
    *("transforms", "transform_features", "full_network", "pruned", "exemplars"),
    *(table.name for experiment in EXPERIMENTS for table in experiment.tables),
}
COMPARED = [name for name in TABLES if name not in NOT_MEASURED]


def _layers() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(3)
    relu = np.maximum(rng.normal(size=(IMAGES, 10)), 0).astype(np.float32)
    relu[rng.random(relu.shape) < 0.01] = np.nan
    wide = rng.normal(size=(IMAGES, 17)).astype(np.float32)
    wide[:, 7] = 2.5
    return {"relu": relu, "wide": wide, "double": rng.integers(0, 9, (IMAGES, 3)) / 3}


def _write(folder: Path, parts: int, order: int = 0) -> None:
    rng = np.random.default_rng(order)
    labels = np.random.default_rng(1).integers(0, CLASSES, IMAGES)
    rows = rng.permutation(IMAGES) if order else np.arange(IMAGES)
    for part, some in enumerate(np.array_split(rows, parts)):
        write_embeddings(
            folder / f"{part:03d}.parquet",
            {name: values[some] for name, values in _layers().items()},
            [f"class {labels[row]}" for row in some],
            [f"image {row}" for row in some],
        )


def _measured(output: Path, source: Path, **settings: Any) -> Output:
    raw = {
        "output": str(output),
        "datasets": [{"name": "given", "embeddings": str(source), "network": "clip"}],
        "measure": {"bins": 30, "shuffles": 3, "seed": 4, "distances": ["auc", "wasserstein"]}
        | settings,
    }
    study = run(config.parse(raw))
    study.do("check")
    assert not study.output.files("_columns")
    return study.output


def _tables(store: Output, names: list[str]) -> dict[str, pd.DataFrame]:
    frames = {}
    for name in names:
        frame = parquet.read(store, TABLES[name]).to_pandas()
        frame = frame.sort_values(list(TABLES[name].key), ignore_index=True)
        if "counts" in frame:
            frame["counts"] = frame["counts"].map(tuple)
        frames[name] = frame
    return frames


def _assert_same(found: Output, expected: Output, names: list[str] | None = None) -> None:
    names = names or COMPARED
    tables = _tables(found, names)
    for name, frame in _tables(expected, names).items():
        assert len(frame)
        pd.testing.assert_frame_equal(tables[name], frame, check_exact=True)


def _way(store: Output, **settings: Any) -> Way:
    datasets = [{"name": "given", "embeddings": "unread", "network": "clip"}]
    chosen = {"bins": 30, "shuffles": 3, "seed": 4} | settings
    parsed = config.parse({"output": store.url, "datasets": datasets, "measure": chosen})
    return measure.plan(store, parsed, Pair(*PAIR)).cut.way


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ways") / "given"
    _write(folder, parts=2)
    return folder


@pytest.fixture(scope="module")
def whole(source: Path, without_spark: None) -> Output:  # noqa: ARG001
    return _measured(source.parent / "whole", source)


@pytest.mark.parametrize(("memory", "exact"), [("80KiB", True), ("56KiB", False)])
def test_by_columns(source: Path, whole: Output, tmp_path: Path, memory: str, exact: bool) -> None:
    settings = {"memory": memory, "exact": exact}
    store = _measured(tmp_path / "out", source, **settings)
    assert _way(store, **settings) is Way.COLUMNS
    assert len(store.files("ranges")) > len(whole.files("ranges")) == 3
    if exact:
        _assert_same(store, whole)
    else:
        _assert_same(store, whole, ["ranges", "histograms", "davg", "survival", "layers"])


def test_by_rows(source: Path, tmp_path: Path) -> None:
    settings = {"memory": "32KiB", "exact": False}
    store = _measured(tmp_path / "rows", source, **settings)
    assert _way(store, **settings) is Way.ROWS
    _assert_same(store, _measured(tmp_path / "whole", source, exact=False))


def test_exact_distances_are_refused_where_no_unit_fits(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"measure\.exact: must be false for 400 images"):
        _measured(tmp_path / "out", source, memory="32KiB")


@pytest.mark.parametrize("parts", [1, 7, 40])
def test_partitions_and_the_order_of_files(whole: Output, tmp_path: Path, parts: int) -> None:
    _write(tmp_path / "given", parts, order=parts)
    _assert_same(_measured(tmp_path / "out", tmp_path / "given"), whole)


def test_the_distances_of_shuffles_need_not_be_kept(
    source: Path, whole: Output, tmp_path: Path
) -> None:
    store = _measured(tmp_path / "out", source, keep_shuffled=False)
    assert not store.files(KS.partition(*PAIR, "shuffled"))
    same = [RANGES, HISTOGRAMS, DAVG, DISTRIBUTION, SURVIVAL]
    _assert_same(store, whole, [table.name for table in same] + ["thresholds", "significance"])
    layers, expected = (_tables(s, [LAYERS.name])[LAYERS.name] for s in (store, whole))
    columns = ["layer", "sign", "n", "kept"]
    pd.testing.assert_frame_equal(layers[columns], expected[columns], check_exact=True)
    assert layers.query("labels == 'shuffled'")["mode"].isna().all()
    assert layers.query("labels == 'true'")["mode"].notna().all()


def test_many_shuffles_in_little_memory(source: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"shuffles": 100, "keep_shuffled": False}
    much = _measured(tmp_path / "much", source, **settings)
    little = _measured(tmp_path / "little", source, memory="1MiB", **settings)
    _assert_same(little, much)
    row = parquet.read(much, TABLES["thresholds"]).to_pylist()[0]
    assert row["t_plus_std"] > 0


def test_ranges_of_a_replaced_file_are_not_those_of_the_old_one(
    source: Path, tmp_path: Path
) -> None:
    shutil.copytree(source, tmp_path / "given")
    _measured(tmp_path / "out", tmp_path / "given")
    path = tmp_path / "given" / "001.parquet"
    layers = {name: values[-200:] * 3 for name, values in _layers().items()}
    write_embeddings(
        path, layers, ["class 1", "class 2"] * 100, [f"image {i}" for i in range(200, 400)]
    )
    again = _measured(tmp_path / "out", tmp_path / "given")
    _assert_same(again, _measured(tmp_path / "afresh", tmp_path / "given"))
