"""The Spark SQL behind every figure and table of the report, in one place.

Each query reads views named like the tables of :mod:`kdsspark.tables`, with their partition
columns (network, dataset, labels) as ordinary columns. Whoever runs them hands the results to
:func:`kdsspark.report.site.render` as data frames under the same names, and the pages print
the text of each query beside what it drew. A view may be empty, but must exist: ``failures`` of a
run without failures, ``images`` where all embeddings are ready-made.

Only what Spark SQL and SQLite both understand is used, every column is qualified, and shares are
computed in double (``100.0`` would be a decimal in Spark).
"""

from __future__ import annotations

from textwrap import dedent
from typing import Final

_DEPTHS = "(SELECT DISTINCT f.network, f.layer, f.kind, f.depth FROM features AS f)"

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
    LEFT JOIN (SELECT im.dataset, COUNT(*) AS indexed
               FROM images AS im GROUP BY im.dataset) AS i
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
    SELECT f.network, f.layer, f.kind, f.depth, COUNT(*) AS features
    FROM features AS f
    GROUP BY f.network, f.layer, f.kind, f.depth
    ORDER BY f.network, f.depth""")

FIGURE5 = dedent(f"""\
    SELECT l.network, l.dataset, t.images_per_class, d.depth, d.kind, l.layer, l.sign, l.n,
           l.mode, l.low, l.high, l.q16, l.q50, l.q84, l.kept
    FROM layers AS l
    JOIN {_DEPTHS} AS d
      ON d.network = l.network AND d.layer = l.layer
    JOIN thresholds AS t
      ON t.network = l.network AND t.dataset = l.dataset
    WHERE l.labels = 'true'
    ORDER BY l.network, t.images_per_class, l.dataset, d.depth, l.sign""")

# The share is of the pairs of that kind, so that each curve adds up to 100.
FIGURE6 = dedent("""\
    SELECT d.network, d.dataset, t.n_images, t.images_per_class, d.kind, d.bin, d.lo, d.hi,
           SUM(d.n) AS n,
           100 * CAST(SUM(d.n) AS DOUBLE)
             / NULLIF(SUM(SUM(d.n)) OVER (PARTITION BY d.network, d.dataset, d.kind), 0)
             AS percent
    FROM distribution AS d
    JOIN thresholds AS t
      ON t.network = d.network AND t.dataset = d.dataset
    WHERE d.labels = 'true'
    GROUP BY d.network, d.dataset, t.n_images, t.images_per_class, d.kind, d.bin, d.lo, d.hi
    ORDER BY d.network, t.images_per_class, d.dataset, d.kind, d.bin""")

# The first permutation is enough to look at; the thresholds come from all of them.
FIGURE9 = dedent("""\
    SELECT s.network, s.dataset, t.images_per_class, s.labels, s.class_id, s.sign, s.x,
           s.n_features, t.t_plus, t.t_minus
    FROM survival AS s
    JOIN thresholds AS t
      ON t.network = s.network AND t.dataset = s.dataset
    WHERE s.shuffle <= 1
    ORDER BY s.network, t.images_per_class, s.dataset, s.labels, s.class_id, s.sign, s.x""")

FIGURE10 = dedent(f"""\
    SELECT l.network, l.dataset, t.images_per_class, d.depth, d.kind, l.layer, l.labels,
           SUM(l.kept) AS kept
    FROM layers AS l
    JOIN {_DEPTHS} AS d
      ON d.network = l.network AND d.layer = l.layer
    JOIN thresholds AS t
      ON t.network = l.network AND t.dataset = l.dataset
    GROUP BY l.network, l.dataset, t.images_per_class, d.depth, d.kind, l.layer, l.labels
    ORDER BY l.network, t.images_per_class, l.dataset, l.labels, d.depth""")

DAVG = dedent("""\
    SELECT a.network, a.dataset, t.images_per_class, a.sign, a.x, a.davg, t.t_plus, t.davg_plus,
           t.t_minus, t.davg_minus
    FROM davg AS a
    JOIN thresholds AS t
      ON t.network = a.network AND t.dataset = a.dataset
    ORDER BY a.network, t.images_per_class, a.dataset, a.sign, a.x""")

LAYER_DISTRIBUTION = dedent(f"""\
    SELECT b.network, b.dataset, b.labels, d.depth, d.kind, b.layer, b.bin, b.lo, b.hi, b.n
    FROM distribution AS b
    JOIN {_DEPTHS} AS d
      ON d.network = b.network AND d.layer = b.layer
    ORDER BY b.network, b.dataset, b.labels, d.depth, b.bin""")

_CLASS_NAMES = "(SELECT DISTINCT i.dataset, i.class_id, i.class_name FROM images AS i)"

CLASSES = dedent(f"""\
    SELECT k.network, k.dataset, k.class_id, c.class_name, MAX(k.n_inner) AS images,
           SUM(CASE WHEN k.ks > t.t_plus THEN 1 ELSE 0 END) AS n_plus,
           SUM(CASE WHEN k.ks < t.t_minus THEN 1 ELSE 0 END) AS n_minus,
           MAX(k.ks) AS highest, MIN(k.ks) AS lowest
    FROM ks AS k
    JOIN thresholds AS t
      ON t.network = k.network AND t.dataset = k.dataset
    LEFT JOIN {_CLASS_NAMES} AS c
      ON c.dataset = k.dataset AND c.class_id = k.class_id
    WHERE k.labels = 'true'
    GROUP BY k.network, k.dataset, k.class_id, c.class_name
    ORDER BY k.network, k.dataset, n_plus DESC, k.class_id""")


def _both_ends(within: str, order: str) -> str:
    """The five pairs with the highest and with the lowest ks within some columns of ``ks``.

    The two ends apart, so that Spark keeps five rows of each group before it moves any.
    """
    ends = [
        f"""\
    SELECT r.network, r.dataset, r.layer, r.unit, r.class_id, c.class_name, r.ks,
           '{sign}' AS sign, r.place
    FROM (SELECT k.network, k.dataset, k.layer, k.unit, k.class_id, k.ks,
                 ROW_NUMBER() OVER (PARTITION BY k.network, k.dataset, {within}
                                    ORDER BY k.ks {direction}, {order}) AS place
          FROM ks AS k
          WHERE k.labels = 'true' AND k.ks {beyond} 0) AS r
    LEFT JOIN {_CLASS_NAMES} AS c
      ON c.dataset = r.dataset AND c.class_id = r.class_id
    WHERE r.place <= 5"""
        for sign, direction, beyond in (("+", "DESC", ">"), ("-", "ASC", "<"))
    ]
    return dedent("\n    UNION ALL\n".join(ends))


TOP_FEATURES = _both_ends("k.class_id", "k.layer, k.unit")
TOP_PAIRS = _both_ends("k.layer", "k.unit, k.class_id")


def histograms_of(n_units: int) -> str:
    """The histograms of some units of networks over datasets, of all classes (paper figure 1).

    Not one of ``QUERIES``: it has the parameters ``network_0``, ``dataset_0``, ``layer_0``,
    ``unit_0``, ``network_1`` and so on, and is run for the pairs that are asked for.
    """
    keys = ("network", "dataset", "layer", "unit")
    wanted = [" AND ".join(f"h.{key} = :{key}_{n}" for key in keys) for n in range(n_units)]
    return dedent("""\
        SELECT h.network, h.dataset, h.layer, h.unit, h.class_id, h.counts, r.lo, r.hi
        FROM histograms AS h
        JOIN ranges AS r
          ON r.network = h.network AND r.dataset = h.dataset AND r.layer = h.layer
         AND r.unit = h.unit
        WHERE """) + "\n   OR ".join(wanted)


READ: Final = (
    *("images", "failures", "features", "ranges", "histograms", "ks", "distances"),
    *("thresholds", "davg", "layers", "distribution", "survival"),
)
"""The tables that the report reads, none of which grows with the embeddings' files."""

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
    "top_features": TOP_FEATURES,
    "top_pairs": TOP_PAIRS,
}
"""Every query by name; the figures ``figure5``, ``figure6``, ``figure9``, ``figure10`` and
``davg`` have the names of their functions in :mod:`kdsspark.report.figures`."""
