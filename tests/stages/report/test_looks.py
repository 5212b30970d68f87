"""What somebody asked to see: remembered by the output, mistakes refused with close names."""

from __future__ import annotations

import re

import pytest

from kdsspark.errors import ConfigError, DatasetError
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.stages.report import looks


@pytest.fixture
def nothing_asked(fruit: Study) -> Output:
    fruit.output.remove(fruit.output.looks)
    return fruit.output


def test_the_output_remembers_what_was_asked_for(fruit: Study, nothing_asked: Output) -> None:
    output, config = nothing_asked, fruit.config
    assert looks.read(output) == looks.Looks()
    pages = [looks.add_unit(output, config, "tiny", "fire4", unit) for unit in ("7", "3", "7")]
    assert pages == [f"units/tiny/fire4/{unit}.html" for unit in (7, 3, 7)]
    assert looks.add_class(output, config, "wood", "oak") == ["classes/tiny/wood/oak.html"]
    found = looks.read(output)
    assert found.features("tiny") == [("fire4", 3), ("fire4", 7)]
    assert (found.features("other"), found.names("wood"), found.names("fruit")) == (
        [],
        {"oak"},
        set(),
    )
    output.remove(output.looks)


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (("tiny", "fire5", "0"), "--unit: no layer of tiny is 'fire5', did you mean fire4"),
        (("tinny", "fire4", "0"), "--unit: no network is 'tinny', did you mean tiny"),
        (("x", "fire4", "0"), "--unit: no network is 'x', one of tiny"),
        (("tiny", "fire4", "256"), "--unit: unit of fire4 must be from 0 to 255, got 256"),
        (("tiny", "fire4", "-1"), "--unit: unit of fire4 must be from 0 to 255, got -1"),
        (("fruits", "pear"), "--class: no dataset is 'fruits', did you mean fruit"),
        (("fruit", "peer"), "--class: no class of fruit is 'peer', did you mean pear"),
        (("wood", "xyz"), "--class: no class of wood is 'xyz', one of elm, oak"),
    ],
)
def test_what_there_is_not_is_refused_with_close_names(
    fruit: Study, nothing_asked: Output, wanted: tuple[str, ...], line: str
) -> None:
    add = looks.add_unit if len(wanted) == 3 else looks.add_class
    with pytest.raises(ConfigError, match=f"^{re.escape(line)}$"):
        add(nothing_asked, fruit.config, *wanted)  # type: ignore[arg-type]
    assert looks.read(nothing_asked) == looks.Looks()


def test_an_empty_output_says_what_to_run(
    fruit: Study, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = Output.at(str(tmp_path_factory.mktemp("empty")))
    with pytest.raises(DatasetError, match="network tiny: has no embeddings, run the embed stage"):
        looks.add_unit(empty, fruit.config, "tiny", "fire4", "0")
    with pytest.raises(DatasetError, match="dataset wood: is not indexed, run the index stage"):
        looks.add_class(empty, fruit.config, "wood", "oak")
