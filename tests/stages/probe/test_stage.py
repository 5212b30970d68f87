"""The probe against scikit-learn on arrays gathered by pandas, with the same split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from kdsspark import config
from kdsspark.config import Probe, Transform
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.arrow import image_keys
from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.stages import PROBE as PROBE_STAGE
from kdsspark.stages.probe import stage as probe
from kdsspark.stats.accuracy.split import images_to_test
from kdsspark.tables import EMBEDDINGS, FULL_NETWORK, PROBE, PRUNED, TRANSFORM_FEATURES, Table
from tests.studies import run, write_embeddings

pytestmark = pytest.mark.usefixtures("without_spark")

NAMES = ['it\'s "quoted"', "a/b", "<script>alert(1)</script>", "Übung 猫", "one"]
TABLES = {"all": EMBEDDINGS, "relevant": PRUNED, "full_network": FULL_NETWORK}
WIDTHS = {"wide": 50, "narrow": 6, "constant": 2}
LAYERS = [*WIDTHS, "*"]
SETTINGS = Probe()


def _write(folder: Path, sizes: list[int], parts: int) -> None:
    rng = np.random.default_rng(9)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    shift = rng.normal(size=(len(sizes), 50))
    wide = np.maximum(rng.normal(size=(len(labels), 50)) + 0.6 * shift[labels], 0)
    wide[:, 49] = np.where(rng.random(len(labels)) < 0.2, np.nan, wide[:, 49])
    narrow = rng.normal(size=(len(labels), 6)) + 1.2 * np.eye(6)[labels]
    constant = np.full((len(labels), 2), 7.0)
    values = {"wide": wide, "narrow": narrow, "constant": constant}
    for part, rows in enumerate(np.array_split(np.arange(len(labels)), parts)):
        write_embeddings(
            folder / f"part{part}.parquet",
            {name: values[name][rows].astype(np.float32) for name in values},
            [NAMES[i] for i in labels[rows]],
            [f"image {row}" for row in rows],
        )


PAIR = Pair("clip", "birds")
OWN = Transform()


def _study(folder: Path) -> Study:
    datasets = [{"name": "birds", "embeddings": str(folder / "birds"), "network": "clip"}]
    return run(config.parse({"output": str(folder / "out"), "datasets": datasets}))


def _transform(study: Study) -> None:
    study.do("transform")


def _probe(study: Study, settings: Probe = SETTINGS, transform: Transform = OWN) -> Study:
    sections = {"probe": settings, "transform": transform}
    probed = Study(study.config.model_copy(update=sections))
    probed.do("probe")
    return probed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("probe")
    _write(path / "birds", [60, 40, 30, 20, 1], parts=3)
    return path


@pytest.fixture(scope="module")
def study(folder: Path, without_spark: None) -> Study:  # noqa: ARG001
    found = _study(folder)
    _transform(found)
    _probe(found)
    return found


def _found(study: Study) -> pd.DataFrame:
    table = parquet.read(study.output, PROBE).to_pandas()
    return table.set_index(["layer", "features", "class_id"]).sort_index()


def _images(study: Study, table: Table, settings: Probe = SETTINGS) -> pd.DataFrame:
    """The rows in the order of the ids, and whether each is to test with."""
    rows = parquet.read(study.output, table, "clip", "birds").sort_by("image_id")
    labels = rows["class_id"].to_numpy()
    tested = images_to_test(image_keys(rows["image_id"]), labels, settings.test, settings.seed)
    return rows.to_pandas().assign(tested=tested)


def _vectors(rows: pd.DataFrame, layer: str, settings: Probe = SETTINGS) -> np.ndarray:
    layers = list(WIDTHS) if layer == "*" else [layer]
    x = np.concatenate([np.stack(rows[name].to_list()) for name in layers], axis=1)
    x = np.nan_to_num(x.astype(np.float64), nan=0, posinf=0, neginf=0)
    x = normalize(x) if settings.l2 and x.shape[1] else x
    return np.sign(x) * np.abs(x) ** 0.5 if settings.signed_root else x


def _expected(
    study: Study, layer: str, features: str, settings: Probe = SETTINGS
) -> dict[int, tuple[int, int]]:
    """Class -> (to test with, correct), -1 for all."""
    rows = _images(study, TABLES[features], settings)
    x, y, tested = _vectors(rows, layer, settings), rows["class_id"], rows["tested"]
    if x.shape[1]:
        model = LinearSVC(C=settings.c, dual="auto", max_iter=2000, random_state=0)
        guess = model.fit(x[~tested], y[~tested]).predict(x[tested])
    else:
        guess = np.full(tested.sum(), y[~tested].mode()[0])
    right = guess == y[tested]
    counts = {c: (int((y[tested] == c).sum()), int(right[y[tested] == c].sum())) for c in range(5)}
    return counts | {-1: (len(right), int(right.sum()))}


@pytest.mark.parametrize("features", TABLES)
@pytest.mark.parametrize("layer", LAYERS)
def test_it_is_what_scikit_learn_says(study: Study, layer: str, features: str) -> None:
    found = _found(study).loc[(layer, features)]
    expected = _expected(study, layer, features)
    assert sorted(found.index) == sorted(expected)
    for class_id, (n_test, correct) in expected.items():
        row = found.loc[class_id]
        assert (row["n_test"], row["correct"]) == (n_test, correct)
        if n_test:
            assert row["accuracy"] == correct / n_test
    single = found.loc[sorted(NAMES).index("one")]  # to train with only
    assert (single["n_train"], single["n_test"], single["correct"]) == (1, 0, 0)
    assert np.isnan(single["accuracy"])


def test_it_tells_classes_apart_better_than_chance(study: Study) -> None:
    accuracy = _found(study).xs(-1, level="class_id")["accuracy"]
    assert accuracy.loc["wide"].min() > 0.6
    assert accuracy.loc["constant", "relevant"] == pytest.approx(60 / 150, abs=0.02)


def test_features_are_counted_and_methods_named(study: Study) -> None:
    found = _found(study).xs(-1, level="class_id")
    relevant = parquet.read(study.output, TRANSFORM_FEATURES).to_pandas().dropna(subset="position")
    kept = relevant.groupby("layer").size()
    for layer, width in WIDTHS.items():
        assert found.loc[(layer, "all"), "n_features"] == width
        assert found.loc[(layer, "full_network"), "n_features"] == width
        assert found.loc[(layer, "relevant"), "n_features"] == kept.get(layer, 0)
    assert found.loc[("*", "all"), "n_features"] == 58
    assert found.loc[("*", "relevant"), "n_features"] == kept.sum()
    assert kept["wide"] > 0
    assert "constant" not in kept
    assert set(found.drop(("constant", "relevant"))["method"]) == {"LinearSVC"}
    assert found.loc[("constant", "relevant"), "method"] == "majority"
    assert (found["n_train"] + found["n_test"] == 151).all()


def test_other_settings_probe_again(study: Study) -> None:
    other = Probe(seed=3, test=0.5, l2=False, signed_root=True)
    _probe(study, other)
    for features in TABLES:
        found = _found(study).loc[("narrow", features)]
        counts = {c: (row["n_test"], row["correct"]) for c, row in found.iterrows()}
        assert counts == _expected(study, "narrow", features, other)
    _probe(study)


def test_what_is_done_is_not_done_again(study: Study) -> None:
    _probe(study)
    paths = [Path(study.output.path(path)) for path in study.output.files("probe")]
    before = {path: path.stat().st_mtime_ns for path in paths}
    assert len(before) == 12
    stray = f"{PROBE.partition('clip', 'birds')}/all-0099.parquet"
    parquet.write(study.output, stray, PROBE.schema.empty_table(), PROBE.schema)
    _probe(study)
    assert len(PROBE_STAGE.receipts(study.output).of(PAIR)) == 12
    assert {path: path.stat().st_mtime_ns for path in paths} == before
    assert not study.output.exists(stray)


def test_what_does_not_fit_in_memory_is_streamed(study: Study) -> None:
    given, output = study.config, study.output
    measure = given.measure.model_copy(update={"memory": "256KiB"})
    little = given.model_copy(update={"measure": measure})
    items, expected = probe.plan(output, little, PAIR).items, 256 << 10
    for item in items:
        assert item.streams == (151 * item.n_features * 40 > expected), item.name
    assert {item.layer for item in items if item.streams} == {"wide", "*"}
    assert not any(item.streams for item in probe.plan(output, given, PAIR).items)


def test_one_class_is_always_right(tmp_path: Path) -> None:
    _write(tmp_path / "birds", [7], parts=1)
    study = _study(tmp_path)
    given = Transform(t_plus=0.15, t_minus=-0.25)
    Study(study.config.model_copy(update={"transform": given})).do("transform")
    _probe(study, SETTINGS, given)
    found = parquet.read(study.output, PROBE).to_pandas()
    assert set(found["method"]) == {"majority"}
    assert found["accuracy"].tolist() == [1] * 24
    assert found["n_test"].tolist() == [2] * 24


def test_the_stages_before_are_asked_for(tmp_path: Path) -> None:
    _write(tmp_path / "birds", [8, 7], parts=1)
    study = _study(tmp_path)
    expected = "dataset birds: is not transformed for network clip with these settings"
    with pytest.raises(DatasetError, match=expected):
        _probe(study)
    _transform(study)
    with pytest.raises(DatasetError, match=expected):
        _probe(study, SETTINGS, Transform(t_plus=0.9))


def test_the_closing_table_shows_every_layer(study: Study) -> None:
    header, *lines = _probe(study).closing("probe").splitlines()
    assert header.split("  ")[0] == "network"
    assert [line.split()[:3] for line in lines] == [["clip", "birds", layer] for layer in LAYERS]
    found = _found(study).xs(-1, level="class_id")
    for line, layer in zip(lines, LAYERS, strict=True):
        for features in TABLES:
            row = found.loc[(layer, features)]
            assert f"{row['accuracy']:.3f} ({row['n_features']})" in line
    (other,) = (d.model_copy(update={"name": "other"}) for d in study.config.datasets)
    unknown = Study(study.config.model_copy(update={"datasets": (other,)})).closing("probe")
    assert unknown.splitlines()[1].split() == ["clip", "other", "wide", "-", "-", "-"]
