"""The stage ``exemplars``: against a plain loop over torchvision, and what later runs do again.

All without Spark.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdsspark.config import Config
from kdsspark.engine.stage import Standing
from kdsspark.errors import DatasetError
from kdsspark.images.loading import Pixels
from kdsspark.network.activations import inspect
from kdsspark.network.architectures import skeleton
from kdsspark.network.extractor import Extractor
from kdsspark.network.receptive_fields import receptive_fields
from kdsspark.output import parquet
from kdsspark.output.names import BEST, Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXEMPLARS
from kdsspark.stages.exemplars import stage
from kdsspark.stages.exemplars.shard_task import FindExemplars, LookThrough
from kdsspark.tables import EXEMPLARS as TABLE
from tests.stages.exemplars import plain
from tests.studies import NETWORK, image_config, run, write_embeddings, write_images

pytestmark = pytest.mark.usefixtures("without_spark")
ALL = "index embed exemplars"
PAIR = Pair("tiny", "set")
N_SHARDS = 4  # of 14 images and one that is none, as small datasets are cut


@pytest.fixture(scope="module")
def fields() -> plain.Fields:
    """The receptive fields of the layers, which have tests of their own."""
    model = skeleton("squeezenet1_1", plain.CROP)
    layers = inspect(model, NETWORK["layers"], "post_relu", plain.CROP)
    return receptive_fields(model, layers, "post_relu", plain.CROP)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fourteen images, two of which have the same bytes, and one that is none."""
    images = tmp_path / "set"
    write_images(images, {"a": 7, "b": 6})
    shutil.copy(images / "a" / "000.png", images / "b" / "copy.png")
    (images / "a" / "broken.png").write_bytes(b"no image")
    return images


def config_of(folder: Path, out: str = "out", **sections: Any) -> Config:
    return image_config(folder.parent / out, {"set": folder}, **sections)


def rows_of(output: Output, pair: Pair = PAIR) -> list[plain.Row]:
    """The table, unit by unit."""
    found = parquet.read(output, TABLE, *pair).drop(["network", "dataset"])
    order = {name: depth for depth, name in enumerate(["conv1", "fire4", "l", "m"])}
    rows: list[plain.Row] = found.to_pylist()
    return sorted(rows, key=lambda row: (order[row["layer"]], row["unit"], row["rank"]))


