"""The slices: every invariant is found broken where one thing is damaged, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from kdsspark.errors import InvariantError
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.stages import check
from kdsspark.stages.check import CheckItem, SliceItem, check_item
from kdsspark.tables import HISTOGRAMS, KS, RANGES, Table
from tests.stages.check.damage import (
    CLASSES,
    PAIR,
    SHUFFLES,
    SLICE,
    UNITS,
    Damage,
    all_in_one_bin,
    change,
    damage,
    lose,
    more,
    move,
    only,
    rename_units,
    study_config,
    twice,
)

pytestmark = pytest.mark.usefixtures("without_spark")

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
