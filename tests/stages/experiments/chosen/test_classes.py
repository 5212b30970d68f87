"""The names of the classifier's units, and the class that is followed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdsspark.errors import ConfigError
from kdsspark.pipeline.study import Study
from kdsspark.stages.embed import networks
from kdsspark.stages.experiments.chosen import classes
from kdsspark.stages.experiments.chosen.classes import ClassLayer, Followed
from tests.stages.experiments.chosen import seen


def classifier(study: Study, **settings: object) -> ClassLayer | None:
    made = seen.with_settings(study, **settings)
    spec = networks.saved_networks(made.output, made.config)["tiny"]
    return classes.of_network(made.config, spec)


def test_spellings_that_one_unit_has_are_known(study: Study, tmp_path: Path) -> None:
    known = {3: "giant panda, panda, Ailuropoda", 5: "crane", 6: "crane", 7: "Soccer ball,"}
    found = classifier(study, class_names=seen.names_file(tmp_path, known))
    assert found is not None
    assert [found.name(unit) for unit in (3, 5, 9)] == ["giant panda", "crane", "unit 9"]
    units = {name: found.unit(name) for name in ("Panda", "soccer_ball", "crane", "unit 9", "b")}
    assert units == {"Panda": 3, "soccer_ball": 7, "crane": None, "unit 9": 9, "b": None}


def test_without_names_no_class_is_known(study: Study) -> None:
    found = classifier(study)
    assert found is not None
    assert (found.name(3), found.unit("a")) == (None, None)


def test_a_network_may_have_no_classifier(study: Study) -> None:
    assert classifier(study, classifier="fc8") is None


def test_the_number_of_names_must_be_that_of_the_units(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "few.txt"
    file.write_text("one\ntwo\n\n")
    with pytest.raises(ConfigError) as caught:
        classifier(study, class_names=str(file))
    assert str(caught.value) == (
        "experiments.class_names: must have 1000 lines, one for each unit of layer classes of "
        "tiny, got 2"
    )


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xfa"])
def test_a_file_of_names_must_be_readable(
    study: Study, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "names.txt"
    if content:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"class_names: must be a readable text file, got .*:"):
        classifier(study, class_names=str(file))


def test_the_class_that_is_followed() -> None:
    named = ClassLayer("classes", ("one", "two", "three"), (("one", 0), ("three", 2)))
    chances = np.array([0.2, 0.7, 0.1])
    true = Followed.of(named, "Three", chances)
    assert true.which == {"class_unit": 2, "true_class": True}
    assert true.said(chances) == {"probability": 0.1, "likeliest": 1, "likeliest_name": "two"}
    likeliest = Followed.of(named, "four", chances)
    assert likeliest.which == {"class_unit": 1, "true_class": False}
    assert likeliest.said(chances[::-1])["probability"] == 0.7
    for none in (Followed.of(None, "one", None), Followed.of(None, "one", chances)):
        assert none.which == {"class_unit": None, "true_class": False}
        assert set(none.said(chances).values()) == {None}
