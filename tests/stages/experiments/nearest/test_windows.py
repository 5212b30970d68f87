"""Retrieval over windows: against a loop over torchvision, and on objects in corners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import normalize
from torchvision.transforms import functional as F  # noqa: N812

from kdsspark.config import Experiments
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.network.extractor import Extractor
from kdsspark.pipeline.status import status
from kdsspark.pipeline.study import Study
from kdsspark.stages.index import image_id
from kdsspark.stats.accuracy.split import images_to_test
from kdsspark.tables import RETRIEVAL
from tests.stages.exemplars import plain
from tests.stages.experiments import maps, studies
from tests.studies import run, write_images

pytestmark = pytest.mark.usefixtures("without_spark")

SIZES = {"a": 6, "b": 5, "c": 4}
WANTED = Experiments(windows=True)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many windows went through the network, call by call."""
    numbers: list[int] = []
    forward = Extractor.__call__

    def counted(self: Extractor, images: list[np.ndarray]) -> dict[str, np.ndarray]:
        if self.spec.preprocessing.resize == 80:
            numbers.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Extractor, "__call__", counted)
    return numbers


def _embedded(folder: Path) -> Study:
    write_images(folder / "set", SIZES)
    return run(maps.config_of(folder / "set"), maps.ALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, without_spark: None) -> Study:  # noqa: ARG001
    return _embedded(tmp_path_factory.mktemp("windows") / "in")


@pytest.fixture
def embedded(made: Study, folder: Path, passes: list[int]) -> Study:  # noqa: ARG001
    """It has an output of its own, and images that others read, too."""
    return studies.copied(made, folder / "copy")


def _table(study: Study) -> pd.DataFrame:
    key = ["layer", "windows", "whitened"]
    return studies.table(study, RETRIEVAL).sort_values(key).reset_index(drop=True)


# -- what is computed ----------------------------------------------------------------------------


def _features(path: Path) -> NDArray[np.float64]:
    """[30, units]: the mean maps of ``fire4`` for windows cut by hand."""
    network, keep = plain.squeezenet(), []
    network.get_submodule(plain.READ_AT["fire4"]).register_forward_hook(
        lambda _, __, found: keep.append(found.mean(dim=(2, 3))[0].numpy().astype(np.float64))
    )
    image = F.resize(Image.open(path).convert("RGB"), 80)
    for n in (1, 2, 3, 4):
        width, height = image.width / (n + 1), image.height / (n + 1)
        for y in range(n):
            for x in range(n):
                box = x * width, y * height, (x + 2) * width, (y + 2) * height
                view = image.resize((32, 32), Image.Resampling.BILINEAR, box)
                with torch.inference_mode():
                    network(F.normalize(F.to_tensor(view), plain.MEAN, plain.STD)[None])
    return np.stack(keep)


def _precision(x: NDArray[np.float64], labels: NDArray[Any], tested: NDArray[Any]) -> float:
    """Of images [images, windows, features], by a loop over pairs of windows."""
    found = []
    for query in np.flatnonzero(tested):
        others = [i for i in range(len(x)) if i != query]
        near = [-min(np.linalg.norm(a - b) for a in x[query] for b in x[i]) for i in others]
        relevant = labels[others] == labels[query]
        found.append(average_precision_score(relevant, np.round(near, 6)))
    return float(np.mean(found))


def test_it_is_what_a_loop_over_windows_says(embedded: Study) -> None:
    folder = Path(embedded.config.image_datasets[0].path)
    paths = {image_id("set", str(p.relative_to(folder))): p for p in folder.rglob("*.png")}
    ids = sorted(paths)
    names = [paths[one].parent.name for one in ids]
    labels = np.array(["abc".index(name) for name in names], np.int32)
    raw = np.stack([_features(paths[one]) for one in ids])
    tested = images_to_test(maps.keys_of(ids), labels, 0.3, 0)
    found = _table(studies.experiment(embedded, "retrieval", experiments=WANTED))
    assert set(found["windows"]) == {0, 1, 30}
    assert set(found.loc[found["windows"] == 0, "layer"]) == {"conv1", "fire4"}
    found = found[found["windows"] > 0]
    assert set(found["layer"]) == {"fire4"}
    got = found.set_index(["windows", "whitened"])
    for n in (1, 30):
        x = raw[:, :n] / np.linalg.norm(raw[:, :n], axis=2, keepdims=True)
        k = got.loc[(n, True), "dimensions"]
        assert k == 4  # of ten training images, however many windows
        model = PCA(k, whiten=True, svd_solver="full").fit(np.concatenate(x[~tested]))
        white = normalize(model.transform(np.concatenate(x))).reshape(*x.shape[:2], k)
        for is_whitened, vectors in ((False, x), (True, white)):
            row = got.loc[(n, is_whitened)]
            expected = _precision(vectors, labels, tested)
            assert row["mean_average_precision"] == pytest.approx(expected, rel=1e-3)
            assert (row["n_images"], row["n_queries"]) == (15, tested.sum())


