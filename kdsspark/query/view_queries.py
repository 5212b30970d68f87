"""The ready-made views: SQL over the tables, for the questions that are asked most.

:mod:`.views` opens the views for a session, and :mod:`.catalog` keeps them in a metastore. The
report selects from them, too, so that one query computes each summary. The SQL is Spark's, and
DuckDB runs it unchanged.

``docs/sql.md`` says what a row of each view is. A view counts true labels unless its names say
otherwise, and leaves out a feature and class without a distance. A share of nothing is NULL,
because Spark refuses to divide by zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from textwrap import dedent
from typing import Final

from kdsspark import paper

# Where an image may have several labels, its class_id in `images` is -1.
_IMAGE_LABELS = dedent("""\
    SELECT i.dataset, i.image_id, i.class_id, i.class_name
    FROM images AS i
    WHERE i.class_id >= 0
    UNION ALL
    SELECT m.dataset, m.image_id, m.class_id, m.class_name
    FROM image_classes AS m""")

_CLASSES = dedent("""\
    SELECT l.dataset, l.class_id, l.class_name, COUNT(*) AS n_images
    FROM image_labels AS l
    GROUP BY l.dataset, l.class_id, l.class_name""")

_NETWORK_LAYERS = dedent("""\
    SELECT f.network, f.depth, f.layer, f.kind, COUNT(*) AS n_features
    FROM features AS f
    GROUP BY f.network, f.depth, f.layer, f.kind""")

# Spark pushes filters by dataset and class through the windows below, which partition by both.
_FEATURE_CLASSES = dedent("""\
    SELECT k.network, k.dataset, k.class_id, c.class_name, k.layer, k.unit, f.feature, f.kind,
           f.depth, k.ks, k.ks_exact, k.auc, k.p_auc, k.mean_difference, k.nonzero_inner,
           k.nonzero_outer
    FROM ks AS k
    JOIN features AS f
      ON f.network = k.network AND f.layer = k.layer AND f.unit = k.unit
    JOIN classes AS c
      ON c.dataset = k.dataset AND c.class_id = k.class_id
    WHERE k.labels = 'true' AND k.ks IS NOT NULL""")

_TOP_FEATURES = dedent("""\
    SELECT fc.*,
           ROW_NUMBER() OVER (PARTITION BY fc.network, fc.dataset, fc.class_id, fc.class_name
                              ORDER BY fc.ks DESC, fc.depth, fc.unit) AS rank_high,
           ROW_NUMBER() OVER (PARTITION BY fc.network, fc.dataset, fc.class_id, fc.class_name
                              ORDER BY fc.ks, fc.depth, fc.unit) AS rank_low
    FROM feature_classes AS fc""")

_RELEVANT = dedent("""\
    SELECT fc.*, IF(fc.ks > 0, '+', '-') AS sign,
           IF(fc.ks > 0, t.t_plus, t.t_minus) AS threshold
    FROM feature_classes AS fc
    JOIN thresholds AS t
      ON t.network = fc.network AND t.dataset = fc.dataset
    WHERE fc.ks > t.t_plus OR fc.ks < t.t_minus""")

# MAX_BY compares rows by their first value, and then by the next.
_CLASS_SUMMARY = dedent("""\
    SELECT b.network, b.dataset, b.class_id, c.class_name, c.n_images,
           COALESCE(fa.n, 0) AS n_failed, b.n_measured, b.present, b.absent, b.highest,
           b.lowest, b.mean_abs_ks, b.top_layer, b.top_layer_mean_abs_ks
    FROM (SELECT l.network, l.dataset, l.class_id, MAX(l.n_inner) AS n_measured,
                 SUM(l.present) AS present, SUM(l.absent) AS absent,
                 MAX(l.highest) AS highest, MIN(l.lowest) AS lowest,
                 SUM(l.total) / NULLIF(SUM(l.n), 0) AS mean_abs_ks,
                 MAX_BY(l.layer, IF(l.n > 0, (l.total / NULLIF(l.n, 0), -d.depth), NULL))
                   AS top_layer,
                 MAX(l.total / NULLIF(l.n, 0)) AS top_layer_mean_abs_ks
          FROM (SELECT k.network, k.dataset, k.class_id, k.layer, MAX(k.n_inner) AS n_inner,
                       COUNT(IF(k.ks > t.t_plus, 1, NULL)) AS present,
                       COUNT(IF(k.ks < t.t_minus, 1, NULL)) AS absent,
                       MAX(k.ks) AS highest, MIN(k.ks) AS lowest,
                       SUM(ABS(k.ks)) AS total, COUNT(k.ks) AS n
                FROM ks AS k
                JOIN thresholds AS t
                  ON t.network = k.network AND t.dataset = k.dataset
                WHERE k.labels = 'true'
                GROUP BY k.network, k.dataset, k.class_id, k.layer) AS l
          JOIN network_layers AS d
            ON d.network = l.network AND d.layer = l.layer
          GROUP BY l.network, l.dataset, l.class_id) AS b
    JOIN classes AS c
      ON c.dataset = b.dataset AND c.class_id = b.class_id
    LEFT JOIN (SELECT x.network, x.dataset, e.class_id, COUNT(*) AS n
               FROM failures AS x
               JOIN image_labels AS e
                 ON e.dataset = x.dataset AND e.image_id = x.image_id
               GROUP BY x.network, x.dataset, e.class_id) AS fa
           ON fa.network = b.network AND fa.dataset = b.dataset
          AND fa.class_id = b.class_id""")

# Distances of a unit. Pairs without a distance count nowhere, so a dataset of one class has zeros.
_UNIT_SUMMARY = dedent(f"""\
    SELECT k.network, k.dataset, f.depth, k.layer, f.kind, k.unit, f.feature,
           COUNT(k.ks) AS n_classes,
           COUNT(IF(k.ks > t.t_plus, 1, NULL)) AS present,
           COUNT(IF(k.ks < t.t_minus, 1, NULL)) AS absent,
           COUNT(IF(k.ks < {paper.FAR_ABSENT}, 1, NULL)) AS far_absent,
           COUNT(IF(k.ks = 0, 1, NULL)) AS at_zero,
           MAX(k.ks) AS highest, MIN(k.ks) AS lowest,
           MAX((k.nonzero_inner * k.n_inner + k.nonzero_outer * k.n_outer)
               / NULLIF(k.n_inner + k.n_outer, 0)) AS nonzero
    FROM ks AS k
    JOIN features AS f
      ON f.network = k.network AND f.layer = k.layer AND f.unit = k.unit
    JOIN thresholds AS t
      ON t.network = k.network AND t.dataset = k.dataset
    WHERE k.labels = 'true'
    GROUP BY k.network, k.dataset, f.depth, k.layer, f.kind, k.unit, f.feature""")


def _of_sign(sign: str, column: str, name: str) -> str:
    return f"MAX(IF(l.labels = 'true' AND l.sign = '{sign}', l.{column}, NULL)) AS {name}"


_LAYER_SUMMARY = (
    "SELECT l.network, l.dataset, d.depth, l.layer, d.kind, d.n_features,\n       "
    + ",\n       ".join(
        _of_sign(sign, column, f"{name}_{suffix}")
        for sign, suffix in (("+", "plus"), ("-", "minus"))
        for column, name in (("n", "n"), ("mode", "mode"), ("q50", "median"), ("kept", "kept"))
    )
    + dedent("""\
        ,
               SUM(IF(l.labels = 'true', l.kept, NULL)) AS kept,
               SUM(IF(l.labels = 'shuffled', l.kept, NULL)) AS kept_shuffled
        FROM layers AS l
        JOIN network_layers AS d
          ON d.network = l.network AND d.layer = l.layer
        GROUP BY l.network, l.dataset, d.depth, l.layer, d.kind, d.n_features""")
)

_KIND_DISTRIBUTION = dedent("""\
    SELECT g.network, g.dataset, g.kind, g.bin, g.lo, g.hi, SUM(g.n) AS n,
           100 * CAST(SUM(g.n) AS DOUBLE)
             / NULLIF(SUM(SUM(g.n)) OVER (PARTITION BY g.network, g.dataset, g.kind), 0)
             AS percent
    FROM distribution AS g
    WHERE g.labels = 'true'
    GROUP BY g.network, g.dataset, g.kind, g.bin, g.lo, g.hi""")

# All distances of a layer; `distribution` counts them where `ks` does not keep shuffles.
_ALL = dedent("""\
    (SELECT g.network, g.dataset, g.labels, g.layer, SUM(g.n) AS n
          FROM distribution AS g GROUP BY g.network, g.dataset, g.labels, g.layer)""")

_NOISE = dedent("""\
    SELECT l.network, l.dataset, d.depth, l.layer, d.kind, l.sign,
           CAST(ROUND(l.kept * tp.n) AS BIGINT) AS true_pairs, l.kept AS true_share,
           CAST(ROUND(s.kept * sp.n) AS BIGINT) AS shuffled_pairs, s.kept AS shuffled_share,
           s.kept / NULLIF(l.kept, 0) AS noise
    FROM layers AS l
    JOIN layers AS s
      ON s.network = l.network AND s.dataset = l.dataset AND s.layer = l.layer
     AND s.sign = l.sign
    JOIN network_layers AS d
      ON d.network = l.network AND d.layer = l.layer
    JOIN {all} AS tp
      ON tp.network = l.network AND tp.dataset = l.dataset AND tp.layer = l.layer
     AND tp.labels = l.labels
    JOIN {all} AS sp
      ON sp.network = s.network AND sp.dataset = s.dataset AND sp.layer = s.layer
     AND sp.labels = s.labels
    WHERE l.labels = 'true' AND s.labels = 'shuffled'""").format(all=_ALL)

VIEW_QUERIES: Final[dict[str, str]] = {
    "image_labels": _IMAGE_LABELS,
    "classes": _CLASSES,
    "network_layers": _NETWORK_LAYERS,
    "feature_classes": _FEATURE_CLASSES,
    "top_features": _TOP_FEATURES,
    "relevant": _RELEVANT,
    "class_summary": _CLASS_SUMMARY,
    "unit_summary": _UNIT_SUMMARY,
    "layer_summary": _LAYER_SUMMARY,
    "kind_distribution": _KIND_DISTRIBUTION,
    "noise": _NOISE,
}
"""Every ready-made view by name; a view stands after those that it reads."""


def reads(*queries: str) -> list[str]:
    """The tables and views that queries of ours name, in the order of their texts."""
    named = (name for sql in queries for name in re.findall(r"\b(?:FROM|JOIN) (\w+)", sql))
    return list(dict.fromkeys(named))


def needs(names: Iterable[str]) -> list[str]:
    """These tables and views, and everything that the views read, each after what it reads."""
    ordered: dict[str, None] = {}
    for name in names:
        if name in VIEW_QUERIES:
            ordered |= dict.fromkeys(needs(reads(VIEW_QUERIES[name])))
        ordered[name] = None
    return list(ordered)
