"""One place has one spelling, and a definition that spells it otherwise has not changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdsspark.config import parse
from kdsspark.output import definitions
from kdsspark.output.filesystems import absolute, locate
from kdsspark.output.output import Output
from tests.output.made import touch

SPELLINGS = [
    "data",
    "data/",
    "data//",
    "./data",
    "./data/.",
    "data/../data",
    "../here/data",
    "{here}/data",
    "{here}/data/",
    "/{here}//data",
    "{here}/./data",
    "{here}/data/x/..",
    "file://{here}/data",
    "file://{here}/data/",
    "file:{here}/data",
    "local://{here}/./data",
    "~/data",
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which is the home directory as well."""
    folder = tmp_path / "here"
    (folder / "data" / "x").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    return folder


# -- paths and URLs ------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_place_of_this_machine_is_one_path(here: Path, spelling: str) -> None:
    found = absolute(spelling.format(here=here))
    assert found == str(here / "data")
    assert absolute(found) == found
    assert locate(found)[1] == found


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("link", "{here}/link"),  # a link keeps its name, for it may lead elsewhere tomorrow
        ("link/..", "{here}/data"),  # as the machine reads it, which is not `{here}`
        ("link/../y", "{here}/data/y"),
        ("link/x/..", "{here}/link"),
        ("/", "/"),
        ("/..", "/"),
        ("a b/#?%20", "{here}/a b/#?%20"),
        ("http:/x", "{here}/http:/x"),
    ],
)
def test_links_and_odd_characters(here: Path, place: str, path: str) -> None:
    (here / "link").symlink_to(here / "data" / "x")
    assert absolute(place) == path.format(here=here)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("s3://bucket/a/", "s3://bucket/a"),
        ("s3://bucket/a//", "s3://bucket/a"),
        ("s3://bucket//a/./b/../c", "s3://bucket//a/./b/../c"),  # names of objects
        ("s3://bucket", "s3://bucket"),
        ("memory://", "memory://"),
        ("hdfs://host:8020/a/", "hdfs://host:8020/a"),
        ("https://host/a.csv?b=1", "https://host/a.csv?b=1"),
        ("simplecache::s3://bucket/a/", "simplecache::s3://bucket/a"),
    ],
)
def test_urls_of_stores_differ_by_slashes_at_the_end(url: str, found: str) -> None:
    assert absolute(url) == found


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_output_has_one_url(here: Path, spelling: str) -> None:
    assert Output.at(spelling.format(here=here)).url == f"file://{here}/data"


# -- definitions ---------------------------------------------------------------------------------


def config(key: str, value: str, **more: Any) -> Any:
    """A configuration with one place in it: of images, of embeddings or of weights."""
    raw: dict[str, Any] = {"output": "unused", "networks": [{"name": "net"}]}
    if key == "weights":
        raw["networks"] = [{"name": "net", "weights": value, **more}]
        value, key, more = "/images", "path", {}
    return parse(raw | {"datasets": [{"name": "set", key: value, **more}]})


def output_of(folder: Path, made: Any) -> Output:
    """An output that holds results of a configuration."""
    output = Output.at(str(folder / "out"))
    definitions.record(output, made)
    touch(output, "images/dataset=set/part-0.parquet")
    touch(output, "_networks/net.json")
    return output


@pytest.mark.parametrize("key", ["path", "embeddings", "weights"])
@pytest.mark.parametrize("first", ["data/x.pt", "./data/x.pt", "file://{here}/data/x.pt"])
def test_another_spelling_is_no_change(here: Path, key: str, first: str) -> None:
    output = output_of(here, config(key, first.format(here=here)))
    for spelling in SPELLINGS:
        if spelling.endswith(("data", "data/")):
            again = config(key, f"{spelling.format(here=here).rstrip('/')}/x.pt")
            definitions.refuse_changes(output, again)
            definitions.record(output, again)  # which is what the next run compares with


@pytest.mark.parametrize("key", ["path", "embeddings", "weights"])
@pytest.mark.parametrize("now", ["other/x.pt", "data/x/x.pt", "/data/x.pt", "s3://data/x.pt"])
def test_another_place_is_a_change(here: Path, key: str, now: str) -> None:
    output = output_of(here, config(key, "data/x.pt"))
    (change,) = definitions.changes(output, config(key, now))
    assert change.difference == f"{key} was 'data/x.pt' and is now {now!r}"


def test_other_keys_than_places_are_compared_as_they_are(here: Path) -> None:
    label = config("embeddings", "data", label="a/")
    (change,) = definitions.changes(output_of(here, label), config("embeddings", "./data"))
    assert change.difference == "label was 'a/' and is now 'class_name'"


def test_weights_by_name_are_no_place(here: Path) -> None:
    (here / "random").mkdir()
    output = output_of(here, config("weights", "random"))
    assert definitions.changes(output, config("weights", str(here / "random")))


def test_from_another_folder_a_place_is_still_known(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = output_of(here, config("path", "data"))
    monkeypatch.chdir("/")
    for spelling in (f"{here}/data", f"{here}/data/".lstrip("/"), f"file://{here}/data"):
        assert definitions.changes(output, config("path", spelling)) == []
    assert definitions.changes(output, config("path", "/data"))


def test_a_folder_that_moves_with_its_output_keeps_its_relative_paths(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output_of(here, config("path", "data"))
    moved = here.rename(here.with_name("there"))
    monkeypatch.chdir(moved)
    assert definitions.changes(Output.at("out"), config("path", "data")) == []
    assert definitions.changes(Output.at("out"), config("path", str(moved / "data")))
    definitions.record(Output.at("out"), config("path", "data"))
    assert definitions.changes(Output.at("out"), config("path", str(moved / "data"))) == []


def test_what_an_earlier_version_recorded_is_taken_from_here(here: Path) -> None:
    output = output_of(here, config("path", "data"))
    saved = output.read_json("_definitions.json")
    assert saved["datasets.set"].pop("absolute") == {"path": str(here / "data")}
    output.write_json("_definitions.json", saved)
    assert definitions.changes(output, config("path", f"{here}/data/")) == []
    assert definitions.changes(output, config("path", "/data"))


def test_secrets_are_told_apart_in_every_spelling_and_not_written(here: Path) -> None:
    output = output_of(here, config("path", "s3://key:hush@bucket/a/"))
    assert definitions.changes(output, config("path", "s3://key:hush@bucket/a")) == []
    (change,) = definitions.changes(output, config("path", "s3://key:quiet@bucket/a"))
    written = Path(output.path("_definitions.json")).read_text()
    assert "absolute" in written
    for text in (written, change.difference):
        assert "hush" not in text
        assert "quiet" not in text
