"""The stage ``exemplars`` against a plain loop over torchvision, and against numpy; no Spark."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdsspark.network.activations import inspect
from kdsspark.network.architectures import skeleton
from kdsspark.network.receptive_fields import receptive_fields
from kdsspark.output import parquet
from kdsspark.output.names import BEST, Pair
from kdsspark.stages import EXEMPLARS
from kdsspark.stages.exemplars import shard_task, stage
from kdsspark.tables import EMBEDDINGS
from tests.marks import left_out
from tests.stages.exemplars import plain
from tests.stages.exemplars.small import ALL, N_SHARDS, PAIR, config_of, ready_made, rows_of
from tests.studies import NETWORK, run, write_images

pytestmark = pytest.mark.usefixtures("without_spark")


@pytest.fixture(scope="module")
def fields() -> plain.Fields:
    """The receptive fields of the layers, which have tests of their own."""
    model = skeleton("squeezenet1_1", plain.CROP)
    layers = inspect(model, NETWORK["layers"], "post_relu", plain.CROP)
    return receptive_fields(model, layers, "post_relu", plain.CROP)


def check(found: list[plain.Row], expected: list[plain.Row]) -> None:
    """All is equal but the last bits of the activations."""
    values = [[row.pop("activation") for row in rows] for rows in (found, expected)]
    assert found == expected
    np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-6)


# -- against a plain loop ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings", [{}, {"crops": "ten"}, left_out({"top": 3}), left_out({"top": 20})]
)
def test_the_table_is_that_of_a_plain_loop(
    folder: Path, fields: plain.Fields, settings: dict[str, Any]
) -> None:
    output = run(config_of(folder, exemplars=settings), ALL).output
    assert len(output.files(BEST)) == N_SHARDS
    expected = plain.exemplars(folder, "set", fields, **settings)
    assert len(expected) == (64 + 256) * min(13, settings.get("top", 9))
    assert {row["n"] for row in expected} == {14}
    check(rows_of(output), expected)


def test_other_shards_and_steps_give_the_same(
    folder: Path, fields: plain.Fields, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"shard_images": 1, "batch_images": 1, "max_failures": 1.0}
    output = run(config_of(folder, "single", embed=settings), ALL).output
    assert len(output.files(BEST)) == 14
    one_each = rows_of(output)
    monkeypatch.setattr(shard_task, "_AT_ONCE", 3)  # of the four images that are computed together
    assert one_each == rows_of(run(config_of(folder), ALL).output)
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


def test_ready_made_embeddings_are_ranked_by_value(tmp_path: Path) -> None:
    config, values = ready_made(tmp_path)
    pair = Pair("given", "mine")
    output = run(config, ALL).output
    embedded = parquet.read(output, EMBEDDINGS, *pair).to_pylist()
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
