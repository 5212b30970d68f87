"""The ready-made views: Spark SQL over the tables, for the questions that are asked most.

All but ``runs`` and what they say is declared here once; :mod:`.views` opens them for a session,
:mod:`.catalog` keeps them in a metastore. Only true labels are looked at unless said otherwise,
and pairs of a feature and a class without a distance are left out.

Shares are NULL and not an error where nothing can be shared out: Spark refuses to divide by zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent
from typing import Final


@dataclass(frozen=True)
class ViewQuery:
    """One view: its query, the tables and earlier views that it reads, and what a row is."""

    sql: str
    reads: tuple[str, ...]
    meaning: str


_CLASSES = ViewQuery(
    dedent("""\
        SELECT i.dataset, i.class_id, i.class_name, COUNT(*) AS n_images
        FROM images AS i
        GROUP BY i.dataset, i.class_id, i.class_name"""),
    ("images",),
    "a class of a dataset, and how many images the index has of it",
)

# Filters by dataset and class pass through windows whose partitions have these columns.
_PAIRS = """\
SELECT k.network, k.dataset, k.class_id, c.class_name, k.layer, k.unit, f.feature, f.kind,
       f.depth, k.ks, k.ks_exact
FROM ks AS k
JOIN features AS f
  ON f.network = k.network AND f.layer = k.layer AND f.unit = k.unit
JOIN classes AS c
  ON c.dataset = k.dataset AND c.class_id = k.class_id
