"""The files of a shard: which rows still hold, and how they are replaced; see test_shard_task.py
for what becomes of whole shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages.embed.shards import files as shard_files
from kdsspark.stages.embed.shards import ranges
from kdsspark.stages.embed.shards.files import (
    FAILED,
    MISSING,
    HeldRows,
    RowGroup,
    write,
    write_failures,
    write_groups,
)
from kdsspark.tables import EMBEDDINGS, FAILURES
from tests.stages.embed.fakes import (
    PAIR,
    SCHEMA,
    content_of,
    embedding,
    failure,
    files,
    found,
    images,
    row,
)

Rows = Iterable[Mapping[str, Any]]
PART = EMBEDDINGS.part("s", *PAIR)


def embeddings(rows: Rows) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def failures(rows: Rows) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=FAILURES.schema)


def held(output: Output, embedded: Rows = (), failed: Rows = ()) -> HeldRows:
    """What the files hold when these rows have been written."""
    write(output, PART, iter([t for t in [embeddings(embedded)] if len(t)]), SCHEMA)
    write_failures(files(output), failures(failed))
    return files(output).held()


@pytest.mark.parametrize(
    ("widths", "value_bytes", "batch", "rows"),
    [
        ([64, 4096], 4, 1, 512),  # VGG16: 8 MiB of fc6
        ([64, 4096], 4, 10, 520),
        ([4096], 8, 1, 256),
        ([10_000_000], 4, 1, 1),
        ([10_000_000], 4, 3, 3),
    ],
)
def test_row_groups_are_of_a_size(
    widths: list[int], value_bytes: int, batch: int, rows: int
) -> None:
    assert shard_files.rows_of_group(widths, value_bytes, batch) == rows


# -- what still holds ----------------------------------------------------------------------------


def test_a_shard_without_files_holds_nothing(output: Output) -> None:
    nothing = files(output).held()
    plan = images([row(1), row(2)])
    assert nothing.sources(plan, ()).tolist() == [MISSING, MISSING]
    assert not nothing.knows(plan)
    assert not nothing.holds_exactly(plan, nothing.sources(plan, ()))
    assert len(nothing.doubtful(plan)) == 0


@pytest.mark.parametrize(
    ("now", "unchanged", "source"),
    [
        (row(3), (), 1),  # the second row of the file
        (row(3, class_id=7, class_name="z"), (), 1),  # in another class it is the same image
        (row(3, version="w"), (), MISSING),
        (row(3, version="w"), ("/3",), 1),  # another version of the same bytes
        (row(3, version="w"), ("/1",), MISSING),
        (row(4), (), FAILED),
        (row(4, version="w"), (), MISSING),
        (row(4, version="w"), ("/4",), FAILED),
        (row(5), ("/5",), MISSING),
    ],
)
def test_rows_are_good_for_the_version_they_were_made_of(
    output: Output, now: dict[str, Any], unchanged: Sequence[str], source: int
) -> None:
    rows = held(output, [embedding(row(1)), embedding(row(3))], [failure(row(4))])
    assert rows.sources(images([now]), unchanged).tolist() == [source]


def test_an_image_of_both_files_is_embedded(output: Output) -> None:
    rows = held(output, [embedding(row(1))], [failure(row(1)), failure(row(2))])
    assert rows.sources(images([row(1), row(2)]), ()).tolist() == [0, FAILED]


def test_only_images_whose_bytes_were_read_can_be_found_unchanged(output: Output) -> None:
    rows = held(
        output,
        [embedding(row(1)), embedding(row(2)), embedding(row(3))],
        [failure(row(4), content=content_of("04")), failure(row(5))],
    )
    plan = images(
        [row(1), *(row(n, version="w", uri=f"/elsewhere/{n}") for n in (2, 4, 5)), row(6)]
    )
    assert rows.doubtful(plan).to_pylist() == [
        {"uri": "/elsewhere/2", "content": content_of("02")},
        {"uri": "/elsewhere/4", "content": content_of("04")},
    ]


@pytest.mark.parametrize(
    ("plan", "exactly"),
    [
        ([row(1), row(2)], True),
        ([row(1), row(2), row(3)], True),  # the last one failed
        ([row(1)], False),
        ([row(1), row(2), row(4)], False),
        ([row(1), row(2, class_id=1, class_name="d")], False),
        ([row(1), row(2, version="w")], False),
    ],
)
def test_a_file_is_as_planned_when_every_row_is(
    output: Output, plan: list[dict[str, Any]], exactly: bool
) -> None:
    rows, table = held(output, map(embedding, (row(1), row(2))), [failure(row(3))]), images(plan)
    assert rows.holds_exactly(table, rows.sources(table, ())) is exactly


def test_a_file_of_the_same_rows_in_another_class_is_not_as_planned(output: Output) -> None:
    rows, plan = held(output, [embedding(row(1))]), images([row(1, version="w")])
    assert not rows.holds_exactly(plan, rows.sources(plan, ["/1"]))


@pytest.mark.parametrize(("number", "known"), [(1, True), (2, True), (3, False)])
def test_images_of_either_file_are_known(output: Output, number: int, known: bool) -> None:
    rows = held(output, [embedding(row(1))], [failure(row(2))])
    assert rows.knows(images([row(number, version="w")])) is known


def test_failures_are_kept_as_they_are_today(output: Output) -> None:
    before = [failure(row(n), message=f"m{n}") for n in (1, 2, 3)]
    rows = held(output, [], before)
    plan = images([row(1, version="w", class_id=4, class_name="z"), row(3), row(9)])
    kept = rows.failures(plan, rows.sources(plan, ["/1"])).to_pylist()
    assert kept == [
        {**before[0], "version": "w", "class_id": 4, "class_name": "z"},
        before[2],
    ]


# -- writing -------------------------------------------------------------------------------------


def test_kept_rows_and_new_ones_are_merged_group_by_group(output: Output) -> None:
    old = [embedding(row(n)) for n in (0, 2, 4, 6)]
    held(output, old)
    plan = images([row(n, class_id=n, class_name=f"c{n}") for n in range(8) if n != 2])
    today = {r["image_id"]: r for r in plan.to_pylist()}

    def group(kept: list[int], positions: list[int], fresh: list[int]) -> RowGroup:
        some = plan.filter(pa.array([int(i) in kept for i in plan["image_id"].to_pylist()]))
        made = embeddings(embedding(today[f"{n:02d}"]) for n in fresh)
        return RowGroup(some, np.array(positions, np.int64), lambda: made)

    groups = [
        group([0], [0], [1, 3]),
        group([], [], []),
        group([4, 6], [2, 3], []),
        group([], [], [5, 7]),
    ]
    write_groups(files(output), groups)
    assert found(output, EMBEDDINGS) == [
        embedding(today[i]) for i in ("00", "01", "03", "04", "06", "05", "07")
    ]
    metadata = pq.ParquetFile(output.path(PART)).metadata
    sizes = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    assert sizes == [3, 2, 2]  # an empty group is not written
    lo = parquet.read_file(output, ranges.path_of(PART), ["lo"])["lo"].to_pylist()
    assert lo[0] == 0.0


def test_a_file_of_no_rows_is_removed_with_its_ranges(output: Output) -> None:
    held(output, [embedding(row(1))], [failure(row(2))])
    assert output.exists(ranges.path_of(PART))
    write_groups(files(output), [])
    write_failures(files(output), failures([]))
    assert [path for path in output.files("") if "/s." in path] == []


def test_ranges_of_a_file_that_is_being_replaced_are_not_there(output: Output) -> None:
    """A run killed in between leaves none, and none is better than another file's."""
    held(output, [embedding(row(1))])

    def killed() -> Iterator[pa.Table]:
        yield embeddings([embedding(row(2))])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(output, PART, killed(), SCHEMA)
    assert not output.exists(ranges.path_of(PART))
    assert [r["image_id"] for r in found(output, EMBEDDINGS)] == ["01"]


def test_failures_are_in_the_order_of_their_ids(output: Output) -> None:
    write_failures(files(output), failures([failure(row(3)), failure(row(1))]))
    assert [r["image_id"] for r in found(output, FAILURES)] == ["01", "03"]
