"""The SQL behind the page of each experiment, apart from figures, which take a second to import.

As in :mod:`kdsspark.report.queries`: queries of the views that users have, every column qualified.
Each runs only where the tables of its experiment have rows.
"""

from __future__ import annotations

from textwrap import dedent
from typing import Final

_LABEL_ENTROPY = dedent("""\
    SELECT e.network, e.dataset, t.images_per_class, d.depth, e.layer, e.unit, e.entropy
    FROM label_entropy AS e
    JOIN network_layers AS d
      ON d.network = e.network AND d.layer = e.layer
    JOIN thresholds AS t
      ON t.network = e.network AND t.dataset = e.dataset
    ORDER BY e.network, t.images_per_class, e.dataset, d.depth, e.entropy, e.unit""")

_SPARSITY = dedent("""\
    SELECT s.network, s.dataset, t.images_per_class, d.depth, d.kind, s.layer, s.n_images,
           s.n_features, s.mean, s.deviation, s.never
    FROM sparsity AS s
    JOIN network_layers AS d
      ON d.network = s.network AND d.layer = s.layer
    JOIN thresholds AS t
      ON t.network = s.network AND t.dataset = s.dataset
    ORDER BY s.network, t.images_per_class, s.dataset, d.depth""")

EXPERIMENT_QUERIES: Final[dict[str, str]] = {
    "label-entropy": _LABEL_ENTROPY,
    "sparsity": _SPARSITY,
}
"""The query of every experiment by its name; rows have network, dataset and images_per_class."""
