"""Maps pooled over grids: against scikit-learn on torchvision's maps, and hand-made maps."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kdsspark.network.extractor import Extractor
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.stages.experiments import grids
from kdsspark.stages.experiments.grids import FORMS, grid_of_layer
from kdsspark.tables import EMBEDDINGS, GRIDS
from tests.stages.experiments import maps, studies
from tests.studies import run, write_images

pytestmark = pytest.mark.usefixtures("without_spark")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grids") / "set"
    write_images(folder, maps.HALF_ALIKE)
    return folder


@pytest.fixture(scope="module")
def done(images: Path, without_spark: None) -> Study:  # noqa: ARG001
    return studies.experiment(run(maps.config_of(images), maps.ALL), "grids")


def _pooled(of: np.ndarray, pooling: str, n: int) -> np.ndarray:
    """[images, cells, units]: cell by cell, by numpy."""
    side, reduce = of.shape[2], np.mean if pooling == "mean" else np.max
    cuts = [slice(i * side // n, math.ceil((i + 1) * side / n)) for i in range(n)]
    return np.stack([reduce(of[:, :, y, x], axis=(2, 3)) for y in cuts for x in cuts], axis=1)


def test_it_is_what_scikit_learn_says_of_torchvisions_maps(done: Study, images: Path) -> None:
    ids, of_layers = maps.of_images(images)
    labels = studies.embeddings(done)["class_id"].to_numpy()  # by id
    found = studies.table(done, GRIDS).set_index(["layer", "pooling", "grid"])
    assert len(found) == 2 * 6
    for (layer, pooling, n), row in found.iterrows():  # type: ignore[misc]
        of = of_layers[layer]
        vectors = _pooled(of, pooling, n)
        expected, n_test = maps.accuracy(vectors, labels, ids)
        assert row["accuracy"] == pytest.approx(expected), (layer, pooling, n)
        assert row["low"] < expected < row["high"]
        assert (row["n_test"], row["n_train"]) == (n_test, len(ids) - n_test)
        assert row["map_side"] == of.shape[2]
        assert row["n_features"] == of.shape[1] * n**2


def test_the_mean_of_the_whole_map_is_the_embedding(done: Study) -> None:
    embedded = parquet.read(done.output, EMBEDDINGS).sort_by("image_id").to_pandas()
    (item, *_) = grids.plan(done.output, done.config, maps.PAIR).items
    parts = item.parts  # type: ignore[attr-defined]
    rows = [parquet.read_file(done.output, path).to_pandas() for path in parts]
    read = pd.concat(rows).sort_values("image_id")
    assert read["image_id"].tolist() == embedded["image_id"].tolist()
    for layer in ("conv1", "fire4"):
        np.testing.assert_allclose(
            np.stack(read[f"{layer} mean 1x1"].to_list()),
            np.stack(embedded[layer].to_list()),
            rtol=1e-4,
            atol=1e-5,
        )


def test_two_by_two_cells_tell_what_one_does_not(folder: Path) -> None:
    output = Output.at(str(folder))
    parts = maps.write(output, *maps.quadrants(), "grids")
    for form in FORMS:
        grid_of_layer(maps.item(output, form, parts))
    rows = parquet.read(output, GRIDS).to_pylist()
    got = {(row["pooling"], row["grid"]): row["accuracy"] for row in rows}
    assert got == {
        ("mean", 1): 0.25,
        ("max", 1): 0.25,
        **{(pooling, side): 1.0 for pooling in ("mean", "max") for side in (2, 3)},
    }


def test_grids_finer_than_a_map_and_layers_without_maps_are_left_out(folder: Path) -> None:
    write_images(folder / "set", {"a": 4, "b": 3})
    layers = {name: name for name in ("stage3", "conv5", "fc")}
    network = maps.SHUFFLENET | {"layers": layers}
    made = run(maps.config_of(folder / "set", networks=[network]), maps.ALL)
    found = studies.table(studies.experiment(made, "grids"), GRIDS)
    assert found.groupby("layer")["grid"].agg(["max", "size"]).T.to_dict("list") == {
        "conv5": [1, 2],
        "stage3": [2, 4],
    }
    assert found.set_index("layer")["map_side"].to_dict() == {"conv5": 1, "stage3": 2}


def test_one_centre_crop_is_taken_of_networks_with_ten(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(folder / "set", {"a": 4, "b": 3})
    network = studies.NETWORK | {"crops": "ten"}
    made = run(maps.config_of(folder / "set", networks=[network]), maps.ALL)
    crops = []
    forward = Extractor.__call__

    def noted(self: Extractor, images: list[np.ndarray]) -> dict[str, np.ndarray]:
        crops.append(self.spec.crops)
        return forward(self, images)

    monkeypatch.setattr(Extractor, "__call__", noted)
    studies.experiment(made, "grids")
    assert set(crops) == {"center"}
