"""Which squares are cut, and how they are dealt out to tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.stages.report import subjects
from kdsspark.stages.report.pictures import best_images
from kdsspark.stages.report.pictures import cutting as pictures
from kdsspark.stages.report.pictures.best_images import BestImages
from kdsspark.stages.report.pictures.cut_task import OfImage, Square
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


def test_everything_shown_is_cut_once(subject: Subject, best: BestImages) -> None:
    found = list(pictures.cuts(subject, best, SIZE))
    by_key = {cut.key: (uri, cut) for _, uri, cut in found}
    assert len(by_key) == len(found)
    assert {pair for pair, _, _ in found} == {subject.pair}
    samples = {
        ("sample", c, n): uri for c, own in subject.samples.items() for n, uri in enumerate(own)
    }
    patches, sheets = {}, {}
    for row in best.rows[best.rows["n_active"] > 0].to_dict("records"):
        box = tuple(row[edge] for edge in ("x0", "y0", "x1", "y1"))
        at = best.images[row["image_id"]][0], box
        if row["feature"] in set(subject.chosen.drawn):
            patches["patch", row["feature"], row["rank"]] = at
        if row["rank"] == 1:
            sheets["sheet", row["feature"]] = at
    assert set(by_key) == set(samples) | set(patches) | set(sheets)
    for key, uri in samples.items():
        assert by_key[key] == (uri, Square(key, None, SIZE.sample))
    for side, own in ((SIZE.patch, patches), (SIZE.tile, sheets)):
        for key, (uri, box) in own.items():
            assert by_key[key] == (uri, Square(key, box, side))


def test_samples_are_left_to_their_pair(subject: Subject, best: BestImages) -> None:
    """And without sheets, only what units with pages show is cut."""
    other = replace(subject, sampled_by=Pair("other", "fruit"), with_sheets=False)
    kinds = {cut.key[0] for *_, cut in pictures.cuts(other, best, SIZE)}
    assert kinds == {"patch"}


def test_pairs_with_one_corpus_cut_its_patches_once(
    fruit: Study, subject: Subject, best: BestImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the second pair draws beside the first is cut, too."""
    first, *rest = subject.chosen.drawn
    drawn = [replace(subject.chosen, drawn=own) for own in ([first, rest[0]], [first, rest[1]])]
    other = replace(subject, pair=Pair("tiny", "other"), corpus=subject.pair)
    shown = [(replace(s, chosen=c), best) for s, c in zip((subject, other), drawn, strict=True)]
    asked: dict[Pair, list[tuple[OfImage[Square], ...]]] = {}
    monkeypatch.setattr(pictures, "fold", lambda _, __, jobs, *___, **____: asked.update(jobs))
    pictures.cut(fruit.context, shown, SIZE)
    assert set(asked) == {subject.pair}
    keys = [cut.key for jobs in asked[subject.pair] for job in jobs for cut in job.wanted]
    assert len(keys) == len(set(keys))
    assert {key[1] for key in keys if key[0] == "patch"} == {first, *rest[:2]}


def test_dead_units_have_no_patches(subject: Subject, best: BestImages) -> None:
    dead = subject.chosen.drawn[0]
    rows = best.rows.assign(n_active=best.rows["n_active"].mask(best.rows["feature"] == dead, 0))
    keys = [c.key for *_, c in pictures.cuts(subject, replace(best, rows=rows), SIZE)]
    assert {key[1] for key in keys if key[0] == "patch"} == set(subject.chosen.drawn) - {dead}
    assert ("sheet", dead) not in keys


def test_images_that_are_indexed_no_more_are_left_out(subject: Subject, best: BestImages) -> None:
    gone = next(iter(best.images))
    fewer = {key: value for key, value in best.images.items() if key != gone}
    cut = list(pictures.cuts(subject, replace(best, images=fewer), SIZE))
    lost = len(list(pictures.cuts(subject, best, SIZE))) - len(cut)
    drawn = best.rows["feature"].isin(subject.chosen.drawn)
    own = best.rows["image_id"] == gone
    assert lost == (own & drawn).sum() + (own & (best.rows["rank"] == 1)).sum() > 0


@pytest.mark.parametrize("n_images", [0, 1, 48, 49, 100])
def test_an_image_belongs_to_one_task(n_images: int) -> None:
    cuts = [(f"{n % n_images:03d}", Square(n, None, 8)) for n in range(3 * n_images)]
    tasks = pictures.tasks(cuts)
    assert all(0 < len(jobs) <= 48 for jobs in tasks)
    jobs = [job for jobs in tasks for job in jobs]
    assert [job.uri for job in jobs] == sorted({uri for uri, _ in cuts})
    assert sorted(cut.key for job in jobs for cut in job.wanted) == list(range(3 * n_images))
    assert all(uri == job.uri for job in jobs for uri, cut in cuts if cut in job.wanted)
