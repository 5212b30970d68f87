"""Occlusion in the report (Zeiler & Fergus 2013, figure 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from kdsspark import paper_seeds
from kdsspark.report.experiments.chosen.pictures import first_images, pixels
from kdsspark.report.experiments.shown import Frames, Numbers, Picture, Shown
from kdsspark.report.figures.occlusion import Example, occlusion
from kdsspark.report.parts import grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(frame: pd.DataFrame) -> Figure:
    """Five panels a row, one image a row."""
    return occlusion([_example(rows) for _, rows in _images(frame)])


def _images(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each image, in the order of the frame."""
    found = frame.groupby(["dataset", "image_id"], sort=False)
    return [(str(key), rows) for key, rows in found]


def _example(rows: pd.DataFrame) -> Example:
    """What the figure draws of an image; its rows are in the order of the places."""
    first = rows.iloc[0]
    known = not pd.isna(first["class_unit"])
    names = rows.dropna(subset="likeliest").drop_duplicates("likeliest")
    return Example(
        image=pixels(first["picture"]),
        projection=pixels(first["projection"]),
        class_name=first["class_name"],
        layer=first["layer"],
        unit=int(first["unit"]),
        side=int(first["side"]),
        stride=int(first["stride"]),
        activation=_grid(rows, "activation"),
        plain_activation=float(first["plain_activation"]),
        probability=_grid(rows, "probability") if known else None,
        plain_probability=float(first["plain_probability"]) if known else None,
        probability_of="" if first["true_class"] or not known else _plain_name(first),
        likeliest=_grid(rows, "likeliest").astype(np.int64) if known else None,
        names={
            int(row["likeliest"]): class_name(row["likeliest_name"], row["likeliest"])
            for _, row in names.iterrows()
        },
    )


def _grid(rows: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """The values of a column at all places: [rows, columns]."""
    values = rows.pivot(index="y", columns="x", values=column)
    return values.to_numpy(np.float64)


def class_name(name: Any, unit: Any) -> str:
    """The name of a class, or its number where no names are configured."""
    return f"class {int(unit)}" if pd.isna(name) else str(name)


def _plain_name(first: pd.Series[Any]) -> str:
    return class_name(first["plain_likeliest_name"], first["plain_likeliest"])


def rows(frames: Frames) -> pd.DataFrame:
    """One row an image: what the square costs where it costs most."""
    return pd.DataFrame([_summary(rows) for _, rows in _images(frames["occlusion"])])


def _summary(rows: pd.DataFrame) -> dict[str, object]:
    first = rows.iloc[0]
    values = {name: first[name] for name in ("dataset", "class_name", "image_id", "layer", "unit")}
    values["kept"] = rows["activation"].min() / first["plain_activation"]
    if pd.isna(first["class_unit"]):
        empty = "followed", "plain", "lowest", "highest", "stays", "together"
        return values | dict.fromkeys(empty)
    name = first["class_name"] if first["true_class"] else _plain_name(first)
    chances = rows["probability"].astype(float)
    constant = rows["activation"].nunique() < 2 or chances.nunique() < 2
    return values | {
        "followed": name if first["true_class"] else f"{name} (likeliest)",
        "plain": first["plain_probability"],
        "lowest": chances.min(),
        "highest": chances.max(),
        "stays": (rows["likeliest"] == first["plain_likeliest"]).mean(),
        "together": None if constant else rows["activation"].corr(chances, "spearman"),
    }


SHOWN: Final = Shown(
    name="occlusion",
    title="What a grey square hides",
    paper=f"{paper_seeds.ZEILER}, section 4.2, figure 7",
    says=(
        "A grey square moves over an image. The network looks for the object and not only at its "
        "surroundings: where the object is hidden, the probability of its class drops "
        "significantly. Where the square covers what the projection of the strongest map of "
        "layer 5 shows, the map's activation drops strongly. So the projection does show the "
        "structure that excites the map.",
    ),
    pictures=(
        Picture(
            name="occlusion",
            title="Image by image (figure 7 of the paper)",
            query="occlusion",
            text=(
                "(b) The sum of the map of the last convolution that is strongest in the image as "
                "it is, as the square hides a place; a place is drawn where the middle of the "
                "square lay. (c) What excites the maximum of that map, by deconvnet projection. "
                "(d) The probability of the class of the image, or of the class that is named "
                "below, where the classifier does not know that of the image. (e) The likeliest "
                "class. The white frame is the place that costs most.",
                "The paper states neither the size of the square nor its steps. Here they are 48 "
                "and 16 pixels of a crop of 224. Of many images the figure has the first eight.",
            ),
            drawn=first_images,
            figure=figure,
        ),
    ),
    numbers=(
        Numbers(
            "What the square costs: the least that is left of the map's sum, the probability "
            "without a square, its least and its most, and the share of the places at which the "
            "likeliest class stays. Together: Spearman's correlation of the map's sum with the "
            "probability over the places.",
            (
                grid.text("dataset", "dataset"),
                grid.text("class", "class_name"),
                grid.text("layer", "layer"),
                grid.number("unit", "unit"),
                grid.percent("map left", "kept"),
                grid.text("probability of", "followed"),
                grid.number("as it is", "plain", 2),
                grid.number("least", "lowest", 2),
                grid.number("most", "highest", 2),
                grid.percent("class stays", "stays"),
                grid.number("together", "together", 2),
            ),
            rows,
        ),
    ),
)
