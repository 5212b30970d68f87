"""Our numbers beside the paper's: its tables 1, 2 and 3, the fits, and its findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kdsspark import paper
from kdsspark.report.data import of_network
from kdsspark.report.findings import findings
from kdsspark.report.parts import formats, grid, names
from kdsspark.report.parts.grid import Grid
from kdsspark.report.parts.page import files_of

_SIDES = ("ours", "paper", "difference")


@dataclass(frozen=True, eq=False)
class Comparison:
    """One network beside the paper; ``tables`` has only those with a dataset or layer of its."""

    tables: Sequence[Grid]
    findings: Grid

    @property
    def files(self) -> dict[str, bytes]:
        """The CSV of all tables."""
        return files_of(*self.tables, self.findings)


def compare(
    network: str, all_frames: Mapping[str, pd.DataFrame], groups: Mapping[str, str]
) -> Comparison:
    """The paper's tables and findings for one network; ``all_frames`` have all networks."""
    frames = of_network(all_frames, network)
    thresholds = frames["thresholds"]
    columns = ["t_plus", "davg_plus", "t_minus", "davg_minus"]
    beside = {
        "table1": paper.layers_beside(frames["layers"]),
        "table2": paper.beside(
            thresholds, paper.DATASETS, ["n_images", "n_classes", "images_per_class"]
        ),
        "table3": paper.beside(thresholds, paper.THRESHOLDS, columns),
        "fits": fits(thresholds),
    }
    make = {"table1": _table1, "table2": _table2, "table3": _table3, "fits": _fits}
    tables = [
        make[name](frame, names.data_file(network, name))
        for name, frame in beside.items()
        if len(frame)
    ]
    judged = findings(network, all_frames, groups)
    return Comparison(tables, _findings(judged, names.data_file(network, "findings")))


def fits(thresholds: pd.DataFrame) -> pd.DataFrame:
    """The logarithmic fits of t+ and t- against images per class, ours and the paper's.

    Columns: of (whose), threshold, slope, intercept, r2, n (datasets). Ours are absent where there
    is no fit.
    """
    sizes = thresholds["images_per_class"]
    ours = [paper.log_fit(sizes, thresholds[name].astype(float)) for name in ("t_plus", "t_minus")]
    sources: dict[str, list[paper.LogFit | None]] = {
        "ours": ours,
        "paper, table 3": list(paper.published_fits()),
        "paper, table 3 without imagenet": list(paper.published_fits(without="imagenet")),
    }
    rows = [
        {"of": of, "threshold": threshold, **fit._asdict()}
        for of, both in sources.items()
        for threshold, fit in zip(("t+", "t\u2212"), both, strict=True)
        if fit is not None
    ]
    return pd.DataFrame(rows)


def _sides(heading: str, key: str, digits: int) -> list[grid.GridColumn]:
    return [
        grid.number(f"{heading}, {side}", f"{key}_{side}", digits, plus=side == "difference")
        for side in _SIDES
    ]


def _table1(frame: pd.DataFrame, path: str) -> Grid:
    columns = [
        grid.text("layer", "layer"),
        grid.number("features, ours", "features_ours"),
        grid.number("features, paper", "features_paper"),
    ]
    return grid.make("Table 1 of the paper: layers of VGG16.", columns, frame, path)


def _table2(frame: pd.DataFrame, path: str) -> Grid:
    columns = [
        grid.text("dataset", "dataset"),
        *_sides("images", "n_images", 0),
        *_sides("classes", "n_classes", 0),
        *_sides("images per class", "images_per_class", 1),
    ]
    return grid.make("Table 2 of the paper: datasets.", columns, frame, path)


def _table3(frame: pd.DataFrame, path: str) -> Grid:
    columns = [
        grid.text("dataset", "dataset"),
        *_sides("t+", "t_plus", 3),
        *_sides("davg(t+)", "davg_plus", 0),
        *_sides("t\u2212", "t_minus", 3),
        *_sides("davg(t\u2212)", "davg_minus", 0),
    ]
    caption = (
        "Table 3 of the paper: thresholds. davg is in features, the paper's of "
        f"{formats.number(paper.FEATURES)}."
    )
    return grid.make(caption, columns, frame, path)


def _fits(frame: pd.DataFrame, path: str) -> Grid:
    columns = [
        grid.text("thresholds", "of"),
        grid.text("", "threshold"),
        grid.number("slope", "slope", 4, plus=True),
        grid.number("intercept", "intercept", 3, plus=True),
        grid.number("R\u00b2", "r2", 2),
        grid.number("datasets", "n"),
    ]
    r2 = " and ".join(formats.number(value, 2) for value in paper.R2)
    caption = (
        "Section 7.1 of the paper: t = intercept + slope ln(images per class). It states "
        f"R\u00b2 of {r2}, which its table 3 gives when imagenet is left out."
    )
    return grid.make(caption, columns, frame, path)


def _findings(frame: pd.DataFrame, path: str) -> Grid:
    columns = [
        grid.text("section", "section"),
        grid.text("finding of the paper", "finding", wide=True),
        grid.text("holds here?", "holds"),
        grid.text("number", "number", wide=True),
    ]
    counts: dict[Any, int] = frame["holds"].value_counts().to_dict()
    answers = ("yes", "no", "not testable here")
    shares = ", ".join(f"{counts.get(answer, 0)} {answer}" for answer in answers)
    caption = f"The findings of the paper's sections 5 to 8, held against these tables: {shares}."
    return grid.make(caption, columns, frame, path)
