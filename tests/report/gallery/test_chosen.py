"""What the report draws of one network and dataset."""

from __future__ import annotations

import numpy as np
import pytest

from kdsspark.report.gallery.chosen import KIN, OF_A_LAYER, SHEET, choose

LAYERS = np.repeat(np.arange(4, dtype=np.int32), [20, 300, 20, 20])
KS = np.random.default_rng(0).uniform(-1, 1, (9, len(LAYERS))).astype(np.float32)


@pytest.mark.parametrize(
    ("n_units", "n_present", "n_absent"), [(1, 1, 1), (3, 2, 1), (6, 4, 2), (12, 8, 4), (40, 8, 8)]
)
def test_two_of_three_units_tell_a_class_by_presence(
    n_units: int, n_present: int, n_absent: int
) -> None:
    """As far as the layers have units: there are four, and two of each are taken."""
    made = choose(KS, LAYERS, (0.5, -0.5), n_units)
    for c in range(9):
        assert len(made.present[c]) == n_present
        assert len(made.absent[c]) == n_absent
        assert (KS[c, made.present[c]] > 0).all()
        assert (KS[c, made.absent[c]] < 0).all()
        for own in (made.present[c], made.absent[c]):
            assert np.bincount(LAYERS[own]).max() <= OF_A_LAYER
        assert made.present[c][0] == KS[c].argmax()
        assert made.absent[c][0] == KS[c].argmin()


def test_every_unit_that_a_page_names_is_drawn_once() -> None:
    made = choose(KS, LAYERS, (0.5, -0.5), 6, more=[1, 299])
    best = [f for sheet in made.sheets for f in sheet[:5]]
    named = {f for own in (*made.present, *made.absent, best, [1, 299]) for f in own}
    parting = {f for own in made.kin for kin in own for f in (kin.above, kin.below)}
    assert list(made.drawn) == sorted(named)
    assert parting - {None} <= named


def test_sheets_have_the_most_selective_units_of_each_layer() -> None:
    made = choose(KS, LAYERS, (0.5, -0.5), 6)
    for depth, sheet in enumerate(made.sheets):
        own = np.flatnonzero(depth == LAYERS)
        want = sorted(own, key=lambda f: (-KS[:, f].max(), f))
        assert list(sheet) == want[:SHEET]
    assert [len(sheet) for sheet in made.sheets] == [20, SHEET, 20, 20]


def test_order_and_kin_are_of_all_classes() -> None:
    made = choose(KS, LAYERS, (0.5, -0.5), 6)
    assert sorted(made.order) == list(range(9))
    assert [len(own) for own in made.kin] == [KIN] * 9
    np.testing.assert_allclose(made.alike, np.corrcoef(KS), atol=1e-6)


def test_without_thresholds_no_classes_share_units() -> None:
    """A dataset of one class has neither distances nor thresholds."""
    assert choose(KS, LAYERS, (None, None), 6).kin == [[]] * 9
    one = choose(np.zeros((1, len(LAYERS)), np.float32), LAYERS, (None, None), 6)
    assert (one.present, one.absent, one.kin, one.order) == ([[]], [[]], [[]], [0])
    assert one.sheets[0] == list(range(20))
