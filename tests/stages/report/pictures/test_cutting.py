"""Which squares are cut, and how they are dealt out to tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.report.gallery import unit_figures
from kdsspark.stages.report import subjects
from kdsspark.stages.report.pictures import best_images
from kdsspark.stages.report.pictures import cutting as pictures
from kdsspark.stages.report.pictures.best_images import BestImages
from kdsspark.stages.report.pictures.cut_task import OfImage, Square
from kdsspark.stages.report.pictures.picture import Place
from kdsspark.stages.report.sizes import of_site
from kdsspark.stages.report.subjects import Subject
from tests.report.synthetic import run_on_files

SIZE = of_site(5, 3)


@pytest.fixture(scope="module")
def subject(fruit: Study) -> Subject:
    return subjects.choose_all(fruit.context, run_on_files(fruit.output), 3)[0]


@pytest.fixture(scope="module")
def best(fruit: Study, subject: Subject) -> BestImages:
    return best_images.read(fruit.output, subject)


Cut = tuple[str, tuple[int, int, int, int] | None, int]
"""uri, box, side"""


def by_place(subject: Subject, best: BestImages) -> dict[Place, Cut]:
    """What is cut for every place, which is cut for it once."""
    found = list(pictures.cuts(subject, best, SIZE))
    places = {p: (uri, cut.box, cut.side) for _, uri, cut in found for p in cut.places}
    assert len(places) == sum(len(cut.places) for *_, cut in found)
    return places


def on_sheets(subject: Subject) -> dict[int, Place]:
    return {
        feature: (pictures.sheet(subject, layer, len(own), SIZE), n)
        for layer, own in zip(subject.layers, subject.chosen.sheets, strict=True)
        for n, feature in enumerate(own)
    }


def test_everything_shown_is_cut_once(subject: Subject, best: BestImages) -> None:
    found = by_place(subject, best)
    assert {pair for pair, *_ in pictures.cuts(subject, best, SIZE)} == {subject.pair}
    want: dict[Place, Cut] = {
        (pictures.samples(subject, c, SIZE), n): (uri, None, SIZE.sample)
        for c, own in subject.samples.items()
        for n, uri in enumerate(own)
    }
    sheets, in_rows = on_sheets(subject), set(unit_figures.in_rows(subject.figures))
    assert in_rows
    for row in best.rows[best.rows["n_active"] > 0].to_dict("records"):
        x0, y0, x1, y1 = (row[edge] for edge in ("x0", "y0", "x1", "y1"))
        uri, box = best.images[row["image_id"]][0], (x0, y0, x1, y1)
        feature, n = row["feature"], row["rank"] - 1
        if feature in set(subject.chosen.drawn):
            made = [pictures.patches(subject, best, feature, SIZE)]
            made += [pictures.row(subject, best, feature, SIZE)] if feature in in_rows else []
            want |= {(picture, n): (uri, box, SIZE.patch) for picture in made}
        if n == 0:
            want[sheets[feature]] = uri, box, SIZE.tile
    assert found == want


def test_a_file_is_one_picture(subject: Subject, best: BestImages) -> None:
    made = {picture for picture, _ in by_place(subject, best)}
    assert len({picture.path for picture in made}) == len(made)
    assert all(n < picture.n for picture, n in by_place(subject, best))


def test_samples_are_left_to_their_pair(subject: Subject, best: BestImages) -> None:
    """And without sheets, only what units with pages show is cut."""
    other = replace(subject, sampled_by=Pair("other", "fruit"), with_sheets=False)
    assert {cut.side for *_, cut in pictures.cuts(other, best, SIZE)} == {SIZE.patch}


def test_pairs_with_one_corpus_cut_its_patches_once(
    fruit: Study, subject: Subject, best: BestImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the second pair draws beside the first is cut, too."""
    first, *rest = subject.chosen.drawn
    drawn = [replace(subject.chosen, drawn=own) for own in ([first, rest[0]], [first, rest[1]])]
    alone = replace(subject, figures=())
    other = replace(alone, pair=Pair("tiny", "other"), corpus=subject.pair)
    shown = [(replace(s, chosen=c), best) for s, c in zip((alone, other), drawn, strict=True)]
    asked: list[tuple[Pair, list[OfImage[Square]]]] = []
    monkeypatch.setattr(pictures, "grouped", lambda _, __, jobs, *___: (asked.extend(jobs), {})[1])
    assert pictures.cut(fruit.context, shown, SIZE) == {}
    assert {pair for pair, _ in asked} == {subject.pair}
    squares = [cut for _, jobs in asked for job in jobs for cut in job.wanted]
    assert len(squares) == len(set(squares))
    want = {pictures.patches(subject, best, f, SIZE).path for f in (first, *rest[:2])}
    assert {cut.places[0][0].path for cut in squares if cut.side == SIZE.patch} == want


def test_dead_units_have_no_patches(subject: Subject, best: BestImages) -> None:
    dead = subject.chosen.drawn[0]
    rows = best.rows.assign(n_active=best.rows["n_active"].mask(best.rows["feature"] == dead, 0))
    before, after = by_place(subject, best), by_place(subject, replace(best, rows=rows))
    gone = {picture.path for picture, _ in before} - {picture.path for picture, _ in after}
    assert pictures.patches(subject, best, dead, SIZE).path in gone
    assert set(before) - set(after) >= {on_sheets(subject)[dead]}
    assert {pictures.patches(subject, best, f, SIZE) for f in subject.chosen.drawn[1:]} <= {
        picture for picture, _ in after
    }


def test_images_that_are_indexed_no_more_are_left_out(subject: Subject, best: BestImages) -> None:
    gone = next(iter(best.images))
    fewer = {key: value for key, value in best.images.items() if key != gone}
    cut = list(pictures.cuts(subject, replace(best, images=fewer), SIZE))
    lost = len(list(pictures.cuts(subject, best, SIZE))) - len(cut)
    drawn = best.rows["feature"].isin(subject.chosen.drawn)
    own = best.rows["image_id"] == gone
    assert lost == (own & drawn).sum() + (own & (best.rows["rank"] == 1)).sum() > 0


@pytest.mark.parametrize("n_images", [0, 1, 48, 49, 100])
def test_an_image_belongs_to_one_task(subject: Subject, n_images: int) -> None:
    cuts = [(f"{n % n_images:03d}", Square((), None, n)) for n in range(3 * n_images)]
    tasks = pictures.tasks({subject.pair: cuts})
    assert all(pair == subject.pair and 0 < len(jobs) <= 48 for pair, jobs in tasks)
    jobs = [job for _, jobs in tasks for job in jobs]
    assert [job.uri for job in jobs] == sorted({uri for uri, _ in cuts})
    assert sorted(cut.side for job in jobs for cut in job.wanted) == list(range(3 * n_images))
    assert all(uri == job.uri for job in jobs for uri, cut in cuts if cut in job.wanted)
