"""Rows turned into columns, in memory and by way of files, against plain indexing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdsspark.errors import InvariantError
from kdsspark.stages.measure.plan import Piece
from kdsspark.stages.measure.rechunk import read_columns, read_rows, slice_name
from tests import reference
from tests.stages.embedded import Embedded, awkward, embed
from tests.stages.measure.jobs import by_columns, layer_slice, measure_job, whole_layers

IMAGES = 40


@pytest.fixture
def data(tmp_path: Path) -> Embedded:
    labels = np.random.default_rng(0).integers(0, 3, IMAGES).tolist()
    return embed(tmp_path, awkward(IMAGES), labels, [17, 1, 22])


def pieces_of(data: Embedded, *cuts: tuple[int, int, int]) -> tuple[Piece, ...]:
    """(number of the file, first row, row after the last)."""
    paths = list(data.parts)
    return tuple(Piece(paths[part], start, stop) for part, start, stop in cuts)


# Rows of the dataset, as pieces of its files of 17, 1 and 22 rows in groups of 7.
PIECES = {
    "all": ([(0, 0, 17), (1, 0, 1), (2, 0, 22)], range(40)),
    "within a row group": ([(0, 2, 5)], range(2, 5)),
    "over row groups": ([(2, 6, 15)], range(24, 33)),
    "over files": ([(0, 13, 17), (1, 0, 1), (2, 0, 3)], range(13, 21)),
}


@pytest.mark.parametrize("bins", [2, 100, 300])  # codes of one byte and of two
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("rows", PIECES)
def test_rows_become_columns(data: Embedded, rows: str, bins: int, exact: bool) -> None:
    job = measure_job(data, bins=bins, exact=exact)
    cuts, numbers = PIECES[rows]
    slices = [layer_slice(data, "relu", 2, 9), layer_slice(data, "double", 1, 2)]
    found = read_rows(data.output, pieces_of(data, *cuts), job.shape.layout, bins, slices)
    wanted = list(numbers)
    np.testing.assert_array_equal(found.keys, data.keys[wanted])
    np.testing.assert_array_equal(found.labels, data.labels[wanted])
    for cut, (codes, values) in zip(slices, found.blocks, strict=True):
        layer = data.layers[cut.layer]
        expected = reference.codes(layer, bins)[wanted, cut.start : cut.stop]
        np.testing.assert_array_equal(codes, expected.T)
        assert (values is not None) == exact
        if values is not None:
            assert values.dtype == layer.dtype
            np.testing.assert_array_equal(values, layer[wanted, cut.start : cut.stop].T)


@pytest.mark.parametrize("exact", [True, False])
def test_columns_by_way_of_files_are_those_of_the_rows(data: Embedded, exact: bool) -> None:
    job = measure_job(data, bins=20, exact=exact)
    ranges = [[(0, 0, 9)], [(0, 9, 17), (1, 0, 1), (2, 0, 5)], [(2, 5, 22)]]
    filed = by_columns(data, job, *(pieces_of(data, *cuts) for cuts in ranges))
    assert [file.images for file in filed.files] == [9, 14, 17]
    layout = job.shape.layout
    for layer, width in (("relu", 9), ("double", 2)):
        for start in range(width):
            cut = layer_slice(data, layer, start, width)
            found = read_columns(data.output, filed.files, layout, cut)
            expected = read_rows(data.output, job.pieces, layout, 20, [cut])
            for got, wanted in (
                (found.keys, expected.keys),
                (found.labels, expected.labels),
                *zip(found.blocks[0], expected.blocks[0], strict=True),
            ):
                if exact or wanted is not None:
                    np.testing.assert_array_equal(got, wanted)


def test_files_with_fewer_rows_than_their_receipts_say_are_refused(data: Embedded) -> None:
    job = measure_job(data)
    path = list(data.parts)[1]
    pieces = (*job.pieces[:1], replace(job.pieces[1], stop=3))
    with pytest.raises(InvariantError, match=f"{path} must have 20 rows by the receipts, got 18"):
        read_rows(data.output, pieces, job.shape.layout, 100, whole_layers(data))


def test_names_of_slices_sort_as_features_do_and_suit_files(data: Embedded) -> None:
    odd = replace(layer_slice(data, "relu", 0, 3), layer="a/b: <c>")
    assert odd.name == "layer-000-units-00000-00003"
    cuts = [(depth, start, start + 50) for depth in (0, 2, 11) for start in range(0, 20_000, 50)]
    names = [slice_name(*cut) for cut in cuts]
    assert names == sorted(set(names))
