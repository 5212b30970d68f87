"""The files of a shard; see test_embed_images for what they hold."""

from __future__ import annotations

import pytest

from kdsspark.stages.embed import shard_files


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