def _hide_in_a_corner(folder: Path, pattern: str, corner: int, seed: int) -> None:
    """A patch of 4/25 of a large image, whose rest differs from image to image."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 256, 3) + rng.integers(-20, 20, (100, 100, 3))
    stripes = np.tile(np.where(np.arange(40) // 4 % 2, 255, 0)[:, None, None], (1, 40, 3))
    shown = {"rows": stripes, "columns": stripes.transpose(1, 0, 2), "flat": stripes * 0 + 128}
    top, left = 60 * (corner // 2), 60 * (corner % 2)
    ground[top : top + 40, left : left + 40] = shown[pattern]
    (folder / pattern).mkdir(parents=True, exist_ok=True)
    path = folder / pattern / f"{seed}.png"
    Image.fromarray(ground.clip(0, 255).astype(np.uint8)).save(path)


def test_windows_find_what_is_small_in_a_corner(folder: Path) -> None:
    for i in range(24):
        pattern = ("rows", "columns", "flat")[i % 3]
        _hide_in_a_corner(folder / "set", pattern, i // 3 % 4, i)
    made = run(maps.config_of(folder / "set"), maps.ALL)
    found = _table(studies.experiment(made, "retrieval", experiments=WANTED))
    as_they_are = found[~found["whitened"] & (found["layer"] == "fire4")]
    got = as_they_are.set_index("windows")["mean_average_precision"]
    chance = as_they_are["chance"].iloc[0]
    assert got[30] == 1
    assert max(got[0], got[1]) < chance + 0.25


# -- what is read again --------------------------------------------------------------------------


def test_windows_are_read_once_and_only_where_they_are_wanted(
    embedded: Study, passes: list[int]
) -> None:
    before = _table(studies.experiment(embedded, "retrieval"))
    assert not passes
    assert set(before["windows"]) == {0}
    wanted = studies.experiment(embedded, "retrieval", experiments=WANTED)
    assert sum(passes) == 15 * 30
    (standing,) = (one for one in status(wanted.config).stages if one.stage == "retrieval")
    assert (standing.state, standing.standing.done) == ("done", 3)
    probe = wanted.config.probe.model_copy(update={"max_test": 1})
    found = _table(studies.experiment(wanted, "retrieval", probe=probe))
    assert set(found["n_queries"]) == {3}
    assert sum(passes) == 15 * 30
    pd.testing.assert_frame_equal(_table(studies.experiment(embedded, "retrieval")), before)


def test_it_goes_on_where_it_was_killed_or_files_were_removed(
    folder: Path, passes: list[int]
) -> None:
    write_images(folder / "set", SIZES)
    shards = {"shard_images": 4, "batch_images": 1}
    made = run(maps.config_of(folder / "set", embed=shards), maps.ALL)
    before = _table(studies.experiment(made, "retrieval", experiments=WANTED))
    output = made.output
    (shard, *_) = output.receipts("retrieval_images").of(maps.PAIR)
    output.receipts("retrieval_images").remove(shard)
    (*_, lost) = output.all_files("_windows")
    output.remove(lost)
    for part in output.receipts("retrieval").of(maps.PAIR):
        output.receipts("retrieval").remove(part)
    again = _table(studies.experiment(made, "retrieval", experiments=WANTED))
    pd.testing.assert_frame_equal(again, before)
    assert 15 * 30 < sum(passes) < 2 * 15 * 30


def test_what_can_no_longer_be_read_is_left_out(folder: Path) -> None:
    embedded = _embedded(folder)
    (folder / "set" / "a" / "001.png").unlink()
    found = _table(studies.experiment(embedded, "retrieval", experiments=WANTED))
    assert found.groupby("windows")["n_images"].unique().map(list).to_dict() == {
        0: [15],
        1: [14],
        30: [14],
    }


def test_beyond_memory_equally_many_of_each_class_take_part(embedded: Study) -> None:
    # 256 features, 30 windows and 40 bytes of each are 307,200 bytes an image.
    memory = embedded.config.measure.model_copy(update={"memory": "3MB"})
    made = studies.experiment(embedded, "retrieval", experiments=WANTED, measure=memory)
    found = _table(made)
    assert found[found["windows"] > 0]["n_images"].unique().tolist() == [9]
    assert found[found["windows"] == 0]["n_images"].unique().tolist() == [15]


def test_layers_can_be_named(embedded: Study) -> None:
    named = Experiments(windows=True, layers=("conv1", "of another network"))
    found = _table(studies.experiment(embedded, "retrieval", experiments=named))
    assert set(found.loc[found["windows"] > 0, "layer"]) == {"conv1"}


# -- what is refused -----------------------------------------------------------------------------


def test_a_layer_of_no_network_is_refused(embedded: Study) -> None:
    named = Experiments(windows=True, layers=("fc6",))
    with pytest.raises(DatasetError) as caught:
        studies.experiment(embedded, "retrieval", experiments=named)
    assert str(caught.value) == (
        "dataset set: experiments.layers must name a layer of tiny (conv1, fire4), got fc6"
    )


def test_ready_made_embeddings_have_no_windows(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        studies.experiment(studies.make(folder), "retrieval", experiments=WANTED)
    assert str(caught.value) == (
        "experiments.windows: needs a network that takes images, "
        "got ready-made embeddings or pixels"
    )
