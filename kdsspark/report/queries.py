"""The SQL behind every figure and table of the report, in one place.

Queries select from the views that users have: the tables of :mod:`kdsspark.tables`, with partition
columns as ordinary ones, and the ready-made views of ``kdsspark.query``, which compute the
summaries. The caller runs them and passes the results to :func:`kdsspark.report.site.render` as
data frames under the same names; each page prints the text of the query beside its result.

Every column is qualified. The report runs the queries on DuckDB; Spark gives the same rows.
"""

from __future__ import annotations

from textwrap import dedent
from typing import Final, get_args

from kdsspark.config.types import Distance

_DISTANCES: Final[tuple[str, ...]] = get_args(Distance)

THRESHOLDS = dedent("""\
    SELECT t.network, t.dataset, t.n_images, t.n_classes, t.images_per_class,
           t.t_plus, t.davg_plus, t.t_minus, t.davg_minus, t.significant,
           t.significant_by_layer
    FROM thresholds AS t
    ORDER BY t.network, t.images_per_class, t.dataset""")

COUNTS = dedent("""\
    SELECT t.network, t.dataset, i.indexed, t.n_images AS embedded,
           COALESCE(f.failed, 0) AS failed
    FROM thresholds AS t
    LEFT JOIN (SELECT o.dataset, COUNT(*) AS indexed
               FROM images AS o GROUP BY o.dataset) AS i
           ON i.dataset = t.dataset
    LEFT JOIN (SELECT fa.network, fa.dataset, COUNT(*) AS failed
               FROM failures AS fa GROUP BY fa.network, fa.dataset) AS f
           ON f.network = t.network AND f.dataset = t.dataset
    ORDER BY t.network, t.dataset""")

FAILURE_COUNTS = dedent("""\
    SELECT f.network, f.dataset, f.stage, f.error, COUNT(*) AS n
    FROM failures AS f
    GROUP BY f.network, f.dataset, f.stage, f.error
    ORDER BY f.network, f.dataset, n DESC, f.stage, f.error""")

# At most five examples of each error of a dataset.
FAILURES = dedent("""\
    SELECT r.network, r.dataset, r.stage, r.error, r.uri, r.class_name, r.message
    FROM (SELECT f.network, f.dataset, f.stage, f.error, f.uri, f.class_name, f.message,
                 ROW_NUMBER() OVER (PARTITION BY f.network, f.dataset, f.stage, f.error
                                    ORDER BY f.image_id) AS nth
          FROM failures AS f) AS r
    WHERE r.nth <= 5
    ORDER BY r.network, r.dataset, r.stage, r.error, r.uri""")

LAYERS = dedent("""\
    SELECT d.network, d.layer, d.kind, d.depth, d.n_features AS features
    FROM network_layers AS d
    ORDER BY d.network, d.depth""")

FIGURE5 = dedent("""\
    SELECT l.network, l.dataset, t.images_per_class, d.depth, d.kind, l.layer, l.sign, l.n,
           l.mode, l.low, l.high, l.q16, l.q50, l.q84, l.kept
    FROM layers AS l
    JOIN network_layers AS d
      ON d.network = l.network AND d.layer = l.layer
    JOIN thresholds AS t
      ON t.network = l.network AND t.dataset = l.dataset
    WHERE l.labels = 'true'
    ORDER BY l.network, t.images_per_class, l.dataset, d.depth, l.sign""")

FIGURE6 = dedent("""\
    SELECT g.network, g.dataset, t.n_images, t.images_per_class, g.kind, g.bin, g.lo, g.hi, g.n,
           g.percent
    FROM kind_distribution AS g
    JOIN thresholds AS t
      ON t.network = g.network AND t.dataset = g.dataset
    ORDER BY g.network, t.images_per_class, g.dataset, g.kind, g.bin""")

# One permutation is enough for the eye; the thresholds come from all of them.
FIGURE9 = dedent("""\
    SELECT s.network, s.dataset, t.images_per_class, s.labels, s.class_id, s.sign, s.x,
           s.n_features, t.t_plus, t.t_minus
    FROM survival AS s
    JOIN thresholds AS t
      ON t.network = s.network AND t.dataset = s.dataset
    WHERE s.shuffle <= 1
    ORDER BY s.network, t.images_per_class, s.dataset, s.labels, s.class_id, s.sign, s.x""")

FIGURE10 = dedent("""\
    SELECT k.network, k.dataset, t.images_per_class, k.depth, k.kind, k.layer, k.labels, k.kept
    FROM (SELECT s.network, s.dataset, s.depth, s.kind, s.layer, 'true' AS labels, s.kept
          FROM layer_summary AS s
          UNION ALL
          SELECT s.network, s.dataset, s.depth, s.kind, s.layer, 'shuffled' AS labels,
                 s.kept_shuffled AS kept
          FROM layer_summary AS s) AS k
    JOIN thresholds AS t
      ON t.network = k.network AND t.dataset = k.dataset
    ORDER BY k.network, t.images_per_class, k.dataset, k.labels, k.depth""")

