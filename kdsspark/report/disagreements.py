"""Where other distances disagree most with ks (paper section 4): the query and its result.

Distances of different units are compared by rank. ``PERCENT_RANK`` is the share of the other pairs
of the same layer and dataset that a pair is above; its rank by a distance less its rank by \\|ks\\|
is the ``gap``, from -1 to 1. The area under the curve counts by how far it is from 0.5; average
precision, which knows of presence alone, is held against ks with its sign.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from kdsspark.stats.distances import DISTANCES


def _query() -> str:
    apart = {name: f"d.{name}" for name in DISTANCES} | {"auc": "ABS(d.auc - 0.5)"}
    apart |= {"ks": "k.ks", "abs_ks": "ABS(k.ks)"}
    over = "PERCENT_RANK() OVER (PARTITION BY d.network, d.dataset, d.layer ORDER BY"
    ranks = [f"{over} {of}) AS rank_{name}" for name, of in apart.items()]
    rows = [
        f"'{name}', p.{name}, p.rank_{name}, "
        + ("p.rank_ks" if name == "average_precision" else "p.rank_abs_ks")
        for name in DISTANCES
    ]
    # MAX and MIN of a structure compare its first field, the gap, and then the next ones.
    return f"""\
SELECT e.network, e.dataset, e.distance, e.gap, e.layer, e.unit, e.class_id,
       COALESCE(c.class_name, CONCAT('class ', e.class_id)) AS class_name,
       e.value, e.ks, e.rank, e.rank_ks
FROM (SELECT s.network, s.dataset, s.distance, x.*
      FROM (SELECT p.network, p.dataset, v.distance,
                   MAX(STRUCT(v.rank - v.rank_ks AS gap, p.layer, p.unit, p.class_id, v.value,
                              p.ks, v.rank, v.rank_ks)) AS above,
                   MIN(STRUCT(v.rank - v.rank_ks AS gap, p.layer, p.unit, p.class_id, v.value,
                              p.ks, v.rank, v.rank_ks)) AS below
            FROM (SELECT d.*, k.ks,
                         {_lines(ranks, 25)}
                  FROM distances AS d
                  JOIN ks AS k
                    ON k.network = d.network AND k.dataset = d.dataset AND k.layer = d.layer
                   AND k.unit = d.unit AND k.class_id = d.class_id
                  WHERE k.labels = 'true' AND k.ks IS NOT NULL) AS p
            LATERAL VIEW STACK({len(rows)},
                               {_lines(rows, 31)}) v
                   AS distance, value, rank, rank_ks
            WHERE v.value IS NOT NULL
            GROUP BY p.network, p.dataset, v.distance) AS s
      LATERAL VIEW INLINE(ARRAY(s.above, s.below)) x) AS e
LEFT JOIN (SELECT DISTINCT i.dataset, i.class_id, i.class_name FROM images AS i) AS c
       ON c.dataset = e.dataset AND c.class_id = e.class_id
ORDER BY e.network, e.dataset, e.distance, e.gap DESC"""


def _lines(items: list[str], indent: int) -> str:
    return f",\n{' ' * indent}".join(items)


DISAGREEMENTS: Final = _query()
"""Of each network, dataset and distance the pair with the largest gap and that with the smallest.

Spark SQL of its own, and not one of ``QUERIES``: it is run where there are other distances.
"""


def widest(found: pd.DataFrame) -> pd.DataFrame:
    """Of the result of ``DISAGREEMENTS`` the two rows of each network and distance to be drawn.

    Those of the dataset with the largest gap, and of that with the smallest, in this order.
    """
    ordered = found.sort_values("gap", ascending=False, kind="stable")
    ends = ordered.groupby(["network", "distance"], sort=False)
    both = pd.concat([ends.head(1), ends.tail(1)])
    both = both[~both.index.duplicated()]
    places = {name: place for place, name in enumerate(DISTANCES)}
    return both.sort_values(
        ["network", "distance"],
        key=lambda column: column.map(places) if column.name == "distance" else column,
        kind="stable",
    ).reset_index(drop=True)
