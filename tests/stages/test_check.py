"""The stage ``check``: every invariant is found broken where one thing is damaged, and no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from kdsspark import config
from kdsspark.config import Config
from kdsspark.engine.stage import Standing
from kdsspark.errors import InvariantError
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.stages import CHECK, check
from kdsspark.stages.check import CheckItem, ImagesItem, SliceItem, check_item
from kdsspark.tables import EMBEDDINGS, FAILURES, HISTOGRAMS, IMAGES, KS, RANGES, Table
from tests.studies import run, write_embeddings

pytestmark = pytest.mark.usefixtures("without_spark")
PAIR, SLICE = Pair("clip", "set"), "layer-000-units-00000-00004"
CLASSES, UNITS, SHUFFLES = 3, 4, 2


def study_config(folder: Path, **measure: Any) -> Config:
    dataset = {"name": "set", "embeddings": str(folder / "set.parquet"), "network": "clip"}
    measured = {"bins": 6, "shuffles": SHUFFLES} | measure
    return config.parse({"output": str(folder / "out"), "datasets": [dataset], "measure": measured})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, without_spark: None) -> Study:  # noqa: ARG001
    """Sixteen images of three classes; unit 2 is not finite in two of them."""
    folder = tmp_path_factory.mktemp("check")
    values = np.random.default_rng(7).normal(size=(16, UNITS)).astype(np.float32)
    values[[3, 5], 2] = np.nan, np.inf
    write_embeddings(folder / "set.parquet", {"fc": values}, [*"aaaaaabbbbbccccc"])
    return run(study_config(folder), "index embed measure")


@pytest.fixture
def output(tmp_path: Path, finished: Study) -> Output:
    """A copy of the finished output, to be damaged."""
    shutil.copytree(finished.output.path(), tmp_path / "out")
    return Output.at(str(tmp_path / "out"))


@pytest.fixture
def items(output: Output, finished: Study) -> list[CheckItem]:
    return list(check.plan(output, finished.config, PAIR).items)


def only(items: list[CheckItem], kind: type[CheckItem]) -> CheckItem:
    (found,) = (item for item in items if isinstance(item, kind))
    return found


# -- whole stages --------------------------------------------------------------------------------


def test_a_plan_has_the_images_and_every_slice(items: list[CheckItem]) -> None:
    assert [item.name for item in items] == [PAIR.item("images"), PAIR.item(SLICE)]
    assert [type(item) for item in items] == [ImagesItem, SliceItem]
    assert all(check_item(item).counts == {} for item in items)  # nothing is damaged


def test_what_was_checked_is_checked_again_only_if_written_since(
    output: Output, finished: Study
) -> None:
    chosen = finished.config.model_copy(update={"output": output.path()})
    assert check.plan(output, chosen, PAIR).standing(output) == Standing(missing=2)
    run(chosen, "check")
    before = CHECK.receipts(output).of(PAIR)
    assert check.plan(output, chosen, PAIR).standing(output) == Standing(done=2)
    damage(output, KS, "true", change("ks", 5, 0.123))
    run(chosen, "check")
    assert CHECK.receipts(output).of(PAIR) == before
    other = study_config(Path(finished.output.path()).parent, seed=3)
    other = other.model_copy(update={"output": output.path()})
    run(other, "measure")
    assert check.plan(output, other, PAIR).standing(output) == Standing(done=1, stale=1)
    run(other, "check")
    damage(output, KS, "true", change("ks", 5, 0.123))
    CHECK.receipts(output).remove(PAIR.item(SLICE))
    with pytest.raises(InvariantError, match=f"^clip/set: {SLICE}: ks must be what the histograms"):
        run(other, "check")


# -- images --------------------------------------------------------------------------------------


def rewrite(output: Output, path: str, damaged: Callable[[pa.Table], pa.Table]) -> None:
    rows = parquet.read_file(output, path)
    changed = damaged(rows)
    assert changed != rows
    parquet.write(output, path, changed, rows.schema)


def one_file(output: Output, table: Table) -> str:
    values = PAIR[-len(table.partitioned_by) :]  # `images` only by dataset
    (path,) = output.files(table.partition(*values))
    return path


def add_failure(output: Output, image: int, part: str = "extra") -> None:
    """Record the image of a row of ``embeddings`` as failed, too; a new one for row -1."""
    row = parquet.read_file(output, one_file(output, EMBEDDINGS)).to_pylist()[image]
    fields = {"uri": "x", "stage": "decode", "error": "E", "message": "m"}
    row = {name: row[name] for name in FAILURES.schema.names if name in row} | fields
    if image == -1:
        row["image_id"] = "0" * 32
    rows = pa.Table.from_pylist([row], schema=FAILURES.schema)
    parquet.write(output, FAILURES.part(part, *PAIR), rows, FAILURES.schema)


IMAGE_DAMAGES: dict[str, tuple[Callable[[Output], object], str]] = {
    "embedded in two shards": (
        lambda output: shutil.copy(
            output.path(one_file(output, EMBEDDINGS)),
            output.path(EMBEDDINGS.part("copy", *PAIR)),
        ),
        "an image is embedded or failed twice",
    ),
    "failed in two shards": (
        lambda output: (add_failure(output, -1), add_failure(output, -1, "another")),
        "an image is embedded or failed twice",
    ),
    "embedded and failed": (
        lambda output: add_failure(output, 3),
        "an image is embedded or failed twice",
    ),
    "failed and not indexed": (
        lambda output: add_failure(output, -1),
        "images indexed must be those embedded and failed, got 16 indexed, 16 embedded, 1 failed",
    ),
    "indexed and neither embedded nor failed": (
        lambda output: rewrite(output, one_file(output, EMBEDDINGS), lambda rows: rows.slice(1)),
        "images indexed must be those embedded and failed, got 16 indexed, 15 embedded, 0 failed",
    ),
    "not indexed and embedded": (
        lambda output: rewrite(output, one_file(output, IMAGES), lambda rows: rows.slice(1)),
        "images indexed must be those embedded and failed, got 15 indexed, 16 embedded, 0 failed",
    ),
    "as many, but another image": (
        lambda output: rewrite(
            output,
            one_file(output, IMAGES),
            lambda rows: rows.set_column(
                0, "image_id", pa.array(["f" * 32, *rows["image_id"].to_pylist()[1:]])
            ),
        ),
        "images indexed must be those embedded and failed, got 16 indexed, 16 embedded, 0 failed",
    ),
}


@pytest.mark.parametrize("name", IMAGE_DAMAGES)
def test_damaged_images_are_found(output: Output, items: list[CheckItem], name: str) -> None:
    damage, message = IMAGE_DAMAGES[name]
    damage(output)
    with pytest.raises(InvariantError) as caught:
        check_item(only(items, ImagesItem))
    assert str(caught.value) == f"clip/set: {message}"


# -- slices --------------------------------------------------------------------------------------

Damage = Callable[[pa.Table], pa.Table]


def change(column: str, row: int, value: Any) -> Damage:
    def damaged(rows: pa.Table) -> pa.Table:
        values = rows[column].to_pylist()
        values[row] = value
        place = rows.schema.get_field_index(column)
        return rows.set_column(place, column, pa.array(values, rows.schema.field(column).type))

    return damaged


def more(column: str, row: int, by: int) -> Damage:
    return lambda rows: change(column, row, rows[column][row].as_py() + by)(rows)


def move(column: str, first: int, second: int) -> Damage:
    """One less in a row, one more in another."""
    return lambda rows: more(column, first, -1)(more(column, second, 1)(rows))


def all_in_one_bin(rows: pa.Table) -> pa.Table:
    """Every image of unit 0 and class 0 in the last bin: the sum stays, the distance does not."""
    return change("counts", 0, [0, 0, 0, 0, 0, sum(rows["counts"][0].as_py())])(rows)


def lose(first: int, n: int) -> Damage:
    return lambda rows: pa.concat_tables([rows.slice(0, first), rows.slice(first + n)])


def twice(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, rows])


def rename_units(rows: pa.Table, names: dict[int, int]) -> pa.Table:
    units = pa.array([names.get(unit, unit) for unit in rows["unit"].to_pylist()], pa.int32())
    return rows.set_column(rows.schema.get_field_index("unit"), "unit", units)


def damage(output: Output, table: Table, labels: str, damaged: Damage) -> None:
    path = table.part(SLICE, *PAIR, *([labels] if labels else []))
    rewrite(output, path, damaged)


ROWS = CLASSES * SHUFFLES  # of a unit, in the shuffled distances
IN_RANGE = "{} must be from 0 to 1, and null where ks is"
MISSING = "every feature must have a distance for every class and shuffle"

# Table, labels, damage, and what is said. Rows of `ks` go by unit, class and shuffle.
SLICE_DAMAGES: dict[str, tuple[Table, str, Damage, str]] = {
    "a range is missing": (RANGES, "", lose(1, 1), "every feature must have a range and distances"),
    "all ranges are missing": (
        RANGES,
        "",
        lose(0, UNITS),
        "every feature must have a range and distances",
    ),
    "an image is missing": (
        RANGES,
        "",
        more("n_nonfinite", 2, -1),
        "n over all classes + n_nonfinite must be 16 images",
    ),
    "a distance is another": (
        KS,
        "true",
        change("ks", 5, 0.123),
        "ks must be what the histograms give",
    ),
    "a distance is undefined": (
        KS,
        "true",
        change("ks", 5, None),
        "ks must be what the histograms give",
    ),
    "an area is above 1": (KS, "true", change("auc", 5, 1.5), IN_RANGE.format("auc")),
    "a p-value is negative": (KS, "true", change("p_auc", 0, -0.1), IN_RANGE.format("p_auc")),
    "a share is undefined": (
        KS,
        "true",
        change("nonzero_outer", 3, None),
        IN_RANGE.format("nonzero_outer"),
    ),
    "a bin is another": (KS, "true", more("bin", 7, 1), "ks must be what the histograms give"),
    "classes are not as large as their histograms": (
        KS,
        "true",
        move("n_inner", 3, 4),
        "ks must be what the histograms give",
    ),
    "distances of a unit are missing": (
        KS,
        "true",
        lose(0, CLASSES),
        "every feature must have a range and distances",
    ),
    "a distance is missing": (KS, "true", lose(4, 1), MISSING),
    "all distances are missing": (
        KS,
        "true",
        lose(0, UNITS * CLASSES),
        "every feature must have a range and distances",
    ),
    "distances of a class are missing": (
        KS,
        "true",
        lambda rows: rows.filter(pc.not_equal(rows["class_id"], 2)),
        "n over all classes + n_nonfinite must be 16 images",
    ),
    "distances are there twice": (KS, "true", twice, MISSING),
    "a count is another": (
        HISTOGRAMS,
        "",
        change("counts", 1, [9, 9, 9, 9, 9, 9]),
        "counts must add up to n",
    ),
    "images are in another bin": (
        HISTOGRAMS,
        "",
        all_in_one_bin,
        "ks must be what the histograms give",
    ),
    "a histogram is missing": (
        HISTOGRAMS,
        "",
        lose(3 * CLASSES, CLASSES),
        "every feature must have a histogram for every class",
    ),
    "a histogram of one class is missing": (
        HISTOGRAMS,
        "",
        lose(4, 1),
        "every feature must have a histogram for every class",
    ),
    "all histograms are missing": (
        HISTOGRAMS,
        "",
        lose(0, UNITS * CLASSES),
        "every feature must have a histogram for every class",
    ),
    "a histogram has fewer bins": (
        HISTOGRAMS,
        "",
        change("counts", 1, [1, 2]),
        "histograms must have the same number of bins",
    ),
    "n of a histogram is another": (HISTOGRAMS, "", more("n", 1, 1), "counts must add up to n"),
    "histograms are there twice": (
        HISTOGRAMS,
        "",
        twice,
        "ks must be what the histograms give",
    ),
    "a shuffle has one image more": (
        KS,
        "shuffled",
        more("n_inner", 0, 1),
        "n of every shuffle must add up to that of the true labels",
    ),
    "a shuffle has other classes": (
        KS,
        "shuffled",
        move("n_inner", 0, SHUFFLES),
        "shuffled labels must keep the sizes of classes",
    ),
    "a shuffled distance is missing": (KS, "shuffled", lose(1, 1), MISSING),
    "all shuffled distances are missing": (
        KS,
        "shuffled",
        lose(0, UNITS * ROWS),
        "every feature must have distances of 2 shuffles",
    ),
    "shuffles are of a unit that is not of the slice": (
        KS,
        "shuffled",
        lambda rows: rename_units(rows, {3: 9}),
        "every feature must have distances of 2 shuffles",
    ),
    "the shuffles of the last unit are missing": (
        KS,
        "shuffled",
        lose(3 * ROWS, ROWS),
        "every feature must have distances of 2 shuffles",
    ),
}


@pytest.mark.parametrize("name", SLICE_DAMAGES)
def test_damaged_slices_are_found(output: Output, items: list[CheckItem], name: str) -> None:
    table, labels, damaged, message = SLICE_DAMAGES[name]
    damage(output, table, labels, damaged)
    with pytest.raises(InvariantError) as caught:
        check_item(only(items, SliceItem))
    assert str(caught.value) == f"clip/set: {SLICE}: {message}"


@pytest.mark.parametrize(
    ("table", "labels"), [(RANGES, ()), (HISTOGRAMS, ()), (KS, ("true",)), (KS, ("shuffled",))]
)
def test_a_lost_file_is_found(
    output: Output, items: list[CheckItem], table: Table, labels: tuple[str, ...]
) -> None:
    path = table.part(SLICE, *PAIR, *labels)
    output.remove(path)
    with pytest.raises(InvariantError) as caught:
        check_item(only(items, SliceItem))
    assert str(caught.value) == f"clip/set: {path} is missing"


@pytest.mark.parametrize(
    ("settings", "table", "labels"),
    [({"histograms": False}, HISTOGRAMS, ()), ({"keep_shuffled": False}, KS, ("shuffled",))],
)
def test_what_is_not_written_is_not_missed(
    output: Output, finished: Study, settings: dict[str, Any], table: Table, labels: tuple[str, ...]
) -> None:
    output.remove(table.part(SLICE, *PAIR, *labels))
    chosen = study_config(Path(finished.output.path()).parent, **settings)
    check_item(only(list(check.plan(output, chosen, PAIR).items), SliceItem))


def test_where_values_are_not_finite_shuffled_classes_may_have_other_sizes(
    output: Output, items: list[CheckItem]
) -> None:
    place = 2 * ROWS  # unit 2
    damage(output, KS, "shuffled", move("n_inner", place, place + SHUFFLES))
    check_item(only(items, SliceItem))


def test_a_kind_of_item_says_what_it_checks() -> None:
    nothing: Any = None
    item = CheckItem(name=PAIR.item("x"), digest="", output=nothing, pair=PAIR, settings=nothing)
    with pytest.raises(NotImplementedError):
        item.check()