DAVG = dedent("""\
    SELECT a.network, a.dataset, t.images_per_class, a.sign, a.x, a.davg, t.t_plus, t.davg_plus,
           t.t_minus, t.davg_minus
    FROM davg AS a
    JOIN thresholds AS t
      ON t.network = a.network AND t.dataset = a.dataset
    ORDER BY a.network, t.images_per_class, a.dataset, a.sign, a.x""")

LAYER_DISTRIBUTION = dedent("""\
    SELECT b.network, b.dataset, b.labels, d.depth, d.kind, b.layer, b.bin, b.lo, b.hi, b.n
    FROM distribution AS b
    JOIN network_layers AS d
      ON d.network = b.network AND d.layer = b.layer
    ORDER BY b.network, b.dataset, b.labels, d.depth, b.bin""")

CLASSES = dedent("""\
    SELECT s.network, s.dataset, s.class_id, s.class_name, s.n_measured AS images,
           s.present AS n_plus, s.absent AS n_minus, s.highest, s.lowest
    FROM class_summary AS s
    ORDER BY s.network, s.dataset, n_plus DESC, s.class_id""")

UNITS = dedent("""\
    SELECT u.network, u.dataset, u.depth, u.kind, u.layer, u.unit, u.n_classes, u.present,
           u.absent, u.far_absent, u.at_zero, u.highest, u.lowest, u.nonzero
    FROM unit_summary AS u
    WHERE u.n_classes > 0
    ORDER BY u.network, u.dataset, u.depth, u.unit""")

# A probe of fewer or other images than those measured is left out.
PROBED = dedent("""\
    SELECT p.network, p.dataset, d.depth, d.kind, p.layer, p.n_features, p.method, p.n_test,
           p.accuracy
    FROM probe AS p
    JOIN network_layers AS d
      ON d.network = p.network AND d.layer = p.layer
    JOIN thresholds AS t
      ON t.network = p.network AND t.dataset = p.dataset AND t.n_images = p.n_train + p.n_test
    WHERE p.class_id = -1 AND p.features = 'all' AND p.accuracy IS NOT NULL
    ORDER BY p.network, p.dataset, d.depth""")

# Spearman's correlation: that of the ranks, where equal values share the mean of their ranks. By
# layer, so that no task sorts all distances of a dataset.
INFORMATION = dedent("""\
    SELECT r.network, r.dataset, r.layer, COUNT(*) AS n, CORR(r.rank_mi, r.rank_kl) AS spearman,
           MAX(r.share) AS largest_share
    FROM (SELECT s.network, s.dataset, s.layer, s.share,
                 RANK() OVER (PARTITION BY s.network, s.dataset, s.layer ORDER BY s.mi)
                   + COUNT(*) OVER (PARTITION BY s.network, s.dataset, s.layer, s.mi) / 2.0
                   AS rank_mi,
                 RANK() OVER (PARTITION BY s.network, s.dataset, s.layer ORDER BY s.kl)
                   + COUNT(*) OVER (PARTITION BY s.network, s.dataset, s.layer, s.kl) / 2.0
                   AS rank_kl
          FROM (SELECT d.network, d.dataset, d.layer, d.kullback_leibler AS kl,
                       d.mutual_information * t.n_images / c.n_images AS mi,
                       c.n_images / CAST(t.n_images AS DOUBLE) AS share
                FROM distances AS d
                JOIN thresholds AS t
                  ON t.network = d.network AND t.dataset = d.dataset
                JOIN classes AS c
                  ON c.dataset = d.dataset AND c.class_id = d.class_id
                WHERE d.kullback_leibler IS NOT NULL
                  AND d.mutual_information IS NOT NULL) AS s) AS r
    GROUP BY r.network, r.dataset, r.layer
    ORDER BY r.network, r.dataset, r.layer""")


def _extremes(most: int, of: str, ties: str) -> str:
    """The ``most`` highest and lowest distances of each network, dataset and ``of``.

    The two ends apart, so that Spark keeps a few rows of each group before it moves any.
    """
    return "\nUNION ALL\n".join(
        dedent(f"""\
        SELECT r.network, r.dataset, r.layer, r.unit, r.class_id, r.class_name, r.ks,
               '{sign}' AS sign, r.place
        FROM (SELECT fc.network, fc.dataset, fc.layer, fc.unit, fc.class_id, fc.class_name, fc.ks,
                     ROW_NUMBER() OVER (PARTITION BY fc.network, fc.dataset, fc.{of}
                                        ORDER BY fc.ks {order}, {ties}) AS place
              FROM feature_classes AS fc
              WHERE fc.ks {beyond} 0) AS r
        WHERE r.place <= {most}""")
        for sign, order, beyond in (("+", "DESC", ">"), ("-", "ASC", "<"))
    )


