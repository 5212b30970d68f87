"""Filters against scikit-learn used directly, and hand-made sets whose answer is known."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve
from sklearn.svm import LinearSVC

from kdsspark import paper_seeds
from kdsspark.config import Measure
from kdsspark.output.arrow import image_keys
from kdsspark.pipeline.study import Study
from kdsspark.report.experiment_queries import EXPERIMENT_QUERIES
from kdsspark.report.experiments.filters import summary
from kdsspark.stages.experiments import filters
from kdsspark.stats.accuracy.split import images_to_test
from kdsspark.tables import EMBEDDINGS, FILTERS, FILTERS_CURVES, FILTERS_NEEDED
from tests.report.synthetic import run_on_files
from tests.stages.experiments import studies
from tests.studies import write_embeddings


@pytest.fixture(scope="module")
def done(study: Study) -> Study:
    return studies.experiment(study, "filters")


def _split(study: Study) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of the wide layer, not finite ones as 0; labels; the images to test with."""
    rows = studies.embeddings(study)
    labels = rows["class_id"].to_numpy()
    x = np.nan_to_num(studies.values(rows, "wide"), nan=0.0)
    ids = studies.parquet.read(study.output, EMBEDDINGS).sort_by("image_id")["image_id"]
    return x, labels, images_to_test(image_keys(ids), labels, 0.3, 0)


def _machine(x: np.ndarray, y: np.ndarray, tested: np.ndarray) -> tuple[float, np.ndarray]:
    x = x / np.linalg.norm(x[~tested], axis=1).mean()
    model = LinearSVC(C=1.0, dual="auto", max_iter=2000, random_state=0)
    model.fit(x[~tested], y[~tested])
    score = average_precision_score(y[tested], model.decision_function(x[tested]))
    return score, model.coef_[0]


def test_average_precisions_are_exact_and_of_all_images(done: Study) -> None:
    rows = studies.embeddings(done)
    found = studies.table(done, FILTERS)
    assert set(found["class_id"]) == {0, 1, 3}  # the class of one image has none to test with
    for layer in ("wide", "narrow"):
        x = studies.values(rows, layer)
        x = np.where(np.isfinite(x), x, -1e9)
        for c in (0, 1, 3):
            own = found[(found["layer"] == layer) & (found["class_id"] == c)].set_index("unit")
            y = rows["class_id"] == c
            expected = [average_precision_score(y, x[:, unit]) for unit in range(x.shape[1])]
            for unit, row in own.iterrows():
                assert row["average_precision"] == pytest.approx(expected[int(str(unit))])
            assert own["place"].max() == min(5, x.shape[1])
            best = own.index[own["place"] == 1][0]
            assert expected[int(str(best))] == pytest.approx(max(expected))
    perfect = found[(found["layer"] == "narrow") & (found["class_id"] == 1) & (found["unit"] == 0)]
    assert (perfect["average_precision"].item(), perfect["place"].item()) == (1, 1)


@pytest.mark.parametrize("c", [0, 1, 3])
def test_machines_on_the_best_features_are_scikit_learns(done: Study, c: int) -> None:
    x, labels, tested = _split(done)
    full, weights = _machine(x, labels == c, tested)
    ranked = np.argsort(-np.abs(weights), kind="stable")
    found = studies.table(done, FILTERS_NEEDED)
    found = found[(found["layer"] == "wide") & (found["class_id"] == c)].set_index("k")
    assert sorted(found.index) == [1, 2, 3, 5, 10, 12]
    for k, row in found.iterrows():
        some = ranked[: int(str(k))] if k != 12 else np.arange(12)
        expected, _ = _machine(x[:, some], labels == c, tested)
        assert row["average_precision"] == pytest.approx(expected)
        assert row["share"] == pytest.approx(expected / full)
        assert (row["n_train"], row["n_test"]) == ((~tested).sum(), tested.sum())
    places = studies.table(done, FILTERS).dropna(subset="weight_place")
    own = places[(places["layer"] == "wide") & (places["class_id"] == c)]
    assert own.sort_values("weight_place")["unit"].tolist() == ranked.tolist()


def test_curves_are_scikit_learns(done: Study) -> None:
    rows = studies.embeddings(done)
    found = studies.table(done, FILTERS_CURVES)
    best = studies.table(done, FILTERS)
    for c in (0, 3):
        (unit,) = best[(best["layer"] == "wide") & (best["class_id"] == c) & (best["place"] == 1)][
            "unit"
        ]
        x = studies.values(rows, "wide")[:, unit]
        precision, recall, _ = precision_recall_curve(
            rows["class_id"] == c, np.where(np.isfinite(x), x, -1e9)
        )
        of = (found["layer"] == "wide") & (found["class_id"] == c) & (found["place"] == 1)
        own = found[of & (found["kind"] == "best")].set_index("recall")["precision"]
        assert len(own) == 21
        for r, value in own.items():
            inside = precision[:-1][recall[:-1] >= float(str(r)) - 1e-9]
            assert value == pytest.approx(inside.max())
        assert len(found[of & (found["kind"] == "random")]) == 21


