"""How experiments with maps run: what is read again and when, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdsspark.config import Experiments
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.pipeline.study import Study
from tests.stages.experiments import maps, studies
from tests.stages.experiments.spatial.both import BOTH, EACH, rows
from tests.studies import NETWORK, image_config, run, write_images

pytestmark = pytest.mark.usefixtures("without_spark")


@pytest.mark.parametrize("name", EACH)
def test_layers_can_be_named(embedded: Study, name: str) -> None:
    named = Experiments(layers=("fire4", "of another network"))
    made = studies.experiment(embedded, name, experiments=named)
    assert {row["layer"] for row in rows(made, BOTH[name])} == {"fire4"}
    studies.experiment(embedded, name)
    assert {row["layer"] for row in rows(made, BOTH[name])} == {"conv1", "fire4"}


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


@pytest.mark.parametrize("name", EACH)
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


@pytest.mark.parametrize("name", EACH)
def test_what_is_not_embedded_is_refused(folder: Path, name: str) -> None:
    write_images(folder / "set", {"a": 2, "b": 2})
    with pytest.raises(DatasetError, match="dataset set: is not embedded by tiny"):
        studies.experiment(run(maps.config_of(folder / "set"), "index"), name)


@pytest.mark.parametrize("name", EACH)
def test_other_networks_do_not_stand_in_the_way(folder: Path, name: str) -> None:
    write_images(folder / "set", {"a": 3, "b": 3})
    networks = [PIXELS, NETWORK]
    made = image_config(folder / "out", {"set": folder / "set"}, networks=networks)
    studies.experiment(run(made, maps.ALL), name)
    assert {row["network"] for row in rows(Study(made), BOTH[name])} == {"tiny"}


@pytest.mark.parametrize("name", EACH)
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
