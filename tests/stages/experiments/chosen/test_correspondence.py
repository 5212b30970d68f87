"""Correspondence against loops over torchvision's network, and boxes by hand."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from kdsspark.errors import ConfigError, DatasetError
from kdsspark.pipeline.study import Study
from kdsspark.stages.experiments.chosen import correspondence
from kdsspark.stages.experiments.chosen.correspondence import in_crop, moved
from kdsspark.tables import CORRESPONDENCE
from tests.stages.experiments import studies
from tests.stages.experiments.chosen import seen

# Images are 48 pixels high and 40 or a few more wide; their crops lose 4 to 7 pixels a side.
PARTS = [
    ("a/000.png", "eye", 10, 12, 20, 22),
    ("a/001.png", "eye", 14, 10, 25, 22),
    ("b/000.png", "eye", 10, 15, 19, 25),
    ("a/000.png", "nose", 20, 25, 30, 35),
    ("b/000.png", "nose", 21, 24, 33.5, 37),
    ("c/000.png", "nose", 0, 0, 2, 2),  # off the crop
]
HEAD = "image,part,x0,y0,x1,y1\n"


def csv(folder: Path, rows: list[tuple[object, ...]], head: str = HEAD) -> str:
    path = folder / f"parts{time.monotonic_ns()}.csv"
    path.write_text(head + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def done(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    file = csv(tmp_path_factory.mktemp("parts"), PARTS)
    made = seen.with_settings(study, parts={"birds": file})
    made.do("experiment correspondence")
    return made


def signs_by_layer(done: Study, part: str) -> dict[str, list[np.ndarray]]:
    """Layer -> the signs of the change of each image, by torchvision."""
    model = seen.plain(done)
    found: dict[str, list[np.ndarray]] = {layer: [] for layer in seen.LAYERS}
    for uri in seen.index(done)["uri"].to_pylist():
        boxes = [row[2:] for row in PARTS if uri.endswith(str(row[0])) and row[1] == part]
        if not boxes or uri.endswith("c/000.png"):
            continue
        resized = seen.resized(uri)
        hidden = np.zeros(resized.shape[:2], bool)
        x0, y0, x1, y1 = boxes[0]
        step_y, step_x = resized.shape[0] / 48, resized.shape[1] / (40 + int(uri[-7:-4]) % 9)
        for y, x in np.ndindex(hidden.shape):
            inside = x0 * step_x < x + 1 and x < x1 * step_x
            hidden[y, x] = inside and y0 * step_y < y + 1 and y < y1 * step_y
        covered = np.where(hidden[..., None], np.array(seen.grey(), np.uint8), resized)
        top, left = (round((side - seen.CROP) / 2) for side in resized.shape[:2])
        window = np.s_[top : top + seen.CROP, left : left + seen.CROP]
        as_is, without = model(resized[window]), model(covered[window])
        for layer in seen.LAYERS:
            found[layer].append(np.sign(as_is[layer] - without[layer]))
    return found


@pytest.mark.parametrize(("part", "n", "skipped"), [("eye", 3, 1), ("nose", 2, 2)])
def test_shares_are_those_of_a_plain_loop(done: Study, part: str, n: int, skipped: int) -> None:
    rows = studies.table(done, CORRESPONDENCE).set_index(["part", "layer", "random"])
    for layer, signs in signs_by_layer(done, part).items():
        assert len(signs) == n
        row = rows.loc[(part, layer, False)]
        shares = [(one != other).mean() for one, other in combinations(signs, 2)]
        assert row["mean"] == pytest.approx(np.mean(shares), abs=2e-4)  # changes of rounding
        assert row["deviation"] == pytest.approx(np.std(shares), abs=2e-4)
        sums = sum((signs[i] != signs[j]).sum() for i in range(n) for j in range(n) if i != j)
        assert row["delta"] == pytest.approx(sums / signs[0].size, abs=2e-3)
        assert (row["n_images"], row["n_skipped"], row["draws"]) == (n, skipped, 1)
        assert row["n_values"] == signs[0].size


def test_random_boxes_are_drawn_ten_times(done: Study) -> None:
    rows = studies.table(done, CORRESPONDENCE)
    assert len(rows) == 2 * 2 * len(seen.LAYERS)
    random = rows[rows["random"]]
    assert (random["draws"] == 10).all()
    assert random["mean"].between(0, 1, inclusive="neither").all()
    low = random[random["layer"] == "conv1"]
    assert (low["mean"] < 0.5).all()  # a small box reaches few values of the first layer


def test_the_same_twice_has_no_difference(study: Study, tmp_path: Path) -> None:
    """Two images of equal pixels, hidden at the same place, change alike in every value."""
    import shutil

    twin = tmp_path / "birds" / "a"
    twin.mkdir(parents=True)
    source = Path(seen.index(study)["uri"].to_pylist()[0])
    for name in ("one.png", "two.png"):
        shutil.copy(source, twin / name)
    file = csv(tmp_path, [("one.png", "eye", 10, 12, 20, 22), ("two.png", "eye", 10, 12, 20, 22)])
    made = seen.with_settings(seen.make(tmp_path, "index embed"), parts={"birds": file})
    made.do("experiment correspondence")
    rows = studies.table(made, CORRESPONDENCE)
    own = rows[~rows["random"]]
    assert (own[["mean", "deviation", "delta"]] == 0).all(None)
    assert (rows.loc[rows["random"], "mean"] > 0).all()


def test_again_does_nothing_and_a_changed_box_does_its_part_alone(
    done: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts_now: list[str] = []
    task = correspondence.correspondence_of_part

    def counted(item: correspondence.CorrespondenceItem) -> object:
        parts_now.append(item.part)
        return task(item)

    monkeypatch.setattr(correspondence, "correspondence_of_part", counted)
    done.do("experiment correspondence")
    assert parts_now == []
    changed = [*PARTS[:4], ("b/000.png", "nose", 20, 20, 30, 30), PARTS[5]]
    other = seen.with_settings(done, parts={"birds": csv(tmp_path, changed)})
    other.do("experiment correspondence")
    assert parts_now == ["nose"]
    fewer = seen.with_settings(done, parts={"birds": csv(tmp_path, PARTS[:3])})
    fewer.do("experiment correspondence")  # the nose is gone, and so is the image that had it alone
    assert set(studies.table(fewer, CORRESPONDENCE)["part"]) == {"eye"}
    assert set(studies.table(fewer, CORRESPONDENCE)["n_skipped"]) == {0}
    done.do("experiment correspondence")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("x.png", "eye", 1, 1, 2, 2)], r", line 2: image of dataset birds must be the id .* 'x"),
        ([("000.png", "eye", 1, 1, 2, 2)], r", line 2: .*got '000\.png': 3 images end so"),
        ([("", "eye", 1, 1, 2, 2)], r", line 2: .*got '': no embedded image ends so"),
    ],
)
def test_images_that_are_not_of_the_dataset_are_refused(
    done: Study, tmp_path: Path, rows: list[tuple[object, ...]], message: str
) -> None:
    before = studies.table(done, CORRESPONDENCE)
    wrong = seen.with_settings(done, parts={"birds": csv(tmp_path, rows)})
    with pytest.raises(DatasetError, match=message):
        wrong.do("experiment correspondence")
    assert studies.table(done, CORRESPONDENCE).equals(before)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            [("a/000.png", "ear", 1, 1, 9, 9)],
            "dataset birds: part 'ear' must lie in the crops of two or more images, got 1",
        ),
        (
            [("a/000.png", "ear", 0, 0, 1, 1), ("a/001.png", "ear", 9, 9, 19, 19)],
            "dataset birds: part 'ear' must lie in the crops of two or more images, got 1",
        ),
        (
            [("a/000.png", "ear", 1, 1, 9, 9), ("a/001.png", "ear", 9, 9, 42, 20)],
            "the box must lie in the image of 41 x 48 pixels, got x1 = 42, y1 = 20",
        ),
        (
            [("a/000.png", "ear", 1, 1, 9, 48.5), ("a/001.png", "ear", 9, 9, 19, 19)],
            "the box must lie in the image of 40 x 48 pixels, got x1 = 9, y1 = 48.5",
        ),
    ],
)
def test_a_part_that_cannot_be_compared_is_one_line_and_the_others_are_done(
    done: Study, tmp_path: Path, more: list[tuple[object, ...]], message: str
) -> None:
    wrong = seen.with_settings(done, parts={"birds": csv(tmp_path, [*PARTS[:3], *more])})
    with pytest.raises(DatasetError, match=message) as caught:
        wrong.do("experiment correspondence")
    assert "\n" not in str(caught.value)
    assert set(studies.table(done, CORRESPONDENCE)["part"]) == {"eye"}
    done.do("experiment correspondence")


@pytest.mark.usefixtures("folder")
def test_more_than_memory_has_room_for_is_one_line(done: Study) -> None:
    item, *_ = correspondence.plan(done.output, done.config, seen.PAIR).items
    assert isinstance(item, correspondence.CorrespondenceItem)
    with pytest.raises(DatasetError, match=r"'eye' in 3 images needs measure.memory of \d+ bytes"):
        correspondence.correspondence_of_part(replace(item, memory=1000))


def test_without_parts_there_is_nothing_to_do(study: Study) -> None:
    with pytest.raises(ConfigError, match=r"experiments.parts: must have a CSV of parts"):
        study.do("experiment correspondence")


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10, 20, 30, 40), (10, 20, 30, 40)),  # 100 x 200 stored, 50 x 100 resized, crop at 0, 0
        ((10.5, 20.2, 30.1, 40), (10, 20, 31, 40)),
        ((0, 0, 100, 200), (0, 0, 40, 40)),
        ((0, 90, 10, 100), None),
        ((90, 0, 100, 10), None),
    ],
)
def test_boxes_in_the_crop(box: tuple[float, ...], expected: tuple[int, ...] | None) -> None:
    doubled = tuple(2 * edge for edge in box)
    assert in_crop(box, (50, 100), (50, 100), (0, 0), 40) == expected  # type: ignore[arg-type]
    assert in_crop(doubled, (100, 200), (50, 100), (0, 0), 40) == expected  # type: ignore[arg-type]
    shifted = tuple(edge + offset for edge, offset in zip(box, (5, 30, 5, 30), strict=True))
    assert in_crop(shifted, (50, 100), (50, 100), (30, 5), 40) == expected  # type: ignore[arg-type]


def test_random_boxes_keep_their_size_and_reach_every_place() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([moved((1, 2, 4, 7), 9, rng) for _ in range(2000)])
    assert set(drawn[:, 2] - drawn[:, 0]) == {3}
    assert set(drawn[:, 3] - drawn[:, 1]) == {5}
    assert set(drawn[:, 0]) == set(range(7))
    assert set(drawn[:, 1]) == set(range(5))