CLASS_EXTREMES: Final = _extremes(10, "class_id", "fc.depth, fc.unit")
LAYER_EXTREMES: Final = _extremes(5, "layer", "fc.unit, fc.class_id")

QUERIES: Final[dict[str, str]] = {
    "thresholds": THRESHOLDS,
    "counts": COUNTS,
    "failure_counts": FAILURE_COUNTS,
    "failures": FAILURES,
    "layers": LAYERS,
    "figure5": FIGURE5,
    "figure6": FIGURE6,
    "figure9": FIGURE9,
    "figure10": FIGURE10,
    "davg": DAVG,
    "layer_distribution": LAYER_DISTRIBUTION,
    "classes": CLASSES,
    "units": UNITS,
    "probed": PROBED,
    "information": INFORMATION,
    "class_extremes": CLASS_EXTREMES,
    "layer_extremes": LAYER_EXTREMES,
}
"""Every query of each report by name. ``figure5``, ``figure6``, ``figure9``, ``figure10`` and
``davg`` are what the functions of these names draw (:mod:`kdsspark.report.figures`)."""


def _disagreements() -> str:
    apart = {name: f"d.{name}" for name in _DISTANCES} | {"auc": "ABS(d.auc - 0.5)"}
    apart |= {"ks": "fc.ks", "abs_ks": "ABS(fc.ks)"}
    over = "PERCENT_RANK() OVER (PARTITION BY d.network, d.dataset, d.layer ORDER BY"
    ranks = [f"{over} {distance}) AS rank_{name}" for name, distance in apart.items()]
    values = [f"WHEN '{name}' THEN p.{name}" for name in _DISTANCES]
    ranks_of = [f"WHEN '{name}' THEN p.rank_{name}" for name in _DISTANCES]
    names = ", ".join(f"('{name}')" for name in _DISTANCES)
    return f"""\
SELECT e.network, e.dataset, e.distance, e.gap, e.layer, e.unit, e.class_id, e.class_name,
       e.value, e.ks, e.rank, e.rank_ks
FROM (SELECT g.*,
             ROW_NUMBER() OVER (PARTITION BY g.network, g.dataset, g.distance
                                ORDER BY g.gap DESC, g.layer DESC, g.unit DESC, g.class_id DESC)
               AS from_above,
             ROW_NUMBER() OVER (PARTITION BY g.network, g.dataset, g.distance
                                ORDER BY g.gap, g.layer, g.unit, g.class_id) AS from_below
      FROM (SELECT r.*, r.rank - r.rank_ks AS gap
            FROM (SELECT p.network, p.dataset, v.distance, p.layer, p.unit, p.class_id,
                         p.class_name, p.ks,
                         CASE v.distance {_lines(values, 41, "")} END AS value,
                         CASE v.distance {_lines(ranks_of, 41, "")} END AS rank,
                         IF(v.distance = 'average_precision', p.rank_ks, p.rank_abs_ks) AS rank_ks
                  FROM (SELECT d.*, fc.ks, fc.class_name,
                               {_lines(ranks, 31)}
                        FROM distances AS d
                        JOIN feature_classes AS fc
                          ON fc.network = d.network AND fc.dataset = d.dataset
                         AND fc.layer = d.layer AND fc.unit = d.unit
                         AND fc.class_id = d.class_id) AS p
                  CROSS JOIN (VALUES {names}) AS v(distance)) AS r
            WHERE r.value IS NOT NULL) AS g) AS e
WHERE e.from_above = 1 OR e.from_below = 1
ORDER BY e.network, e.dataset, e.distance, e.gap DESC"""


def _lines(items: list[str], indent: int, between: str = ",") -> str:
    return f"{between}\n{' ' * indent}".join(items)


DISAGREEMENTS: Final = _disagreements()
"""For each network, dataset and distance the feature and class with the largest gap to ks, and
those with the smallest (paper section 4).

Distances of different units are compared by rank. ``PERCENT_RANK`` is the share of the other
features and classes of the same layer and dataset that lie below; the rank by a distance less the
rank by |ks| is the ``gap``, from -1 to 1. The area under the curve counts by how far it is from
0.5; average precision, which knows of presence alone, is held against ks with its sign. The query
runs only where other distances are measured, so it is not one of ``QUERIES``.
"""
