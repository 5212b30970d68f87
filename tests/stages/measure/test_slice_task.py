"""One slice, measured without Spark, against the few-line reference, on awkward data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdsspark.output import parquet
from kdsspark.stages.measure import plan, slice_task, summaries
from kdsspark.stages.measure.slice_task import blocks, measure_slice
from kdsspark.stats.shuffles import shuffled_labels
from kdsspark.tables import HISTOGRAMS, KS, RANGES
from tests import reference
from tests.stages.embedded import PAIR, Embedded, awkward, embed, image_keys
from tests.stages.measure.jobs import by_columns, frame, layer_slice, measure_job, measured_slice

LAYERS, CLASSES, SHUFFLES, SEED = awkward(30), 4, 3, 5
LABELS = np.random.default_rng(2).permutation(np.repeat(range(CLASSES), [14, 9, 1, 6]))
SETTINGS: dict[str, Any] = {"bins": 10, "shuffles": SHUFFLES, "seed": SEED}


@pytest.fixture
def data(tmp_path: Path) -> Embedded:
    return embed(tmp_path, LAYERS, LABELS.tolist(), [11, 19])


@cache
def expected(layer: str, bins: int) -> dict[tuple[int, int, int], dict[str, Any]]:
    """(unit, class, shuffle) -> the columns of ``ks``, and ``counts``."""
    keys, true = image_keys(len(LABELS)), LABELS.astype(np.int32)
    labelings = [shuffled_labels(keys, true, SEED, shuffle) for shuffle in range(1 + SHUFFLES)]
    return reference.distances(LAYERS[layer], labelings, CLASSES, bins)


# Settings, labelings in hand at once, units whose histograms are made at a time.
CASES: dict[str, tuple[dict[str, Any], int, int]] = {
    "at once": ({}, 9, 99),
    "one labeling and one unit at a time": ({}, 1, 1),
    "three labelings and two units at a time": ({}, 3, 2),
    "no exact distances": ({"exact": False}, 2, 4),
    "no distances of shuffles": ({"keep_shuffled": False}, 2, 4),
    "neither": ({"keep_shuffled": False, "exact": False}, 9, 99),
    "codes of two bytes": ({"bins": 300}, 9, 4),
}


@pytest.fixture(params=CASES)
def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    chosen, labelings, units = CASES[request.param]
    monkeypatch.setattr(plan, "labelings_at_once", lambda _: labelings)
    monkeypatch.setattr(plan, "units_of_a_block", lambda _: units)
    monkeypatch.setattr(slice_task, "ROWS_OF_A_GROUP", 30)
    return SETTINGS | chosen


@pytest.mark.parametrize(("layer", "start", "stop"), [("relu", 0, 9), ("double", 1, 2)])
def test_a_slice_is_what_the_reference_says(
    data: Embedded, settings: dict[str, Any], layer: str, start: int, stop: int
) -> None:
    job = measure_job(data, **settings)
    outcome = measure_slice(measured_slice(data, job, layer, start, stop))
    assert outcome.counts == {"images": 30, "features": stop - start}
    wanted = expected(layer, settings["bins"])
    kept = range(1 + SHUFFLES if settings.get("keep_shuffled", True) else 1)
    rows = frame(data.output, KS).set_index(["unit", "class_id", "shuffle"])
    pairs = [(start + unit, class_id) for unit, class_id in np.ndindex(stop - start, CLASSES)]
    assert set(rows.index) == {(*pair, shuffle) for pair in pairs for shuffle in kept}
    assert len(rows) == len(pairs) * len(kept)
    for key, row in rows.iterrows():
        for name in ("n_inner", "n_outer", "bin"):
            assert row[name] == wanted[key][name], (key, name)
        exact = wanted[key]["ks_exact"] if settings.get("exact", True) else None
        for name, value in (("ks", wanted[key]["ks"]), ("ks_exact", exact)):
            value = np.nan if value is None else value
            assert row[name] == pytest.approx(value, rel=0, abs=1e-15, nan_ok=True), (key, name)
        for name in reference.COMPARED:
            value = wanted[key][name] if settings.get("exact", True) and key[2] == 0 else None
            value = np.nan if value is None else value
            assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), (key, name)
    histograms = frame(data.output, HISTOGRAMS).set_index(["unit", "class_id"])
    assert sorted(histograms.index) == pairs
    for pair, row in histograms.iterrows():
        assert row["counts"].tolist() == wanted[(*pair, 0)]["counts"]
    finite = np.isfinite(LAYERS[layer][:, start:stop])
    ranges = frame(data.output, RANGES).sort_values("unit")
    assert ranges["n"].tolist() == finite.sum(0).tolist()
    assert ranges["n_nonfinite"].tolist() == (~finite).sum(0).tolist()


def test_summaries_count_the_distances_of_every_labeling(
    data: Embedded, settings: dict[str, Any]
) -> None:
    item = measured_slice(data, measure_job(data, **settings), "relu", 0, 9)
    measure_slice(item)
    found = dict(summaries.read(data.output, PAIR, item.name.part))
    assert sorted(found) == list(range(1 + SHUFFLES))
    for shuffle, summary in found.items():
        rows = expected("relu", settings["bins"]).items()
        ks = [row["ks"] for (_, _, s), row in rows if s == shuffle and row["ks"] is not None]
        distances, grid = np.array(ks), np.arange(1001)[:, None] / 1000
        assert summary.tally.n_pairs == len(ks)
        assert summary.tally.plus.tolist() == (distances > grid).sum(1).tolist()
        assert summary.tally.minus.tolist() == (-distances > grid).sum(1).tolist()


def test_rows_and_scratch_files_give_the_same_tables(data: Embedded) -> None:
    job = measure_job(data, **SETTINGS)
    first, second = job.pieces
    found = []
    for one in (job, by_columns(data, job, (second,), (first,))):  # images in another order
        item = measured_slice(data, one, "double", 0, 2)
        measure_slice(item)
        paths = [KS.part(item.name.part, *PAIR, labels) for labels in ("true", "shuffled")]
        found.append([parquet.read_file(data.output, path) for path in paths])
        data.output.remove("ks")
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("units", "cut"), [(1, [(i, i + 1) for i in range(6)]), (4, [(0, 4), (4, 6)]), (9, [(0, 6)])]
)
def test_blocks_cover_a_slice_once(
    data: Embedded, monkeypatch: pytest.MonkeyPatch, units: int, cut: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(plan, "units_of_a_block", lambda _: units)
    assert list(blocks(measure_job(data).shape, layer_slice(data, "relu", 3, 9))) == cut