@pytest.mark.parametrize(("width", "last"), [(3, [1, 2, 3]), (64, [45, 50, 64])])
def test_all_features_are_the_last_number(width: int, last: list[int]) -> None:
    assert filters._sizes(width)[-3:] == last


def test_wide_layers_double_on() -> None:
    assert filters._sizes(4096)[-5:] == [256, 512, 1024, 2048, 4096]
    assert filters._sizes(600)[-3:] == [256, 512, 600]


def _two_classes(folder: Path, shared: int, width: int = 100) -> Study:
    """Two classes that each excite 50 features, ``shared`` of them the same, and a rest."""
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1, 2], 40)
    values = rng.random((120, width)) * 0.01
    values[labels == 0, :50] += 1 + rng.random((40, 50))
    values[labels == 1, 50 - shared : 100 - shared] += 1 + rng.random((40, 50))
    write_embeddings(
        folder / "birds" / "part0.parquet",
        {"only": values.astype(np.float32)},
        [("x", "y", "z")[label] for label in labels],
        [f"image {n}" for n in range(120)],
    )
    datasets = [{"name": "birds", "embeddings": str(folder / "birds"), "network": "clip"}]
    return studies.run(studies.config.parse({"output": str(folder / "out"), "datasets": datasets}))


def test_two_classes_that_share_25_of_50_features_overlap_by_a_half(folder: Path) -> None:
    made = studies.experiment(_two_classes(folder, 25), "filters")
    own = studies.table(made, FILTERS)
    excited = {0: set(range(50)), 1: set(range(25, 75))}
    precision = own.set_index(["class_id", "unit"])["average_precision"]
    for c in (0, 1):
        only = excited[c] - excited[1 - c]
        assert (precision[c][precision[c].index.isin(only)] == 1).all()
    rows = run_on_files(made.output, EXPERIMENT_QUERIES)
    pairs = rows["filters/overlap"].set_index(["class_id", "other"])["overlap"]
    chosen = own.dropna(subset="weight_place").groupby("class_id")["unit"].agg(set)
    for a in range(3):
        for b in range(3):
            expected = len(chosen[a] & chosen[b]) / 50
            assert pairs.get((a, b), 0) == pytest.approx(expected)
    table = summary(rows)
    off = [len(chosen[a] & chosen[b]) / 50 for a in range(3) for b in range(3) if a != b]
    assert table["overlap"].item() == pytest.approx(np.mean(off))
    assert table["chance"].item() == pytest.approx(0.5)
    assert table["half"].item() == 1  # one feature is enough for each class with features


def test_chance_is_the_papers_for_256_filters() -> None:
    expected = 50 / paper_seeds.FILTERS_OF_CONV5
    assert expected == pytest.approx(paper_seeds.CHANCE_OVERLAP, abs=0.0005)
    drawn = [np.random.default_rng(seed).permutation(256)[:50] for seed in range(400)]
    shared = [len(np.intersect1d(a, b)) / 50 for a, b in itertools.pairwise(drawn)]
    assert np.mean(shared) == pytest.approx(paper_seeds.CHANCE_OVERLAP, abs=0.01)


def test_of_what_does_not_fit_equally_many_images_of_each_class_take_part(study: Study) -> None:
    little = studies.experiment(study, "filters", measure=Measure(memory="16KiB"))
    found = studies.table(little, FILTERS_NEEDED)
    most = (16 << 10) // (32 * 12) // 4  # of each class
    assert most == 10
    wide = found[found["layer"] == "wide"]
    assert set(wide["n_train"]) == {3 * 7 + 1}
    assert set(wide["n_test"]) == {3 * 3}
    exact = studies.table(little, FILTERS).set_index(["layer", "class_id", "unit"])
    studies.experiment(study, "filters")
    before = studies.table(study, FILTERS).set_index(["layer", "class_id", "unit"])
    both = exact.join(before, rsuffix="_of_all", how="inner")
    assert len(both)
    assert (both["average_precision"] == both["average_precision_of_all"]).all()


@pytest.mark.parametrize("sizes", [[9], [1, 1, 1], [2, 1]], ids=["one class", "one image", "two"])
def test_classes_that_cannot_be_tested_are_left_out(folder: Path, sizes: list[int]) -> None:
    made = studies.experiment(studies.make(folder, sizes), "filters")
    for table in (FILTERS, FILTERS_NEEDED, FILTERS_CURVES):
        assert len(studies.table(made, table)) == 0
