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
from kdsspark.stages.report.pictures.picture import PictureFile, Place
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
    places = {cut.at: (uri, cut.box, side(cut)) for _, uri, cut in found}
    assert len(places) == len(found)
    return places


def side(cut: Square) -> int:
    return cut.at[0].side


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
    assert {side(cut) for *_, cut in pictures.cuts(other, best, SIZE)} == {SIZE.patch}


def test_pairs_with_one_corpus_cut_its_patches_once(
    fruit: Study, subject: Subject, best: BestImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the second pair draws beside the first is cut, too."""
    first, *rest = subject.chosen.drawn
    drawn = [replace(subject.chosen, drawn=own) for own in ([first, rest[0]], [first, rest[1]])]
    alone = replace(subject, figures=())
    other = replace(alone, pair=Pair("tiny", "other"), corpus=subject.pair)
    shown = [(replace(s, chosen=c), best) for s, c in zip((alone, other), drawn, strict=True)]
    asked: dict[Pair, list[list[OfImage[Square]]]] = {}
    monkeypatch.setattr(
        pictures, "fold", lambda _, __, work, *___, **____: (asked.update(work), {})[1]
    )
    assert pictures.cut(fruit.context, shown, SIZE) == {}
    assert asked.keys() == {subject.pair}
    squares = [cut for jobs in asked[subject.pair] for job in jobs for cut in job.wanted]
    assert len(squares) == len(set(squares))
    want = {pictures.patches(subject, best, f, SIZE).path for f in (first, *rest[:2])}
    assert {cut.at[0].path for cut in squares if side(cut) == SIZE.patch} == want


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
    in_row = best.rows["feature"].isin(unit_figures.in_rows(subject.figures))
    own = best.rows["image_id"] == gone
    shown = (drawn, in_row, best.rows["rank"] == 1)
    assert lost == sum((own & one).sum() for one in shown) > 0


@pytest.mark.parametrize("n_pictures", [0, 1, 4, 5, 40])
def test_a_picture_belongs_to_one_task(subject: Subject, n_pictures: int) -> None:
    """And in a task, an image stands once, with all that is cut out of it."""
    made = [PictureFile(f"{n}", 3, 8, in_rows=False) for n in range(n_pictures)]
    cuts = [
        (f"{(i + n) % 5}", Square((picture, n), None))
        for i, picture in enumerate(made)
        for n in range(3)
    ]
    tasks = pictures.tasks({subject.pair: cuts}, 12)[subject.pair]
    assert len(tasks) == -(-n_pictures // 4)
    by_task = [[(job.uri, cut) for job in jobs for cut in job.wanted] for jobs in tasks]
    assert sorted(both for own in by_task for both in own) == sorted(cuts)
    for jobs, own in zip(tasks, by_task, strict=True):
        assert len({job.uri for job in jobs}) == len(jobs)
        assert 0 < len(own) <= 12
    pictures_of = [{cut.at[0] for _, cut in own} for own in by_task]
    assert sum(map(len, pictures_of)) == n_pictures
