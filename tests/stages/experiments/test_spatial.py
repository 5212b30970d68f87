"""How experiments with maps run: what is read again and when, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdsspark.config import Experiments, Probe
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.network.extractor import Extractor
from kdsspark.pipeline.status import status
from kdsspark.pipeline.study import Study
from kdsspark.tables import ABLATIONS, GRIDS, Table
from tests.stages.experiments import maps, studies
from tests.studies import NETWORK, image_config, run, write_images

pytestmark = pytest.mark.usefixtures("without_spark")

BOTH = {"grids": GRIDS, "ablations": ABLATIONS}
PARTS = {"grids": 12, "ablations": 8}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images went through the network for maps, call by call."""
    numbers: list[int] = []
    forward = Extractor.__call__

    def counted(self: Extractor, images: list[np.ndarray]) -> dict[str, np.ndarray]:
        if self.spec.pooling in ("grids", "maps"):
            numbers.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Extractor, "__call__", counted)
    return numbers


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, without_spark: None) -> Study:  # noqa: ARG001
    return _of(tmp_path_factory.mktemp("spatial") / "in", {"a": 6, "b": 5})


@pytest.fixture
def embedded(made: Study, folder: Path, read: list[int]) -> Study:  # noqa: ARG001
    """It has an output of its own, and images that others read, too."""
    return studies.copied(made, folder / "copy")


