"""What single values may be, and the words for those that they may not be."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from kdsspark import paper
from kdsspark.config.overrides import read_yaml
from kdsspark.config.types import (
    Distance,
    LayerNames,
    LayoutName,
    Location,
    Master,
    Name,
    Scalar,
    Size,
    check_layer_names,
    one_line,
    parse_size,
)
from kdsspark.datasets.layouts import LAYOUTS
from kdsspark.stats.distances import DISTANCES


class Model(BaseModel):
    """A value of each type."""

    model_config = ConfigDict(extra="forbid")

    name: Name = "a"
    layers: LayerNames = None
    scalar: Scalar = 0
    location: Location = "x"
    master: Master = "yarn"
    size: Size = "1GiB"
    count: int = 1
    needed: int


def line(**values: Any) -> str:
    """The line that refuses values of :class:`Model`."""
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"needed": 1} | values)
    (error,) = caught.value.errors()
    return one_line(error, {(): Model.model_fields})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("name", name) for name in ("a", "Z9", "a.b-c_d", "vgg16-imagenet")),
        *(("layers", layers) for layers in (None, {}, {"fc6": "classifier.1", "b": ""})),
        *(("scalar", scalar) for scalar in ("x", "", 3, 2.5, True)),
        *(("location", path) for path in ("/a", "a b", "./$x", "./~", "a/~", "s3://b/k", "C:x")),
        *(("master", m) for m in ("local", "local[3]", "local[*, 2]", "yarn", "k8s://https://h:1")),
        *(("size", size) for size in ("16KiB", "16384", "0.5MB", "1 T")),
    ],
)
def test_what_may_be_stays_as_it_is(key: str, value: Any) -> None:
    assert getattr(Model(needed=1, **{key: value}), key) == value


PATTERN = "must match [A-Za-z][A-Za-z0-9_.-]*"


@pytest.mark.parametrize(
    ("key", "value", "refusal"),
    [
        *(
            ("name", n, f"name: {PATTERN}, got {n!r}")
            for n in ("", "9a", "_a", "a/b", "a b", "\u00e9")
        ),
        ("layers", {"a b": "x"}, f"layers: names {PATTERN}, got 'a b'"),
        (
            "layers",
            {"a": "x", "A": "y"},
            "layers: names must differ by more than case, got 'a', 'A'",
        ),
        ("layers", {"Image_ID": "x"}, "layers: names must not be those of columns, got 'Image_ID'"),
        ("scalar", None, "scalar: must be text, a number, true or false, got None"),
        ("scalar", [1], "scalar: must be text, a number, true or false, got [1]"),
        ("location", "~nobody-has-this-name", "location: must not begin with ~ where the user has"),
        ("location", "$HOME", "location: must have no variable of a shell"),
        ("location", "gs:/b", "location: must have two slashes after gs:"),
        ("master", "", "master: must be local, local[N], local[*], spark://HOST:PORT, yarn or"),
        ("master", "k8s://", "master: must be local, local[N], local[*], spark://HOST:PORT, yarn"),
        ("size", "16383", "size: must be at least 16KiB, got '16383'"),
        ("size", "big", "size: must be a size such as 512MiB or 2GiB, got 'big'"),
        ("count", "x", "count: must be a valid integer"),
        ("needed", None, "needed: must be a valid integer, got None"),
        ("name", 3, "name: must be text in quotes, got 3"),
        ("name", ["a"], "name: must be a valid string, got ['a']"),
        ("name", "x" * 200 + "/", f"name: {PATTERN}, got '{'x' * 199}..."),
        ("other", 1, "other: unknown key, must be one of name, layers, scalar, location, master"),
    ],
)
def test_what_may_not_be_is_refused_in_one_line(key: str, value: Any, refusal: str) -> None:
    found = line(**{key: value})
    assert found.startswith(refusal)
    assert "\n" not in found


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        Model()
    assert one_line(caught.value.errors()[0], {}) == "needed: must be given, got nothing"


def test_java_writes_local_files_with_one_slash() -> None:
    assert Model(needed=1, location="file:/data/x").location == "/data/x"


def test_a_number_keeps_the_text_it_was_read_from() -> None:
    assert Model(needed=1, scalar=read_yaml("4.10")).scalar == "4.10"


def test_layer_names_may_be_any_iterable() -> None:
    check_layer_names(iter(["a", "b"]))
    with pytest.raises(ValueError, match="names must differ by more than case, got 'ab', 'aB'"):
        check_layer_names(iter(["ab", "c", "aB"]))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("0", 0), ("7", 7), ("7B", 7), (" 7 ", 7)),
        *(("2K", 2048), ("2kb", 2048), ("2KiB", 2048)),
        *(("1.5MiB", 3 << 19), ("1 GiB", 1 << 30), ("2T", 2 << 40), ("0.0001K", 0)),
    ],
)
def test_sizes_are_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1PiB", "1 2", "1e3", "1iB", ".5K", "1.K"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size such as") as caught:
        parse_size(text)
    assert str(caught.value).endswith(f"got {text!r}")


def test_names_of_layouts_and_distances_are_those_that_there_are() -> None:
    assert set(get_args(LayoutName)) == set(LAYOUTS)
    assert set(paper.DATASETS["dataset"]) <= set(LAYOUTS)
    assert list(get_args(Distance)) == list(DISTANCES)
