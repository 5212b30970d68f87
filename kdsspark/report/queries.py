"""The Spark SQL behind every figure and table of the report, in one place.

Each query reads views named like the tables of :mod:`kdsspark.tables`, with their partition
columns (network, dataset, labels) as ordinary columns. Whoever runs them hands the results to
:func:`kdsspark.report.page.render` as data frames under the same names, and the page prints the
text of each query beside what it drew. A view may be empty, but must exist: ``failures`` of a
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
           t.t_plus, t.davg_plus, t.t_minus, t.davg_minus
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

FIGURE5 = dedent(f"""\
    SELECT l.network, l.dataset, d.depth, d.kind, l.layer, l.sign, l.n, l.mode, l.low, l.high
    FROM layers AS l
    JOIN {_DEPTHS} AS d
      ON d.network = l.network AND d.layer = l.layer
    WHERE l.labels = 'true'
    ORDER BY l.network, l.dataset, d.depth, l.sign""")

# The share is of the pairs of that kind, so that each curve adds up to 100.
FIGURE6 = dedent("""\
    SELECT d.network, d.dataset, d.kind, d.bin, d.lo, d.hi, SUM(d.n) AS n,
           100 * CAST(SUM(d.n) AS DOUBLE)
             / NULLIF(SUM(SUM(d.n)) OVER (PARTITION BY d.network, d.dataset, d.kind), 0)
             AS percent
    FROM distribution AS d
    WHERE d.labels = 'true'
    GROUP BY d.network, d.dataset, d.kind, d.bin, d.lo, d.hi
    ORDER BY d.network, d.dataset, d.kind, d.bin""")

# The first permutation is enough to look at; the thresholds come from all of them.
FIGURE9 = dedent("""\
    SELECT s.network, s.dataset, s.labels, s.class_id, s.sign, s.x, s.n_features,
           t.t_plus, t.t_minus
    FROM survival AS s
    JOIN thresholds AS t
      ON t.network = s.network AND t.dataset = s.dataset
    WHERE s.shuffle <= 1
    ORDER BY s.network, s.dataset, s.labels, s.class_id, s.sign, s.x""")

FIGURE10 = dedent(f"""\
    SELECT l.network, l.dataset, d.depth, d.kind, l.layer, l.labels, SUM(l.kept) AS kept
    FROM layers AS l
    JOIN {_DEPTHS} AS d
      ON d.network = l.network AND d.layer = l.layer
    GROUP BY l.network, l.dataset, d.depth, d.kind, l.layer, l.labels
    ORDER BY l.network, l.dataset, l.labels, d.depth""")

DAVG = dedent("""\
    SELECT a.network, a.dataset, a.sign, a.x, a.davg, t.t_plus, t.davg_plus, t.t_minus,
           t.davg_minus
    FROM davg AS a
    JOIN thresholds AS t
      ON t.network = a.network AND t.dataset = a.dataset
    ORDER BY a.network, a.dataset, a.sign, a.x""")

# t+ lies on a grid of 0.001 and x on one of 0.01: exactly one x is t+ rounded down.
CLASSES = dedent("""\
    SELECT s.network, s.dataset, s.class_id, c.class_name, s.x, s.n_features
    FROM survival AS s
    JOIN thresholds AS t
      ON t.network = s.network AND t.dataset = s.dataset
    LEFT JOIN (SELECT DISTINCT i.dataset, i.class_id, i.class_name FROM images AS i) AS c
           ON c.dataset = s.dataset AND c.class_id = s.class_id
    WHERE s.labels = 'true' AND s.sign = '+'
      AND s.x BETWEEN t.t_plus - 0.0095 AND t.t_plus + 0.0005
    ORDER BY s.network, s.dataset, s.n_features DESC, s.class_id""")

QUERIES: Final[dict[str, str]] = {
    "thresholds": THRESHOLDS,
    "counts": COUNTS,
    "failure_counts": FAILURE_COUNTS,
    "failures": FAILURES,
    "figure5": FIGURE5,
    "figure6": FIGURE6,
    "figure9": FIGURE9,
    "figure10": FIGURE10,
    "davg": DAVG,
    "classes": CLASSES,
}
"""Every query by name; the figures ``figure5``, ``figure6``, ``figure9``, ``figure10`` and
``davg`` have the names of their functions in :mod:`kdsspark.report.figures`."""
