"""The exemplars that are drawn, against the table."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.stages.report import subjects
from kdsspark.stages.report.pictures import best_images
from kdsspark.stages.report.subjects import Subject
from kdsspark.tables import EXEMPLARS, IMAGES
from tests.report.synthetic import run_on_files


@pytest.fixture(scope="module")
def chosen(fruit: Study) -> list[Subject]:
    return subjects.choose_all(fruit.context, run_on_files(fruit.output), 3)


def table(study: Study, subject: Subject) -> pd.DataFrame:
    rows = parquet.read(study.output, EXEMPLARS, *subject.pair).to_pandas()
    return rows.assign(feature=rows["layer"].map(subject.firsts) + rows["unit"])


@pytest.mark.parametrize("which", [0, 1])
def test_units_with_a_page_have_all_patches_and_others_the_best(
    fruit: Study, chosen: list[Subject], which: int
) -> None:
    subject = chosen[which]
    found, rows = best_images.read(fruit.output, subject), table(fruit, subject)
    drawn = set(subject.chosen.drawn)
    for feature, own in rows.groupby("feature"):
        n = 9 if feature in drawn else int(subject.with_sheets)
        best = own.sort_values("rank").iloc[:n]
        want = zip(best["image_id"], best["activation"], best["x0"].notna(), strict=True)
        assert list(found.of(int(feature))) == list(want)
        assert found.n_active[feature] == own["n_active"].iloc[0]
    assert len(drawn) < rows["feature"].nunique()
    assert found.n == rows["n"].iloc[0]
    images = parquet.read(fruit.output, IMAGES, subject.pair.dataset).to_pandas()
    images = images.set_index("image_id").loc[list(found.images)]
    assert list(found.images.values()) == list(
        zip(images["uri"], images["class_name"], strict=True)
    )
    assert set(found.images) == set(found.rows["image_id"])


@pytest.mark.parametrize("corpus", [None, Pair("tiny", "gone")])
def test_without_exemplars_there_are_none(
    fruit: Study, chosen: list[Subject], corpus: Pair | None
) -> None:
    found = best_images.read(fruit.output, replace(chosen[0], corpus=corpus))
    assert (len(found.rows), found.images, found.n) == (0, {}, 0)
    assert not found.n_active.any()
    assert len(found.of(3)) == 0


def test_another_dataset_may_be_the_corpus(fruit: Study, chosen: list[Subject]) -> None:
    found = best_images.read(fruit.output, replace(chosen[0], corpus=chosen[1].pair))
    assert found.n == 8
    assert {name for _, name in found.images.values()} <= {"elm", "oak"}
