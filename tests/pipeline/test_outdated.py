"""What a run cannot renew leaves the tables; what it renews leaves nothing of earlier settings."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest

from kdsspark.config import Config
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.pipeline.status import status
from kdsspark.tables import TABLES
from tests.marks import left_out
from tests.pipeline.whole import STAGES, Whole, assert_same, tables

_numbers = itertools.count()


# -- images that all fail ------------------------------------------------------------------------


@pytest.fixture
def copied(whole: Whole) -> Config:
    """All that is configured, with a finished output of its own."""
    output = f"copy-{next(_numbers)}"
    whole.copy("finished", output)
    return whole.config(output)


@contextmanager
def broken(whole: Whole) -> Iterator[None]:
    """All images of ``two`` are unreadable in the block, and are as they were after it."""
    paths = list((whole.folder / "two").rglob("*.png"))
    good = [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    for path in paths:
        path.write_bytes(b"broken")
    yield
    for path, data, time in good:
        path.write_bytes(data)
        os.utime(path, ns=(time, time))


def rows_of(output: Output, dataset: str) -> dict[str, int]:
    """Table -> rows of a dataset, where there are any."""
    found = {}
    for table in TABLES.values():
        rows = parquet.read(output, table)
        if "dataset" in rows.column_names:
            found[table.name] = rows["dataset"].to_pylist().count(dataset)
    return {table: n for table, n in found.items() if n}


def test_where_all_images_fail_nothing_of_an_earlier_run_is_left(
    whole: Whole, copied: Config
) -> None:
    output = Output.at(copied.output)
    before = {dataset: rows_of(output, dataset) for dataset in ("one", "two", "mine")}
    assert len(before["two"]) > 15
    with broken(whole):
        whole.run(copied, "index embed")
        assert rows_of(output, "two") == {"images": 7, "failures": 7}
        whole.run(copied, STAGES)
    assert rows_of(output, "two") == {"images": 7, "failures": 7}
    assert {dataset: rows_of(output, dataset) for dataset in ("one", "mine")} == {
        "one": before["one"] | {"duplicates": 2},
        "mine": before["mine"],
    }
    # Nothing beside the tables either, and no receipt that would vouch for it.
    folders = {p.split("/")[0] for p in output.all_files("") if "dataset=two" in p.split("/")}
    assert folders == {"images", "failures", "duplicates"}
    assert {p.split("/")[1] for p in output.files("_receipts") if "/two" in p} == {
        "embed",
        "embedded",
    }
    states = {s.stage: s.state for s in status(copied).stages if s.dataset == "two"}
    assert states == {"index": "done", "embed": "done"}


def test_images_that_work_again_are_measured_again(whole: Whole, copied: Config) -> None:
    before = tables(Output.at(copied.output))
    with broken(whole):
        whole.run(copied, STAGES)
    assert_same(tables(whole.run(copied, STAGES)), before)


# -- other settings ------------------------------------------------------------------------------


def kept_files(output: Output) -> list[str]:
    """All files but the plans of shards, which a run with nothing to embed removes."""
    return [path for path in output.all_files("") if not path.startswith("_plans/")]


@pytest.fixture(scope="module")
def fresh(whole: Whole) -> Callable[[str], str]:
    """(sections as JSON) -> the name of an output that had no other, which is made once."""

    @cache
    def made(sections: str) -> str:
        name = f"fresh-{next(_numbers)}"
        whole.run(whole.config(name, "mine", **json.loads(sections)), STAGES)
        return name

    return made


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ({"measure": {"distances": ["auc", "wasserstein"]}}, {}),
        left_out({"measure": {"distances": ["auc"]}}, {"measure": {"distances": ["wasserstein"]}}),
        ({}, {"measure": {"histograms": False}}),
        left_out({}, {"measure": {"exact": False}}),
        left_out({}, {"measure": {"keep_shuffled": False}}),
        ({"measure": {"shuffles": 3}}, {"measure": {"bins": 7}}),
        left_out({"measure": {"memory": "16KiB"}}, {}),
        ({"transform": {"t_plus": 0.9, "t_minus": -0.9}}, {}),
        left_out({"probe": {"test": 0.5}}, {}),
    ],
)
def test_other_settings_leave_nothing_of_the_former(
    whole: Whole, fresh: Callable[[str], str], former: dict[str, Any], now: dict[str, Any]
) -> None:
    """Tables and files are those of an output that never had the former settings."""
    name = f"again-{next(_numbers)}"
    whole.copy(fresh(json.dumps(former)), name)
    again = whole.run(whole.config(name, "mine", **now), STAGES)
    never = Output.at(whole.config(fresh(json.dumps(now))).output)
    assert_same(tables(again), tables(never))
    assert kept_files(again) == kept_files(never)
