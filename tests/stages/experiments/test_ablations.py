"""Whole maps and what is left of them: against scikit-learn on torchvision's maps, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdsspark.network import map_shape
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.stages.experiments.ablations import FORMS, ablation_of_layer
from kdsspark.stats.accuracy.space import shuffled_places
from kdsspark.tables import ABLATIONS, EMBEDDINGS
from tests.marks import left_out
from tests.stages.experiments import maps, studies
from tests.studies import run, write_images

pytestmark = pytest.mark.usefixtures("without_spark")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablations") / "set"
    write_images(folder, maps.HALF_ALIKE)
    return folder


@pytest.fixture(scope="module")
def study(images: Path, without_spark: None) -> Study:  # noqa: ARG001
    return run(maps.config_of(images), maps.ALL)


def _averaged(of: np.ndarray, step: int) -> np.ndarray:
    cuts = [slice(start, start + step) for start in range(0, of.shape[2], step)]
    cells = [of[:, :, y, x].mean(axis=(2, 3)) for y in cuts for x in cuts]
    return np.stack(cells, axis=2)


@pytest.mark.parametrize(("most", "steps"), [left_out(100_352, [1, 1]), (2500, [3, 1])])
def test_it_is_what_scikit_learn_says_of_torchvisions_maps(
    study: Study, images: Path, most: int, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_shape, "MOST_VALUES", most)
    if most < 100_352:
        study.output.remove("_receipts")
        study = run(study.config, maps.ALL)
    made = studies.experiment(study, "ablations")
    ids, of_layers = maps.of_images(images)
    labels = studies.embeddings(made)["class_id"].to_numpy()  # by id
    found = studies.table(made, ABLATIONS).set_index(["layer", "form"])
    assert len(found) == 2 * len(FORMS)
    for (layer, form), row in found.iterrows():  # type: ignore[misc]
        of, step = of_layers[layer], steps[layer == "fire4"]
        cells = _averaged(of, step)
        vectors = {
            "as_is": cells,
            "binarised": cells > 0,
            "shuffled": shuffled_places(cells, maps.keys_of(ids), 0),
            "max": of.max(axis=(2, 3)),
        }[form]
        expected, n_test = maps.accuracy(vectors, labels, ids)
        assert row["accuracy"] == pytest.approx(expected), (layer, form)
        assert row["low"] < expected < row["high"]
        assert (row["n_test"], row["n_train"]) == (n_test, len(ids) - n_test)
        assert (row["map_side"], row["averaged"]) == (of.shape[2], step)
        assert row["n_features"] == vectors[0].size


def _accuracies(output: Output, of: np.ndarray, labels: np.ndarray, **settings: Any) -> Any:
    parts = maps.write(output, of, labels, "maps")
    for form in FORMS:
        ablation_of_layer(maps.item(output, form, parts, **settings))
    rows = parquet.read(output, ABLATIONS).to_pylist()
    return {row["form"]: row["accuracy"] for row in rows}


def test_shuffled_maps_whose_information_is_in_places_fall_to_chance(folder: Path) -> None:
    found = _accuracies(Output.at(str(folder)), *maps.quadrants(400), folds=4)
    assert found["as_is"] == found["binarised"] == 1
    assert found["max"] == 0.25
    assert found["shuffled"] == pytest.approx(0.25, abs=0.08)  # of 480 test images


def test_binarised_maps_whose_information_is_in_magnitudes_fall_to_chance(folder: Path) -> None:
    labels = np.arange(120) % 2
    of = np.ones((120, 2, 4, 4))
    of[:, 0] += 2 * labels[:, None, None]  # which shuffled places do not harm
    assert _accuracies(Output.at(str(folder)), of, labels) == {
        "as_is": 1.0,
        "binarised": 0.5,
        "shuffled": 1.0,
        "max": 1.0,
    }


def test_layers_without_maps_have_two_forms(folder: Path) -> None:
    write_images(folder / "set", {"a": 9, "b": 8})
    layers = {name: name for name in ("stage2", "fc")}
    network = maps.SHUFFLENET | {"layers": layers, "activation": "pre_relu"}
    made = run(maps.config_of(folder / "set", networks=[network]), maps.ALL)
    studies.experiment(made, "ablations")
    found = studies.table(made, ABLATIONS)
    assert found.groupby("layer")["form"].agg(list).to_dict() == {
        "fc": ["as_is", "binarised"],
        "stage2": ["as_is", "binarised", "max", "shuffled"],
    }
    of_fc = found[found["layer"] == "fc"]
    assert of_fc[["map_side", "averaged"]].isna().all().all()
    rows = parquet.read(made.output, EMBEDDINGS).sort_by("image_id").to_pandas()
    values, ids = np.stack(rows["fc"].to_list()), rows["image_id"].tolist()
    labels = rows["class_id"].to_numpy()
    expected = [maps.accuracy(x, labels, ids)[0] for x in (values, values > 0)]
    assert of_fc["accuracy"].tolist() == pytest.approx(expected)
    assert of_fc["n_features"].tolist() == [1000, 1000]