def check(found: list[plain.Row], expected: list[plain.Row]) -> None:
    """All is equal but the last bits of the activations."""
    values = [[row.pop("activation") for row in rows] for rows in (found, expected)]
    assert found == expected
    np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-6)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images went through the network for exemplars, call by call."""
    numbers: list[int] = []
    forward = Extractor.__call__

    def counted(self: Extractor, images: list[Pixels]) -> Mapping[str, Any]:
        if self.spec.pooling == "peak":
            numbers.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Extractor, "__call__", counted)
    return numbers


# -- against a plain loop ------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"crops": "ten"}, {"top": 3}, {"top": 20}])
def test_the_table_is_that_of_a_plain_loop(
    folder: Path, fields: plain.Fields, settings: dict[str, Any]
) -> None:
    output = run(config_of(folder, exemplars=settings), ALL).output
    assert len(output.files(BEST)) == N_SHARDS
    expected = plain.exemplars(folder, "set", fields, **settings)
    assert len(expected) == (64 + 256) * min(13, settings.get("top", 9))
    assert {row["n"] for row in expected} == {14}
    check(rows_of(output), expected)


def test_other_shards_give_the_same(folder: Path, fields: plain.Fields) -> None:
    settings = {"shard_images": 1, "batch_images": 1, "max_failures": 1.0}
    output = run(config_of(folder, embed=settings), ALL).output
    assert len(output.files(BEST)) == 14
    one_each = rows_of(output)
    assert one_each == rows_of(run(config_of(folder, "other"), ALL).output)
    check(one_each, plain.exemplars(folder, "set", fields))


def test_fewer_images_than_ranks(tmp_path: Path, fields: plain.Fields) -> None:
    write_images(tmp_path / "set", {"a": 2, "b": 1})
    output = run(config_of(tmp_path / "set"), ALL).output
    assert {row["rank"] for row in rows_of(output)} == {1, 2, 3}
    check(rows_of(output), plain.exemplars(tmp_path / "set", "set", fields))


@pytest.mark.parametrize("broken", [False, True])
def test_what_can_no_longer_be_read_is_left_out_and_counted(
    folder: Path, fields: plain.Fields, broken: bool
) -> None:
    output = run(config_of(folder), "index embed").output
    for name in ("a/001.png", "b/002.png"):
        (folder / name).write_bytes(b"no image") if broken else (folder / name).unlink()
    run(config_of(folder), "exemplars")
    check(rows_of(output), plain.exemplars(folder, "set", fields))
    counts = [receipt.counts for receipt in EXEMPLARS.receipts(output).of(PAIR).values()]
    assert (sum(c["images"] for c in counts), sum(c["failed"] for c in counts)) == (12, 2)


def test_no_image_can_be_read_any_longer(folder: Path) -> None:
    output = run(config_of(folder), "index embed").output
    shutil.rmtree(folder)
    run(config_of(folder), "exemplars")
    assert rows_of(output) == []
    assert stage.plan(output, config_of(folder), PAIR).finished(output)


def test_an_image_that_is_not_embedded_is_no_exemplar(folder: Path, looked_at: list[int]) -> None:
    output = run(config_of(folder), "index embed").output
    shutil.copy(folder / "a" / "001.png", folder / "a" / "broken.png")
    run(config_of(folder), "exemplars")
    assert sum(looked_at) == 14
    assert {row["n"] for row in rows_of(output)} == {14}


# -- ready-made embeddings -----------------------------------------------------------------------


def ready_made(folder: Path) -> tuple[Config, dict[str, np.ndarray[Any, Any]]]:
    """Two files with ties, undefined values, and values that differ in float64 alone."""
    rng = np.random.default_rng(0)
    values = {"l": rng.integers(-3, 3, (150, 4)).astype(np.float32), "m": rng.random((150, 2))}
    values["l"][rng.random((150, 4)) < 0.1] = np.nan
    values["l"][:, 3] = np.where(np.arange(150) < 145, np.inf, -1)
    values["m"][:, 1] = 1 + np.arange(150) * 1e-12
    for file, rows in (("one", slice(0, 100)), ("two", slice(100, 150))):
        ids = [f"{(37 * i) % 150:03d}" for i in range(150)]
        some = {name: layer[rows] for name, layer in values.items()}
        write_embeddings(
            folder / "mine" / f"{file}.parquet", some, (["x", "y"] * 75)[rows], ids[rows]
        )
    datasets = [{"name": "mine", "embeddings": str(folder / "mine")}]
    return image_config(folder / "out", {}, networks=[], datasets=datasets), values


def test_ready_made_embeddings_are_ranked_by_value(tmp_path: Path) -> None:
    config, values = ready_made(tmp_path)
    pair = Pair("given", "mine")
    output = run(config, ALL).output
    embedded = parquet.read(output, stage.EMBED.tables[1], *pair).to_pylist()
    ids = np.array([row["image_id"] for row in embedded])
    expected = []
    for name in ("l", "m"):
        layer = np.array([row[name] for row in embedded])
        assert np.array_equal(np.sort(layer, 0), np.sort(values[name], 0), equal_nan=True)
        for unit, column in enumerate(layer.T):
            good = np.flatnonzero(np.isfinite(column))
            best = good[np.lexsort((ids[good], -column[good]))][:9]
            expected += [
                {
                    **{"layer": name, "unit": unit, "rank": rank, "image_id": ids[i]},
                    "activation": column[i],
                    **dict.fromkeys(("y", "x", "view", "x0", "y0", "x1", "y1")),
                    **{"n_active": (column > 0).sum(), "n": 150},
                }
                for rank, i in enumerate(best, 1)
            ]
    assert rows_of(output, pair) == expected
    assert [row["rank"] for row in expected if (row["layer"], row["unit"]) == ("l", 3)][-1] < 9


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
        ({"dataset": "mine"}, {A: A, B: B, MINE: MINE}),  # no images go through its network
        (False, {A: None, B: None, MINE: None}),
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
            left = [path for path in Path(output.path()).rglob("*xemplars*/**") if path.is_dir()]
            assert not [path for path in left if f"dataset={pair.dataset}" in path.parts]
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
    fresh = run(config_of(folder, "fresh"), ALL).output
    assert rows_of(output) == rows_of(fresh)
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
