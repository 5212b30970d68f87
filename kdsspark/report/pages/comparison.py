"""Our numbers beside the paper's: its tables 1, 2 and 3, the fits, and its findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from kdsspark import paper
from kdsspark.report.data import of_network
from kdsspark.report.findings import ANSWERS
from kdsspark.report.parts import formats, grid, names
from kdsspark.report.parts.grid import Grid
from kdsspark.report.parts.page import files_of

_SIDES = ("ours", "paper", "difference")
_OWN = ("n_images", "n_classes", "least", "most", "images_per_class")  # columns of table 2


@dataclass(frozen=True, eq=False)
class PaperComparison:
    """One network beside the paper; ``tables`` has only those with a dataset or layer of its."""

    tables: Sequence[Grid]
    findings: Grid

    @property
    def files(self) -> dict[str, bytes]:
        """The CSV of all tables."""
        return files_of(*self.tables, self.findings)


def compare(
    network: str, all_frames: Mapping[str, pd.DataFrame], judged: Mapping[str, pd.DataFrame]
) -> PaperComparison:
    """The paper's tables and findings for one network.

    ``all_frames`` have all networks; ``judged``: network -> its findings, of all networks.
    """
    frames = of_network(all_frames, network)
    thresholds, layers = frames["thresholds"], frames["layers"]
    features = int(layers["features"].sum())
    beside = {
        "table1": paper.layers_beside(layers.merge(frames["sizes"], how="left")),
        "table2": paper.beside(_with_extremes(thresholds, frames["classes"]), paper.DATASETS, _OWN),
        "table3": thresholds_beside(thresholds, features),
        "fits": fits(thresholds),
    }
    make: dict[str, Callable[[pd.DataFrame, str], Grid]] = {
        "table1": _table1,
        "table2": _table2,
        "table3": partial(_table3, features=features),
        "fits": _fits,
    }
    tables = [
        make[name](frame, names.data_file(network, name))
        for name, frame in beside.items()
        if len(frame)
    ]
    return PaperComparison(tables, _findings(network, judged, names.data_file(network, "findings")))


def _with_extremes(thresholds: pd.DataFrame, classes: pd.DataFrame) -> pd.DataFrame:
    """``least`` and ``most``: the images of the smallest and of the largest class of a dataset."""
    images = classes.groupby("dataset")["images"]
    sizes = pd.DataFrame({"least": images.min(), "most": images.max()})
    return thresholds.merge(sizes, left_on="dataset", right_index=True, how="left")


def thresholds_beside(thresholds: pd.DataFrame, features: int) -> pd.DataFrame:
    """Table 3 and ours: dataset; t_plus, davg_plus, t_minus, davg_minus as :func:`paper.beside`.

    Where the embedding has not the paper's number of features, davg is in percent of its
    ``features``, and the paper's in percent of its own.
    """
    columns = ["t_plus", "davg_plus", "t_minus", "davg_minus"]
    if features == paper.FEATURES:
        return paper.beside(thresholds, paper.THRESHOLDS, columns)
    ours, published = (
        rows.assign(**{c: rows[c].astype(float) * 100 / n for c in ("davg_plus", "davg_minus")})
        for rows, n in ((thresholds, features), (paper.THRESHOLDS, paper.FEATURES))
    )
    return paper.beside(ours, published, columns)


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


def _sides(
    heading: str, key: str, digits: int, sides: Sequence[str] = _SIDES
) -> list[grid.GridColumn]:
    return [
        grid.number(f"{heading}, {side}", f"{key}_{side}", digits, plus=side == "difference")
        for side in sides
    ]


def _table1(frame: pd.DataFrame, path: str) -> Grid:
    columns = [
        grid.text("layer", "layer"),
        *_sides("features", "features", 0, _SIDES[:2]),
        *_sides("parameters", "parameters", 0, _SIDES[:2]),
        *_sides("neurons", "neurons", 0, _SIDES[:2]),
    ]
    caption = (
        "Table 1 of the paper: layers of VGG16. Neurons are the values of a layer for one crop; "
        "the paper rounds them, and the parameters."
    )
    return grid.make(caption, columns, frame, path)


def _table2(frame: pd.DataFrame, path: str) -> Grid:
    columns = [
        grid.text("dataset", "dataset"),
        *_sides("images", "n_images", 0),
        *_sides("classes", "n_classes", 0),
        *_sides("least per class", "least", 0, _SIDES[:2]),
        *_sides("most per class", "most", 0, _SIDES[:2]),
        *_sides("mean per class", "images_per_class", 1),
    ]
    return grid.make("Table 2 of the paper: datasets.", columns, frame, path)


def _table3(frame: pd.DataFrame, path: str, features: int) -> Grid:
    davg, digits, unit = "", 0, f"features, of {formats.number(features)}"
    if features != paper.FEATURES:
        davg, digits = " in %", 1
        unit = (
            f"percent of the features: ours of {formats.number(features)}, the paper's of "
            f"{formats.number(paper.FEATURES)}"
        )
    columns = [
        grid.text("dataset", "dataset"),
        *_sides("t+", "t_plus", 3),
        *_sides(f"davg(t+){davg}", "davg_plus", digits),
        *_sides("t\u2212", "t_minus", 3),
        *_sides(f"davg(t\u2212){davg}", "davg_minus", digits),
    ]
    caption = f"Table 3 of the paper: thresholds. davg is in {unit}."
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


def _findings(network: str, judged: Mapping[str, pd.DataFrame], path: str) -> Grid:
    """The findings of a network, with the answers of all other networks beside its own."""
    frame = judged[network]
    others = {name: f"holds_{name}" for name in judged if name != network}
    beside = {column: judged[name]["holds"].to_numpy() for name, column in others.items()}
    columns = [
        grid.text("section", "section"),
        grid.text("finding of the paper", "finding", wide=True),
        grid.text("holds here?", "holds"),
        grid.text("number", "number", wide=True),
        grid.text("the paper's value", "paper", wide=True),
        *(grid.text(f"by {name}?", column) for name, column in others.items()),
    ]
    counts: dict[Any, int] = frame["holds"].value_counts().to_dict()
    shares = ", ".join(f"{counts.get(answer, 0)} {answer}" for answer in ANSWERS)
    caption = f"The findings of the paper's sections 3 to 8, held against these tables: {shares}."
    return grid.make(caption, columns, frame.assign(**beside), path)
