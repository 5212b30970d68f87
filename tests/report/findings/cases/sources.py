"""Cases for the findings of another source task."""

from __future__ import annotations

from kdsspark import paper
from tests.report.findings.cases.made import FALLING, FAR, FOUR, NEAR, RISING, Case
from tests.report.findings.tables import Frames, bars, figure5, frame, kinds, together

PLACES = "net-places"


def with_places(here: Frames, there: Frames) -> Frames:
    """``here`` by the network for ImageNet, ``there`` by that for Places."""
    moved = {name: rows.assign(network=PLACES) for name, rows in there.items()}
    names = {"thresholds": frame([{"dataset": "birds"}])}
    other = {"thresholds": frame([{"dataset": "birds"}], PLACES)}
    return together(here, moved, names, other)


CASES: dict[str, Case] = {
    "sources_alike": Case(
        with_places(kinds({"x": NEAR, "y": FAR}, {}), kinds({"x": NEAR, "y": FAR}, {})),
        "networks differ by 0.000, datasets by 1.000",
        with_places(kinds({"x": NEAR, "y": NEAR}, {}), kinds({"x": FAR, "y": FAR}, {})),
        "networks differ by 1.000, datasets by 0.000",
    ),
    "low_sources_alike": Case(
        with_places(figure5({"x": [0.1, 0.1, 0.1]}), figure5({"x": [0.1, 0.1, 0.3]})),
        "modes differ by 0% in low layers, 100% in upper ones",
        with_places(figure5({"x": [0.1, 0.1, 0.1]}), figure5({"x": [0.3, 0.3, 0.1]})),
        "modes differ by 100% in low layers, 0% in upper ones",
    ),
    "size_recurs": Case(
        figure5(FALLING, FOUR, network=PLACES),
        "Spearman -1.00",
        figure5(RISING, FOUR, network=PLACES),
        "Spearman +1.00",
        PLACES,
    ),
    "textured_recur": Case(
        {
            "figure5": bars({"wood": [0.5] * 3, "flowers102": [0.4] * 3, "x": [0.2] * 3})[
                "figure5"
            ].assign(network=PLACES)
        },
        "at least 0.400, others up to 0.200",
        {
            "figure5": bars({"wood": [0.5] * 3, "flowers102": [0.1] * 3, "x": [0.2] * 3})[
                "figure5"
            ].assign(network=PLACES)
        },
        "at least 0.100, others up to 0.200",
        PLACES,
    ),
    "scenes_at_home": Case(
        with_places(figure5({"mit67": [0.3, 0.1]}, fc=1), figure5({"mit67": [0.1, 0.2]}, fc=1)),
        "gap 0.400 in net-places, 0.200 in the others",
        with_places(figure5({"mit67": [0.1, 0.2]}, fc=1), figure5({"mit67": [0.3, 0.1]}, fc=1)),
        "gap 0.200 in net-places, 0.400 in the others",
        PLACES,
    ),
    "dogs_abroad": Case(
        with_places(
            figure5({d: [0.1, 0.2] for d in paper.NARROW_SUBSETS}, fc=1),
            figure5({d: [0.3, 0.1] for d in paper.NARROW_SUBSETS}, fc=1),
        ),
        "gap 0.200 in net-places, 0.400 in the others",
        with_places(
            figure5({d: [0.3, 0.1] for d in paper.NARROW_SUBSETS}, fc=1),
            figure5({d: [0.1, 0.2] for d in paper.NARROW_SUBSETS}, fc=1),
        ),
        "gap 0.400 in net-places, 0.200 in the others",
        PLACES,
    ),
    "fc6_contracts": Case(
        figure5({"x": [0.3, 0.2, 0.3], "y": [0.3, 0.1, 0.3]}, fc=2, network=PLACES),
        "narrower in 2 of 2 datasets",
        figure5({"x": [0.3, 0.2, 0.3], "y": [0.3, 0.4, 0.3]}, fc=2, network=PLACES),
        "narrower in 1 of 2 datasets",
        PLACES,
    ),
}
