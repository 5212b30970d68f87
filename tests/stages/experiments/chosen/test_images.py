"""Which images are looked at, by rule or by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdsspark.errors import ConfigError, DatasetError
from kdsspark.pipeline.study import Study
from kdsspark.stages.experiments.chosen import images
from kdsspark.tables import INVARIANCE
from tests.stages.experiments import studies
from tests.stages.experiments.chosen import seen
from tests.studies import write_embeddings, write_images_and_a_broken_one


def chosen(study: Study) -> list[images.ChosenImage]:
    return images.of_pair(study.output, study.config, seen.PAIR)


def test_by_rule_every_class_gives_one_before_any_gives_two(study: Study) -> None:
    found = chosen(study)
    assert [image.class_name for image in found] == ["a", "b", "c", "a", "b"]
    rows = seen.index(study).to_pandas()
    for name, own in rows.groupby("class_name"):
        expected = own["image_id"].tolist()[: 1 + (name != "c")]
        assert [image.id for image in found if image.class_name == name] == expected


def test_images_that_could_not_be_embedded_are_not_chosen(
    tmp_path: Path,
    without_spark: None,  # noqa: ARG001
) -> None:
    write_images_and_a_broken_one(tmp_path / "birds", {"apple": 1})
    study = seen.make(tmp_path, "index embed")
    assert "broken.jpg" not in {image.uri.rpartition("/")[2] for image in chosen(study)}
    named = seen.with_settings(study, images={"birds": ["apple/broken.jpg"]})
    with pytest.raises(DatasetError, match=r"'apple/broken\.jpg': no embedded image ends so"):
        chosen(named)


def test_images_are_named_by_id_or_by_the_end_of_their_location(study: Study) -> None:
    rows = seen.index(study).to_pandas()
    row = rows.iloc[4]
    names = ["b/001.png", row["image_id"], "c/000.png", row["uri"]]
    found = chosen(seen.with_settings(study, images={"birds": names}))
    assert found[0].uri.endswith("/b/001.png")
    assert found[1].id == row["image_id"]
    assert found[2].class_name == "c"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("000.png", "3 images end so"),
        ("0.png", "no embedded image ends so"),  # not the whole name
        ("x/000.png", "no embedded image ends so"),
        ("", "no embedded image ends so"),
    ],
)
def test_a_name_must_be_that_of_one_image(study: Study, name: str, reason: str) -> None:
    named = seen.with_settings(study, images={"birds": ["a/000.png", name]})
    with pytest.raises(DatasetError) as caught:
        chosen(named)
    assert str(caught.value) == (
        "experiments.images.birds: must be the id of an image or the end of its location, "
        f"got {name!r}: {reason}"
    )


@pytest.mark.parametrize("name", ["invariance", "occlusion", "correspondence"])
def test_ready_made_embeddings_alone_are_refused(
    folder: Path,
    without_spark: None,  # noqa: ARG001
    name: str,
) -> None:
    study = studies.make(folder)
    if name == "correspondence":
        message = "experiments.parts: must have a CSV of parts for experiment correspondence"
    else:
        message = f"experiment {name}: a dataset must have images that go through a network"
    with pytest.raises(ConfigError, match=message):
        study.do(f"experiment {name}")


def test_ready_made_embeddings_and_pixels_are_left_out_with_a_line_each(
    tmp_path: Path,
    without_spark: None,  # noqa: ARG001
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = seen.make(tmp_path, "index")
    write_embeddings(tmp_path / "given.parquet", {"x": np.ones((2, 2), np.float32)}, ["a", "b"])
    raw = study.config.model_dump(mode="json")
    raw["networks"].append({"name": "colours", "architecture": "pixels"})
    raw["datasets"].append({"name": "given", "embeddings": str(tmp_path / "given.parquet")})
    raw["experiments"]["images"] = {"birds": ["a/000.png"]}
    mixed = studies.run(studies.config.parse(raw), "index embed")
    mixed.do("experiment invariance")
    lines = [record.message for record in caplog.records if "no images that go" in record.message]
    assert lines == [
        "invariance: colours/birds has no images that go through a network",
        "invariance: given/given has no images that go through a network",
    ]
    assert set(studies.table(mixed, INVARIANCE)["network"]) == {"tiny"}
