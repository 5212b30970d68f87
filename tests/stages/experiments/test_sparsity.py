"""Shares above zero, counted by numpy."""

from __future__ import annotations

import numpy as np
import pytest

from kdsspark.pipeline.study import Study
from kdsspark.tables import SPARSITY
from tests.stages.experiments import studies


def test_shares_are_counted_by_image(study: Study) -> None:
    studies.experiment(study, "sparsity")
    found = studies.table(study, SPARSITY).set_index("layer")
    rows = studies.embeddings(study)
    assert sorted(found.index) == ["narrow", "wide"]
    for layer, row in found.iterrows():
        above = studies.values(rows, str(layer)) > 0
        assert row["mean"] == pytest.approx(above.mean(), rel=1e-12)
        assert row["deviation"] == pytest.approx(np.std(above.mean(axis=1)), rel=1e-12)
        assert row["never"] == (above.sum(axis=0) == 0).sum()
        assert (row["n_images"], row["n_features"]) == above.shape
    assert found.loc["wide", "never"] == 1
