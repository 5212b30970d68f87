"""Whole stages, and the images: every invariant is found broken where one thing is damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from kdsspark.engine.stage import Standing
from kdsspark.errors import InvariantError
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.stages import CHECK, check
from kdsspark.stages.check import CheckItem, ImagesItem, SliceItem, check_item
from kdsspark.tables import EMBEDDINGS, FAILURES, IMAGES, KS
from tests.stages.check.damage import (
    PAIR,
    SLICE,
    change,
    damage,
    one_file,
    only,
    rewrite,
    study_config,
)
from tests.studies import run

pytestmark = pytest.mark.usefixtures("without_spark")


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


def test_a_kind_of_item_says_what_it_checks() -> None:
    nothing: Any = None
    item = CheckItem(name=PAIR.item("x"), digest="", output=nothing, pair=PAIR, settings=nothing)
    with pytest.raises(NotImplementedError):
        item.check()
