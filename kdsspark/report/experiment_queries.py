"""The SQL behind the page of each experiment, apart from figures, which take a second to import.

As in :mod:`kdsspark.report.queries`: queries of the views that users have, every column qualified.
Each runs only where the tables of its experiment have rows.
"""

from __future__ import annotations

from textwrap import dedent
from typing import Final


def _beside(rows: str) -> str:
    """The joins that give rows of a layer its place in the network, and the pair's thresholds."""
    return f"""\
JOIN network_layers AS d
      ON d.network = {rows}.network AND d.layer = {rows}.layer
    JOIN thresholds AS t
      ON t.network = {rows}.network AND t.dataset = {rows}.dataset"""


_LABEL_ENTROPY = dedent(f"""\
    SELECT e.network, e.dataset, t.images_per_class, d.depth, e.layer, e.unit, e.entropy
    FROM label_entropy AS e
    {_beside("e")}
    ORDER BY e.network, t.images_per_class, e.dataset, d.depth, e.entropy, e.unit""")

_SPARSITY = dedent(f"""\
    SELECT s.network, s.dataset, t.images_per_class, d.depth, d.kind, s.layer, s.n_images,
           s.n_features, s.mean, s.deviation, s.never
    FROM sparsity AS s
    {_beside("s")}
    ORDER BY s.network, t.images_per_class, s.dataset, d.depth""")

# Mean average precision of single features and of machines, the numbers of features that reach a
# half and nine tenths, by class; and what two classes share of their best 50.
_FILTERS = dedent("""\
    SELECT n.network, n.dataset, t.images_per_class, d.depth, d.kind, n.layer, d.n_features,
           n.class_id, c.class_name, n.full, n.half, n.most, b.best
    FROM (SELECT f.network, f.dataset, f.layer, f.class_id,
                 MAX_BY(f.average_precision, f.k) AS full,
                 MIN(CASE WHEN f.share >= 0.5 THEN f.k END) AS half,
                 MIN(CASE WHEN f.share >= 0.9 THEN f.k END) AS most
          FROM filters_needed AS f
          GROUP BY f.network, f.dataset, f.layer, f.class_id) AS n
    JOIN (SELECT p.network, p.dataset, p.layer, p.class_id, MAX(p.average_precision) AS best
          FROM filters AS p
          GROUP BY p.network, p.dataset, p.layer, p.class_id) AS b
      ON b.network = n.network AND b.dataset = n.dataset AND b.layer = n.layer
     AND b.class_id = n.class_id
    JOIN network_layers AS d
      ON d.network = n.network AND d.layer = n.layer
    JOIN classes AS c
      ON c.dataset = n.dataset AND c.class_id = n.class_id
    JOIN thresholds AS t
      ON t.network = n.network AND t.dataset = n.dataset
    ORDER BY n.network, t.images_per_class, n.dataset, d.depth, n.class_id""")

_FILTERS_NEEDED = dedent(f"""\
    SELECT f.network, f.dataset, t.images_per_class, d.depth, d.kind, f.layer, f.class_id, f.k,
           f.average_precision, f.share
    FROM filters_needed AS f
    {_beside("f")}
    ORDER BY f.network, t.images_per_class, f.dataset, d.depth, f.class_id, f.k""")

_FILTERS_CURVES = dedent(f"""\
    SELECT f.network, f.dataset, t.images_per_class, d.depth, d.kind, f.layer, f.class_id,
           f.kind AS choice, f.recall, AVG(f.precision) AS precision
    FROM filters_curves AS f
    {_beside("f")}
    GROUP BY f.network, f.dataset, t.images_per_class, d.depth, d.kind, f.layer, f.class_id,
             f.kind, f.recall
    ORDER BY f.network, t.images_per_class, f.dataset, d.depth, f.class_id, choice, f.recall""")

_FILTERS_OVERLAP = dedent(f"""\
    SELECT a.network, a.dataset, t.images_per_class, d.depth, d.kind, a.layer, d.n_features,
           a.class_id, b.class_id AS other, CAST(COUNT(*) AS DOUBLE) / 50 AS overlap
    FROM filters AS a
    JOIN filters AS b
      ON b.network = a.network AND b.dataset = a.dataset AND b.layer = a.layer
     AND b.unit = a.unit
    {_beside("a")}
    WHERE a.weight_place <= 50 AND b.weight_place <= 50
    GROUP BY a.network, a.dataset, t.images_per_class, d.depth, d.kind, a.layer, d.n_features,
             a.class_id, b.class_id
    ORDER BY a.network, t.images_per_class, a.dataset, d.depth, a.class_id, other""")

_TRAINING_SIZE = dedent(f"""\
    SELECT s.network, s.dataset, t.images_per_class, d.depth, d.kind, s.layer, s.classifier,
           s.train_per_class, s.method, s.n_train, s.n_test, s.accuracy, s.deviation, s.low, s.high,
           s.folds
    FROM training_size AS s
    {_beside("s")}
    ORDER BY s.network, t.images_per_class, s.dataset, d.depth, s.classifier, s.train_per_class""")

_DIMENSIONS = dedent(f"""\
    SELECT s.network, s.dataset, t.images_per_class, d.depth, d.kind, s.layer, d.n_features,
           s.dimensions, s.reduced, s.method, s.n_train, s.n_test, s.accuracy, s.share, s.low,
           s.high
    FROM dimensions AS s
    {_beside("s")}
    ORDER BY s.network, t.images_per_class, s.dataset, d.depth, s.reduced, s.dimensions""")

