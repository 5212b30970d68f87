"""Networks alone and side by side: against scikit-learn, hand-made sets, and what forgets them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from kdsspark.config import Experiments, Probe
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.output.arrow import image_keys
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.pipeline.forget import forget
from kdsspark.pipeline.status import status
from kdsspark.pipeline.study import Study
from kdsspark.stages import removal
from kdsspark.stages.experiments import sources
from kdsspark.stages.experiments.fitting import NetworkLayer
from kdsspark.stages.experiments.sources import SourcesItem, sources_of_dataset
from kdsspark.stats.accuracy.split import images_to_test
from kdsspark.tables import SOURCES
from tests.stages.experiments import studies

# -- one dataset, from hand-made files -----------------------------------------------------------


def _id(image: int) -> str:
    return hashlib.blake2b(str(image).encode(), digest_size=16).hexdigest()


def _layer(
    output: Output, network: str, values: np.ndarray, labels: np.ndarray, order: np.ndarray
) -> NetworkLayer:
    """The embeddings of some images, in an order of their own, as two files."""
    parts = []
    for number, rows in enumerate(np.array_split(order, 2)):
        columns = {
            "image_id": [_id(row) for row in rows],
            "class_id": pa.array(labels[rows], pa.int32()),
            "l": pa.array(values[rows].tolist(), pa.list_(pa.float32())),
        }
        parts.append(f"embeddings/{network}-{number}.parquet")
        path = Path(output.path(parts[-1]))
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), path, row_group_size=7)
    return NetworkLayer(network, "l", values.shape[1], tuple(parts))


def _item(output: Output, *layers: NetworkLayer, **settings: Any) -> SourcesItem:
    return SourcesItem(
        name=ItemName("a/birds/a+b"),
        digest="",
        output=output,
        pair=Pair("a", "birds"),
        layers=layers,
        settings=Probe(**settings),
        most=10_000,
    )


def _rows(item: SourcesItem) -> dict[str, dict[str, Any]]:
    sources_of_dataset(item)
    rows = studies.parquet.read(item.output, SOURCES).to_pylist()
    return {row["sources"]: row for row in rows}


def _normalised(values: np.ndarray) -> np.ndarray:
    return normalize(values.astype(np.float32).astype(np.float64))


def test_it_is_what_scikit_learn_says_of_the_images_that_both_have(folder: Path) -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 90)
    shift = rng.normal(size=(2, 3, 9))
    a = rng.normal(size=(90, 9)) + 0.7 * shift[0][labels]
    b = 50 * (rng.normal(size=(90, 4)) + 0.7 * shift[1][labels][:, :4])  # of another scale
    output = Output.at(str(folder))
    layers = [
        _layer(output, "a", a, labels, np.arange(80)),
        _layer(output, "b", b, labels, rng.permutation(np.arange(10, 90))),
    ]
    found = _rows(_item(output, *layers))
    both = np.array(sorted(range(10, 80), key=_id))
    keys = image_keys(pa.chunked_array([[_id(image) for image in both]]))
    y = labels[both].astype(np.int32)
    tested = images_to_test(keys, y, 0.3, 0)
    xa, xb = _normalised(a[both]), _normalised(b[both])
    together = np.hstack([xa, xb]) / 2**0.5
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1)
    assert list(found) == ["a", "b", "a+b"]
    for name, x in {"a": xa, "b": xb, "a+b": together}.items():
        machine = LinearSVC(C=1.0, dual="auto", max_iter=2000, random_state=0)
        machine.fit(x[~tested], y[~tested])
        row = found[name]
        expected = (machine.predict(x[tested]) == y[tested]).mean()
        assert row["accuracy"] == pytest.approx(expected), name
        assert row["low"] < row["accuracy"] < row["high"]
        assert (row["n_features"], row["n_sources"]) == (x.shape[1], 1 + name.count("+"))
        assert (row["n_train"], row["n_test"]) == ((~tested).sum(), tested.sum())
        assert row["layers"] == "+".join("l" * row["n_sources"])


def test_sources_that_complete_each_other_are_perfect_together_alone(folder: Path) -> None:
    labels = np.arange(80) % 4
    a, b = np.eye(2)[labels // 2], np.eye(2)[labels % 2]  # each tells two pairs of classes apart
    output = Output.at(str(folder))
    order = np.arange(80)
    layers = [_layer(output, name, x, labels, order) for name, x in (("a", a), ("b", b))]
    found = _rows(_item(output, *layers, folds=3))
    assert {name: row["accuracy"] for name, row in found.items()} == {
        "a": 0.5,
        "b": 0.5,
        "a+b": 1.0,
    }
    assert {row["folds"] for row in found.values()} == {3}


def test_beyond_memory_equally_many_of_each_class_take_part(folder: Path) -> None:
    labels = np.arange(80) % 4
    output = Output.at(str(folder))
    x = np.random.default_rng(1).normal(size=(80, 3)) + 3 * np.eye(4)[labels][:, :3]
    layers = [_layer(output, name, x, labels, np.arange(80)) for name in "ab"]
    found = _rows(replace(_item(output, *layers), most=21))
    assert {row["n_train"] + row["n_test"] for row in found.values()} == {4 * 5}
    accuracy = {name: row["accuracy"] for name, row in found.items()}
    assert accuracy["a+b"] == accuracy["a"] == accuracy["b"]  # the same vector twice


@pytest.mark.parametrize(
    ("labels", "second"),
    [(np.arange(24), np.arange(12)), (np.arange(24) % 2, np.arange(12, 24))],
    ids=["one image a class", "none in common"],
)
def test_nothing_to_learn_from_is_refused_in_one_line(
    folder: Path, labels: np.ndarray, second: np.ndarray
) -> None:
    output = Output.at(str(folder))
    x = np.random.default_rng(0).normal(size=(24, 3))
    layers = [
        _layer(output, "a", x, labels, np.arange(12)),
        _layer(output, "b", x, labels, second),
    ]
    with pytest.raises(DatasetError) as caught:
        sources_of_dataset(_item(output, *layers))
    assert str(caught.value) == (
        "dataset birds: sources needs a class with two images that all its networks have "
        "embedded, got one image a class"
    )


# -- a study of three networks -------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, without_spark: None) -> Study:  # noqa: ARG001
    return studies.of_networks(tmp_path_factory.mktemp("sources"), "one", "two", "three")


@pytest.fixture(autouse=True)
def _again(request: pytest.FixtureRequest) -> None:
    """A test that takes the study of three networks finds its experiment done."""
    if "compared" in request.fixturenames:
        compared: Study = request.getfixturevalue("compared")
        studies.experiment(compared, "sources")


def _of_two(study: Study, *networks: str) -> Study:
    some = [network for network in study.config.networks if network.name in networks]
    return Study(study.config.model_copy(update={"networks": tuple(some)}))


def _held(study: Study) -> tuple[list[str], list[str]]:
    """The files of the table, and the work items that have receipts."""
    return study.output.all_files("sources"), list(study.output.receipts("sources").all())


FIRST = "network=one/dataset=birds"


def test_all_networks_by_their_last_layers_are_compared(compared: Study) -> None:
    found = studies.table(compared, SOURCES)
    names = ["one", "two", "three", "one+two+three"]
    assert found["sources"].tolist() == names
    assert set(found["network"]) == {"one"}
    assert found["layers"].tolist() == [*["fire4"] * 3, "fire4+fire4+fire4"]
    assert _held(compared) == (
        [f"sources/{FIRST}/one+two+three.parquet"],
        ["one/birds/one+two+three"],
    )
    standings = [s for s in status(compared.config).stages if s.stage == "sources"]
    assert [(s.network, s.state) for s in standings] == [("one", "done")]


def test_networks_and_layers_can_be_named(compared: Study) -> None:
    named = Experiments(sources={"two": "conv1", "one": None})
    made = studies.experiment(compared, "sources", experiments=named)
    found = studies.table(made, SOURCES)
    assert dict(zip(found["sources"], found["layers"], strict=True)) == {
        "one": "fire4",
        "two": "conv1",
        "one+two": "fire4+conv1",
    }
    assert _held(made)[1] == ["one/birds/one+two"]


def test_a_layer_that_is_not_there_is_refused_in_one_line(compared: Study) -> None:
    named = Experiments(sources={"two": "fc6", "one": None})
    with pytest.raises(DatasetError) as caught:
        studies.experiment(compared, "sources", experiments=named)
    assert str(caught.value) == (
        "dataset birds: experiments.sources.two must be a layer of two (conv1, fire4), got 'fc6'"
    )


@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_a_forgotten_network_takes_rows_and_receipts_with_it(
    compared: Study, folder: Path, name: str
) -> None:
    copy = studies.copied(compared, folder / "copy")
    forget(copy.config, "network", name)
    assert _held(copy) == ([], [])
    others = [other for other in ("one", "two", "three") if other != name]
    made = _of_two(copy, *others)
    made.do("experiment sources")
    assert _held(made)[1] == [f"{others[0]}/birds/{'+'.join(others)}"]
    assert studies.table(made, SOURCES)["sources"].tolist() == [*others, "+".join(others)]


def test_rows_of_other_networks_stay(compared: Study, folder: Path) -> None:
    copy = studies.copied(compared, folder / "copy")
    _of_two(copy, "one", "two").do("experiment sources")
    forget(copy.config, "network", "three")
    assert _held(copy)[1] == ["one/birds/one+two"]
    assert len(studies.table(copy, SOURCES)) == 3


def test_a_dataset_that_loses_the_embeddings_of_one_loses_the_rows(
    compared: Study, folder: Path
) -> None:
    copy = studies.copied(compared, folder / "copy")
    removal.remove_results(copy.output, Pair("three", "others"))
    assert _held(copy)[1] == ["one/birds/one+two+three"]
    removal.remove_results(copy.output, Pair("three", "birds"))
    assert _held(copy) == ([], [])


def test_a_network_taken_out_of_the_configuration_leaves_with_the_next_run(
    compared: Study,
) -> None:
    made = _of_two(compared, "one", "three")
    made.do("experiment sources")
    assert _held(made)[0] == [f"sources/{FIRST}/one+three.parquet"]
    assert _held(made)[1] == ["one/birds/one+three"]


def test_the_rows_of_a_first_network_that_is_taken_out_stay_until_it_is_forgotten(
    compared: Study, folder: Path
) -> None:
    copy = studies.copied(compared, folder / "copy")
    made = _of_two(copy, "two", "three")
    made.do("experiment sources")
    assert sorted(_held(made)[1]) == ["one/birds/one+two+three", "two/birds/two+three"]
    forget(made.config, "network", "one")
    assert _held(made)[1] == ["two/birds/two+three"]


def test_one_network_is_refused_in_one_line_and_earlier_rows_leave(compared: Study) -> None:
    alone = _of_two(compared, "one")
    with pytest.raises(ConfigError) as caught:
        alone.do("experiment sources")
    assert str(caught.value) == (
        "experiment sources: two networks must have the same dataset, "
        "got one network for each dataset"
    )
    assert _held(alone) == ([], [])


def test_a_change_of_the_second_network_is_seen(compared: Study) -> None:
    (item,) = sources.plan(compared.output, compared.config, Pair("one", "birds")).items
    receipts = compared.output.receipts("embed")
    (name, receipt), *_ = receipts.of(Pair("two", "birds")).items()
    changed = type(receipt)(name, "another", receipt.counts, receipt.seconds)
    try:
        receipts.write(changed)
        compared.output.receipts("embedded").remove(Pair("two", "birds").name)
        with pytest.raises(DatasetError, match="dataset birds: is not embedded by two"):
            sources.plan(compared.output, compared.config, Pair("one", "birds"))
        sources.complete.commit(compared.output, Pair("two", "birds"))
        (again,) = sources.plan(compared.output, compared.config, Pair("one", "birds")).items
        assert again.name == item.name
        assert again.digest != item.digest
    finally:
        receipts.write(receipt)
        sources.complete.commit(compared.output, Pair("two", "birds"))


def test_names_that_no_file_could_have_are_refused(compared: Study, monkeypatch: Any) -> None:
    monkeypatch.setattr(sources, "_LONGEST_NAME", 10)
    with pytest.raises(DatasetError, match="at most 10 characters together, got 13"):
        studies.experiment(compared, "sources")