def _rows(study: Study, table: Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = studies.table(study, table).to_dict("records")
    return found


def _standing(study: Study, name: str) -> tuple[str, int]:
    (found,) = (one for one in status(study.config).stages if one.stage == name)
    return found.state, found.standing.done


@pytest.mark.parametrize("name", BOTH)
def test_images_are_read_once_also_for_other_settings(
    embedded: Study, read: list[int], name: str
) -> None:
    studies.experiment(embedded, name)
    assert sum(read) == 11
    assert _standing(embedded, name) == ("done", PARTS[name])
    before = _rows(embedded, BOTH[name])
    studies.experiment(embedded, name)
    assert _rows(embedded, BOTH[name]) == before
    changed = studies.experiment(embedded, name, probe=Probe(folds=3))
    assert {row["folds"] for row in _rows(changed, BOTH[name])} == {3}
    assert sum(read) == 11


@pytest.mark.parametrize("name", BOTH)
def test_it_goes_on_where_it_was_killed_or_files_were_removed(
    embedded: Study, read: list[int], name: str
) -> None:
    studies.experiment(embedded, name)
    before, output = _rows(embedded, BOTH[name]), embedded.output
    (shard, *_) = output.receipts(f"{name}_images").of(maps.PAIR)
    output.receipts(f"{name}_images").remove(shard)
    (*_, lost) = output.all_files("_grids" if name == "grids" else "_maps")
    output.remove(lost)
    (part, *_) = output.receipts(name).of(maps.PAIR)
    output.receipts(name).remove(part)
    studies.experiment(embedded, name)
    assert 11 < sum(read) < 22
    assert _rows(embedded, BOTH[name]) == before


@pytest.mark.parametrize("name", BOTH)
def test_of_new_images_the_shards_that_change_are_read(
    folder: Path, read: list[int], name: str
) -> None:
    write_images(folder / "set", {"a": 6, "b": 5})
    config = maps.config_of(folder / "set", embed={"shard_images": 2, "batch_images": 1})
    studies.experiment(run(config, maps.ALL), name)
    write_images(folder / "set", {"a": 8, "b": 5})
    made = studies.experiment(run(config, maps.ALL), name)
    assert 11 + 2 <= sum(read) < 11 + 13
    assert {row["n_train"] + row["n_test"] for row in _rows(made, BOTH[name])} == {13}
    afresh = maps.config_of(folder / "set", "afresh")
    again = studies.experiment(run(afresh, maps.ALL), name)
    key = ["layer", *[c for c in ("form", "pooling", "grid") if c in BOTH[name].schema.names]]
    tables = [
        studies.table(one, BOTH[name]).sort_values(key)["accuracy"].tolist()
        for one in (made, again)
    ]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("name", BOTH)
def test_what_can_no_longer_be_read_is_left_out(folder: Path, name: str) -> None:
    embedded = _of(folder, {"a": 6, "b": 5})
    (folder / "set" / "a" / "001.png").unlink()
    (folder / "set" / "b" / "002.png").write_bytes(b"no image")
    studies.experiment(embedded, name)
    assert {row["n_train"] + row["n_test"] for row in _rows(embedded, BOTH[name])} == {9}
    receipts = embedded.output.receipts(f"{name}_images").of(maps.PAIR).values()
    assert sum(receipt.counts["failed"] for receipt in receipts) == 2


@pytest.mark.parametrize("name", BOTH)
def test_layers_can_be_named(embedded: Study, name: str) -> None:
    named = Experiments(layers=("fire4", "of another network"))
    made = studies.experiment(embedded, name, experiments=named)
    assert {row["layer"] for row in _rows(made, BOTH[name])} == {"fire4"}
    studies.experiment(embedded, name)
    assert {row["layer"] for row in _rows(made, BOTH[name])} == {"conv1", "fire4"}


# -- what is refused -----------------------------------------------------------------------------


def _unreadable(folder: Path) -> Study:
    write_images(folder / "set", {"a": 3, "b": 2})
    made = run(maps.config_of(folder / "set"), maps.ALL)
    for path in (folder / "set").rglob("*.png"):
        path.unlink()
    return made


def _of(folder: Path, sizes: dict[str, int], **sections: Any) -> Study:
    write_images(folder / "set", sizes)
    return run(maps.config_of(folder / "set", **sections), maps.ALL)


PIXELS = {"name": "px", "architecture": "pixels"}
FC = maps.SHUFFLENET | {"layers": {"fc": "fc"}}
NO_NETWORK = "experiment {}: needs a network that takes images, got ready-made embeddings or pixels"
ONE_EACH = "dataset set: {} needs a class with two images, got one image a class"
BAD: dict[str, Any] = {
    "ready-made": (studies.make, ConfigError, NO_NETWORK),
    "pixels": (lambda f: _of(f, {"a": 2, "b": 2}, networks=[PIXELS]), ConfigError, NO_NETWORK),
    "one image a class": (lambda f: _of(f, {"a": 1, "b": 1}), DatasetError, ONE_EACH),
    "none can be read": (_unreadable, DatasetError, ONE_EACH),
    "no such layer": (
        lambda f: _of(f, {"a": 2, "b": 2}, experiments={"layers": ["fc6", "fc7"]}),
        DatasetError,
        "dataset set: experiments.layers must name a layer of tiny (conv1, fire4), got fc6, fc7",
    ),
}


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_refused_in_one_line(folder: Path, bad: str, name: str) -> None:
    make, error, message = BAD[bad]
    with pytest.raises(error) as caught:
        studies.experiment(make(folder), name)
    assert str(caught.value) == message.format(name)


def test_grids_of_a_network_without_maps_are_refused(folder: Path) -> None:
    made = _of(folder, {"a": 2, "b": 2}, networks=[FC])
    with pytest.raises(DatasetError) as caught:
        studies.experiment(made, "grids")
    assert str(caught.value) == "dataset set: grids needs a layer with maps, got fc of tiny"


@pytest.mark.parametrize("name", BOTH)
def test_what_is_not_embedded_is_refused(folder: Path, name: str) -> None:
    write_images(folder / "set", {"a": 2, "b": 2})
    with pytest.raises(DatasetError, match="dataset set: is not embedded by tiny"):
        studies.experiment(run(maps.config_of(folder / "set"), "index"), name)


@pytest.mark.parametrize("name", BOTH)
def test_other_networks_do_not_stand_in_the_way(folder: Path, name: str) -> None:
    write_images(folder / "set", {"a": 3, "b": 3})
    networks = [PIXELS, NETWORK]
    made = image_config(folder / "out", {"set": folder / "set"}, networks=networks)
    studies.experiment(run(made, maps.ALL), name)
    assert {row["network"] for row in _rows(Study(made), BOTH[name])} == {"tiny"}


@pytest.mark.parametrize("name", BOTH)
def test_images_with_several_labels_are_not_read(
    tmp_path: Path, read: list[int], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    write_images(tmp_path / "images", {"a": 2})
    (tmp_path / "all.csv").write_text(
        "path,label\n"
        + "".join(f'{path},"[""a""]"\n' for path in sorted((tmp_path / "images").rglob("*.*")))
    )
    config = image_config(tmp_path / "out", {"several": tmp_path / "all.csv"})
    manifest = {"layout": "manifest", "labels": "several"}
    datasets = tuple(d.model_copy(update=manifest) for d in config.datasets)
    done = run(config.model_copy(update={"datasets": datasets}), "index embed")
    done.do(f"experiment {name}")
    assert read == []
    assert f"dataset several: left out, {name} needs one label" in capsys.readouterr().err