_SOURCES = dedent("""\
    SELECT s.network, s.dataset, t.images_per_class, s.sources, s.n_sources, s.layers, s.n_features,
           s.method, s.n_train, s.n_test, s.accuracy, s.low, s.high
    FROM sources AS s
    JOIN thresholds AS t
      ON t.network = s.network AND t.dataset = s.dataset
    ORDER BY s.network, t.images_per_class, s.dataset, s.n_sources, s.sources""")

_RETRIEVAL = dedent(f"""\
    SELECT s.network, s.dataset, t.images_per_class, d.depth, d.kind, s.layer, d.n_features,
           s.windows, s.whitened, s.dimensions, s.n_images, s.n_queries, s.mean_average_precision,
           s.low, s.high, s.chance
    FROM retrieval AS s
    {_beside("s")}
    ORDER BY s.network, t.images_per_class, s.dataset, d.depth, s.windows, s.whitened""")

_GRIDS = dedent(f"""\
    SELECT s.network, s.dataset, t.images_per_class, d.depth, d.kind, s.layer, s.pooling, s.grid,
           s.map_side, s.n_features, s.method, s.n_train, s.n_test, s.accuracy, s.low, s.high
    FROM grids AS s
    {_beside("s")}
    ORDER BY s.network, t.images_per_class, s.dataset, d.depth, s.pooling, s.grid""")

_ABLATIONS = dedent(f"""\
    SELECT s.network, s.dataset, t.images_per_class, d.depth, d.kind, s.layer, s.form, s.map_side,
           s.averaged, s.n_features, s.method, s.n_train, s.n_test, s.accuracy, s.low, s.high
    FROM ablations AS s
    {_beside("s")}
    ORDER BY s.network, t.images_per_class, s.dataset, d.depth, s.form""")

# Pictures and probabilities are of views, and so stand in the rows of the first layer alone.
_INVARIANCE = dedent(f"""\
    SELECT i.network, i.dataset, t.images_per_class, d.depth, i.layer, i.is_classifier, i.image_id,
           m.class_name, i.change, i.amount, i.distance, i.length,
           CASE WHEN d.depth = 0 THEN v.true_class END AS true_class,
           CASE WHEN d.depth = 0 THEN v.probability END AS probability,
           CASE WHEN d.depth = 0 THEN v.likeliest_name END AS likeliest_name,
           CASE WHEN d.depth = 0 THEN v.picture END AS picture
    FROM invariance AS i
    JOIN invariance_views AS v
      ON v.network = i.network AND v.dataset = i.dataset AND v.image_id = i.image_id
     AND v.change = i.change AND v.amount = i.amount
    JOIN images AS m
      ON m.dataset = i.dataset AND m.image_id = i.image_id
    {_beside("i")}
    ORDER BY i.network, t.images_per_class, i.dataset, m.class_name, i.image_id, d.depth, i.change,
             i.amount""")

# Pictures are of images, and so stand in the row of the first place alone.
_OCCLUSION = dedent("""\
    SELECT o.network, o.dataset, t.images_per_class, i.layer, o.image_id, i.class_name, i.unit,
           i.side, i.stride, i.true_class, i.class_unit, i.activation AS plain_activation,
           i.probability AS plain_probability, i.likeliest AS plain_likeliest,
           i.likeliest_name AS plain_likeliest_name, o.y, o.x, o.activation, o.probability,
           o.likeliest, o.likeliest_name,
           CASE WHEN o.y = 0 AND o.x = 0 THEN i.picture END AS picture,
           CASE WHEN o.y = 0 AND o.x = 0 THEN i.projection END AS projection
    FROM occlusion AS o
    JOIN occlusion_images AS i
      ON i.network = o.network AND i.dataset = o.dataset AND i.image_id = o.image_id
    JOIN thresholds AS t
      ON t.network = o.network AND t.dataset = o.dataset
    ORDER BY o.network, t.images_per_class, o.dataset, i.class_name, o.image_id, o.y, o.x""")

_CORRESPONDENCE = dedent(f"""\
    SELECT c.network, c.dataset, t.images_per_class, d.depth, d.kind, c.layer, c.part, c.random,
           c.n_images, c.n_skipped, c.n_values, c.draws, c.mean, c.deviation, c.delta
    FROM correspondence AS c
    {_beside("c")}
    ORDER BY c.network, t.images_per_class, c.dataset, d.depth, c.part, c.random""")

EXPERIMENT_QUERIES: Final[dict[str, str]] = {
    "label-entropy": _LABEL_ENTROPY,
    "sparsity": _SPARSITY,
    "filters": _FILTERS,
    "filters/needed": _FILTERS_NEEDED,
    "filters/curves": _FILTERS_CURVES,
    "filters/overlap": _FILTERS_OVERLAP,
    "training-size": _TRAINING_SIZE,
    "dimensions": _DIMENSIONS,
    "sources": _SOURCES,
    "retrieval": _RETRIEVAL,
    "grids": _GRIDS,
    "ablations": _ABLATIONS,
    "invariance": _INVARIANCE,
    "occlusion": _OCCLUSION,
    "correspondence": _CORRESPONDENCE,
}
"""The queries of every experiment; rows have network, dataset and images_per_class, in
the report also the rank of the dataset.

The first has the name of the experiment, the others begin with it: ``filters/needed``.
"""
