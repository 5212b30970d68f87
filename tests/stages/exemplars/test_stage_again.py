"""What later runs of the stage ``exemplars`` do again, for which datasets; without Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdsspark.config import Config
from kdsspark.engine.stage import Standing
from kdsspark.errors import DatasetError
from kdsspark.output.names import BEST, Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXEMPLARS
from kdsspark.stages.exemplars import stage
from kdsspark.stages.exemplars.shard_task import FindExemplars, LookThrough
from tests.marks import left_out
from tests.stages.exemplars.small import ALL, N_SHARDS, PAIR, config_of, ready_made, rows_of
from tests.studies import image_config, run, write_images

pytestmark = pytest.mark.usefixtures("without_spark")

# -- which datasets ------------------------------------------------------------------------------


def several(folder: Path, exemplars: Any) -> Config:
    """Two datasets of images and one of ready-made embeddings."""
    config, _ = ready_made(folder)
    write_images(folder / "a", {"x": 3, "y": 2})
    write_images(folder / "b", {"x": 4}, seed=1)
    datasets = [{"name": name, "path": str(folder / name)} for name in "ab"]
    datasets += [{"name": "mine", "embeddings": config.embeddings_datasets[0].embeddings}]
    return image_config(folder / "out", {}, datasets=datasets, exemplars=exemplars)


A, B, MINE = Pair("tiny", "a"), Pair("tiny", "b"), Pair("given", "mine")


@pytest.mark.parametrize(
    ("exemplars", "corpora"),
    [
        ({}, {A: A, B: B, MINE: MINE}),
        ({"dataset": "a"}, {A: A, B: A, MINE: MINE}),
        left_out({"dataset": "mine"}, {A: A, B: B, MINE: MINE}),  # no images go through its network
        left_out(False, {A: None, B: None, MINE: None}),
    ],
)
def test_the_reference_corpus(
    tmp_path: Path, exemplars: Any, corpora: dict[Pair, Pair | None]
) -> None:
    run(several(tmp_path, {}), ALL)
    before = {pair: rows_of(Output.at(str(tmp_path / "out")), pair) for pair in corpora}
    assert all(before.values())
    config = several(tmp_path, exemplars)
    output = run(config, "exemplars").output
    assert {pair: stage.corpus_of(config, pair) for pair in corpora} == corpora
    for pair in corpora:
        wanted = pair in corpora.values()
        assert EXEMPLARS.wanted(config, pair) == wanted
        assert rows_of(output, pair) == (before[pair] if wanted else [])
        if not wanted:  # nothing is left, not even an empty folder
            for folder in ("exemplars", BEST):
                assert not list(Path(output.path(folder)).rglob(f"dataset={pair.dataset}"))
            assert not EXEMPLARS.receipts(output).of(pair)


def test_what_was_taken_out_is_made_again(tmp_path: Path) -> None:
    output = run(several(tmp_path, {}), ALL).output
    before = rows_of(output, B)
    run(several(tmp_path, False), "exemplars")
    run(several(tmp_path, {}), "exemplars")
    assert rows_of(output, B) == before


# -- again ---------------------------------------------------------------------------------------


def test_nothing_is_done_twice(folder: Path, looked_at: list[int]) -> None:
    output = run(config_of(folder), ALL).output
    assert sum(looked_at) == 14
    times = {p: Path(output.path(p)).stat().st_mtime_ns for p in output.all_files("exemplars")}
    run(config_of(folder), ALL)
    assert sum(looked_at) == 14
    assert times == {p: Path(output.path(p)).stat().st_mtime_ns for p in times}


def test_new_images_are_looked_at_with_the_shards_they_change(
    folder: Path, looked_at: list[int]
) -> None:
    output = run(config_of(folder), ALL).output
    before = EXEMPLARS.receipts(output).all()
    looked_at.clear()
    write_images(folder, {"a": 8, "c": 1})
    (folder / "b" / "001.png").unlink()
    run(config_of(folder), ALL)
    after = EXEMPLARS.receipts(output).all()
    changed = [r for name, r in after.items() if before.get(name) != r]
    assert 0 < sum(looked_at) == sum(r.counts["images"] for r in changed) < 15
    anew = run(config_of(folder, "anew"), ALL).output
    assert rows_of(output) == rows_of(anew)
    assert {row["n"] for row in rows_of(output)} == {15}


@pytest.mark.parametrize("settings", [{"top": 2}, {"crops": "ten"}])
def test_other_settings_look_again(
    folder: Path, looked_at: list[int], settings: dict[str, Any]
) -> None:
    output = run(config_of(folder), ALL).output
    looked_at.clear()
    run(config_of(folder, exemplars=settings), "exemplars")
    assert sum(looked_at) == 14
    assert rows_of(output) == rows_of(
        run(config_of(folder, "fresh", exemplars=settings), ALL).output
    )


def test_what_is_not_embedded_is_refused(folder: Path) -> None:
    run(config_of(folder), "index embed")
    write_images(folder, {"a": 8})
    with pytest.raises(DatasetError) as caught:
        run(config_of(folder), "index exemplars")
    assert str(caught.value) == "dataset set: is not embedded by tiny, run the embed stage first"


class Killed(BaseException):
    """What ends a process."""


def test_a_killed_run_is_continued(
    folder: Path, looked_at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(folder)
    output = run(config, "index embed").output
    names: list[str] = []
    find = FindExemplars.__call__

    def killed_at_the_third(self: FindExemplars, item: LookThrough) -> Any:
        names.append(item.name)
        if len(names) == 3:
            raise Killed
        return find(self, item)

    with monkeypatch.context() as patch:
        patch.setattr(FindExemplars, "__call__", killed_at_the_third)
        with pytest.raises(Killed):
            run(config, "exemplars")
    done = sum(looked_at)
    assert stage.plan(output, config, PAIR).standing(output) == Standing(stale=2, missing=2)
    run(config, "exemplars")
    assert (0 < done < 14, sum(looked_at)) == (True, 14)
    assert rows_of(output) == rows_of(run(config_of(folder, "fresh"), ALL).output)


def test_what_is_ranked_and_not_merged_is_merged_by_the_next_run(
    folder: Path, looked_at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(folder)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(stage, "_merge", killed)
        with pytest.raises(Killed):
            run(config, ALL)
    output = Output.at(config.output)
    assert rows_of(output) == []
    assert stage.plan(output, config, PAIR).standing(output) == Standing(stale=N_SHARDS)
    run(config, "exemplars")
    assert stage.plan(output, config, PAIR).standing(output) == Standing(done=N_SHARDS)
    assert sum(looked_at) == 14
    assert rows_of(output) == rows_of(run(config_of(folder, "fresh"), ALL).output)