WHERE k.labels = 'true' AND k.ks IS NOT NULL"""
_OF_A_CLASS = "PARTITION BY p.network, p.dataset, p.class_id, p.class_name"

_TOP_FEATURES = ViewQuery(
    f"SELECT p.*,\n"
    f"       ROW_NUMBER() OVER ({_OF_A_CLASS}\n"
    f"                          ORDER BY p.ks DESC, p.depth, p.unit) AS rank_high,\n"
    f"       ROW_NUMBER() OVER ({_OF_A_CLASS}\n"
    f"                          ORDER BY p.ks, p.depth, p.unit) AS rank_low\n"
    f"FROM ({_PAIRS}) AS p",
    ("ks", "features", "images", "classes"),
    "a pair, and the rank of its feature among those of the class: rank_high 1 has the highest "
    "ks, rank_low 1 the lowest; of equals, the shallower layer and then the lower unit comes first",
)

_RELEVANT = ViewQuery(
    f"SELECT p.*, IF(p.ks > 0, '+', '-') AS sign, IF(p.ks > 0, t.t_plus, t.t_minus) AS threshold\n"
    f"FROM ({_PAIRS}) AS p\n"
    f"JOIN thresholds AS t\n"
    f"  ON t.network = p.network AND t.dataset = p.dataset\n"
    f"WHERE p.ks > t.t_plus OR p.ks < t.t_minus",
    ("ks", "features", "images", "classes", "thresholds"),
    "a pair strictly beyond the threshold of its sign",
)

_CLASS_SUMMARY = ViewQuery(
    dedent("""\
        SELECT b.network, b.dataset, b.class_id, c.class_name, c.n_images,
               COALESCE(fa.n, 0) AS n_failed, b.present, b.absent, b.mean_abs_ks, b.top_layer,
               b.top_layer_mean_abs_ks
        FROM (SELECT l.network, l.dataset, l.class_id, SUM(l.present) AS present,
                     SUM(l.absent) AS absent,
                     SUM(l.total) / NULLIF(SUM(l.pairs), 0) AS mean_abs_ks,
                     MAX_BY(l.layer, IF(l.pairs > 0,
                                        STRUCT(l.total / NULLIF(l.pairs, 0), -d.depth),
                                        NULL)) AS top_layer,
                     MAX(l.total / NULLIF(l.pairs, 0)) AS top_layer_mean_abs_ks
              FROM (SELECT k.network, k.dataset, k.class_id, k.layer,
                           COUNT_IF(k.ks > t.t_plus) AS present,
                           COUNT_IF(k.ks < t.t_minus) AS absent,
                           SUM(ABS(k.ks)) AS total, COUNT(k.ks) AS pairs
                    FROM ks AS k
                    JOIN thresholds AS t
                      ON t.network = k.network AND t.dataset = k.dataset
                    WHERE k.labels = 'true'
                    GROUP BY k.network, k.dataset, k.class_id, k.layer) AS l
              JOIN (SELECT DISTINCT f.network, f.layer, f.depth FROM features AS f) AS d
                ON d.network = l.network AND d.layer = l.layer
              GROUP BY l.network, l.dataset, l.class_id) AS b
        JOIN classes AS c
          ON c.dataset = b.dataset AND c.class_id = b.class_id
        LEFT JOIN (SELECT x.network, x.dataset, x.class_id, COUNT(*) AS n
                   FROM failures AS x
                   GROUP BY x.network, x.dataset, x.class_id) AS fa
               ON fa.network = b.network AND fa.dataset = b.dataset
              AND fa.class_id = b.class_id"""),
    ("ks", "thresholds", "features", "images", "classes", "failures"),
    "a class: its images, those that failed, its features beyond t+ (present) and t- (absent), "
    "the mean of |ks|, and the layer where that mean is largest",
)

_DEPTHS = (
    "(SELECT f.network, f.layer, f.kind, f.depth, COUNT(*) AS n_features\n"
    "      FROM features AS f GROUP BY f.network, f.layer, f.kind, f.depth) AS d\n"
    "  ON d.network = l.network AND d.layer = l.layer"
)


def _of_sign(column: str, sign: str, name: str) -> str:
    return f"MAX(IF(l.sign = '{sign}', l.{column}, NULL)) AS {name}"


_LAYER_SUMMARY = ViewQuery(
    "SELECT l.network, l.dataset, d.depth, l.layer, d.kind, d.n_features,\n       "
    + ",\n       ".join(
        _of_sign(column, sign, f"{name}_{suffix}")
        for sign, suffix in (("+", "plus"), ("-", "minus"))
        for column, name in (("n", "n"), ("mode", "mode"), ("q50", "median"), ("kept", "kept"))
    )
    + ",\n       SUM(l.kept) AS kept\n"
    f"FROM layers AS l\n"
    f"JOIN {_DEPTHS}\n"
    f"WHERE l.labels = 'true'\n"
    f"GROUP BY l.network, l.dataset, d.depth, l.layer, d.kind, d.n_features",
    ("layers", "features"),
    "a layer: of its pairs of either sign the number n, the mode of the log-normal fit, the median "
    "of |ks| and the share kept beyond the threshold; kept is the share of both signs",
)

_NOISE = ViewQuery(
    dedent(f"""\
        SELECT l.network, l.dataset, d.depth, l.layer, d.kind, l.sign,
               CAST(ROUND(l.kept * tp.n) AS BIGINT) AS true_pairs, l.kept AS true_share,
               CAST(ROUND(s.kept * sp.n) AS BIGINT) AS shuffled_pairs, s.kept AS shuffled_share,
               s.kept / NULLIF(l.kept, 0) AS noise
        FROM layers AS l
        JOIN layers AS s
          ON s.network = l.network AND s.dataset = l.dataset AND s.layer = l.layer
         AND s.sign = l.sign
        JOIN {_DEPTHS}
        JOIN {{pairs}} AS tp
          ON tp.network = l.network AND tp.dataset = l.dataset AND tp.layer = l.layer
         AND tp.labels = l.labels
        JOIN {{pairs}} AS sp
          ON sp.network = s.network AND sp.dataset = s.dataset AND sp.layer = s.layer
         AND sp.labels = s.labels
        WHERE l.labels = 'true' AND s.labels = 'shuffled'""").format(
        # All pairs of a layer with a distance; there also where those of shuffles are not kept.
        pairs="(SELECT g.network, g.dataset, g.labels, g.layer, SUM(g.n) AS n\n"
        "      FROM distribution AS g GROUP BY g.network, g.dataset, g.labels, g.layer)"
    ),
    ("layers", "features", "distribution"),
    "a layer and a sign: pairs beyond the threshold and their share, under true labels and under "
    "all shuffles together; noise is the one share by the other",
)

VIEW_QUERIES: Final[dict[str, ViewQuery]] = {
    "classes": _CLASSES,
    "top_features": _TOP_FEATURES,
    "relevant": _RELEVANT,
    "class_summary": _CLASS_SUMMARY,
    "layer_summary": _LAYER_SUMMARY,
    "noise": _NOISE,
}
"""Every ready-made view by name, those first that others read."""
