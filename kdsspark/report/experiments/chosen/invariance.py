"""Invariance in the report (Zeiler & Fergus 2013, figure 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from kdsspark import paper_seeds
from kdsspark.report.experiments.chosen.pictures import first_images, pixels
from kdsspark.report.experiments.shown import Frames, Numbers, Picture, Shown
from kdsspark.report.figures import canvas
from kdsspark.report.figures.canvas import GREY
from kdsspark.report.figures.panels import datasets_in_order
from kdsspark.report.parts import grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CHANGES: Final = {  # change -> label of its axis, and the amount that leaves the image as it is
    "shift": ("pixels down", 0.0),
    "scale": ("factor", 1.0),
    "rotation": ("degrees", 0.0),
}
_HEIGHT: Final = 1.75  # inches of a row of panels


def drawn(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first and the last layer that is no classifier, of the images with room."""
    inner = frame[~frame["is_classifier"].astype(bool)]
    inner = inner if len(inner) else frame
    ends = {frame["depth"].min(), inner["depth"].min(), inner["depth"].max()}
    return first_images(frame[frame["depth"].isin(ends)])


@canvas.styled
def figure(frame: pd.DataFrame) -> Figure:
    """Three rows a dataset (shift, scale, rotation), four columns.

    The columns: the images, the distances of the first and of the last layer, the probability.
    """
    names = datasets_in_order(frame)
    inner = frame.loc[~frame["is_classifier"].astype(bool), "depth"]
    depths = inner if len(inner) else frame["depth"]
    layers = [str(frame.loc[frame["depth"] == d, "layer"].iloc[0]) for d in _ends(depths)]
    height = _HEIGHT * len(_CHANGES) * len(names) + 0.3
    made = canvas.blank(canvas.WIDTH, height)
    axes = made.subplots(len(_CHANGES) * len(names), 4, squeeze=False)
    panels = iter(axes)
    for name in names:
        own = frame[frame["dataset"] == name]
        for change in _CHANGES:
            _row(list(next(panels)), own[own["change"] == change], change, layers)
    titles = "images", f"distance, {layers[0]}", f"distance, {layers[1]}", "probability"
    for number, ax in enumerate(axes[:: len(_CHANGES)].ravel()):
        title = titles[number % 4]
        name = f"{names[number // 4]}: " if number % 4 == 0 and len(names) > 1 else ""
        ax.set_title(canvas.shorten(f"{name}{title}", 26), loc="left")
    return made


def _ends(depths: pd.Series[int]) -> tuple[int, int]:
    return int(depths.min()), int(depths.max())


def _row(axes: list[Axes], frame: pd.DataFrame, change: str, layers: list[str]) -> None:
    pictures, *distances, probability = axes
    images = list(frame.groupby("image_id", sort=False))
    styles = [
        {k: v for k, v in canvas.line_style(i + 1).items() if k in _KEPT}
        for i, _ in enumerate(images)
    ]
    _mosaic(pictures, [rows for _, rows in images], styles)
    for ax, layer in zip(distances, layers, strict=True):
        for (_, rows), style in zip(images, styles, strict=True):
            own = rows[rows["layer"] == layer].sort_values("amount")
            ax.plot(own["amount"], own["distance"], **style)
        ax.set_ylim(bottom=0)
    for (_, rows), style in zip(images, styles, strict=True):
        own = rows.dropna(subset="probability").sort_values("amount")
        probability.plot(own["amount"], own["probability"].astype(float), **style)
    if frame["probability"].isna().all():
        probability.text(
            0.5, 0.5, "no classifier", transform=probability.transAxes, ha="center", color=GREY
        )
        probability.set_axis_off()
    probability.set_ylim(0, 1.02)
    for ax in axes[1:]:
        ax.set_xlabel(_CHANGES[change][0])


_KEPT: Final = ("color", "linestyle", "linewidth")


def _mosaic(ax: Axes, images: list[pd.DataFrame], styles: list[dict[str, Any]]) -> None:
    """A row of small pictures for each image, from the least amount to the most; its class."""
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([])
    for place, (rows, style) in enumerate(zip(images, styles, strict=True)):
        shown = rows.dropna(subset="picture").sort_values("amount")
        row = np.concatenate([_framed(picture) for picture in shown["picture"]], axis=1)
        ax.imshow(row, extent=(0, len(shown), place + 1, place))
        name = canvas.shorten(str(rows["class_name"].iloc[0]), 14)
        ax.text(-0.15, place + 0.5, name, ha="right", va="center", fontsize=6, color=style["color"])
    ax.autoscale()
    ax.set_ylim(len(images), 0)


def _framed(picture: bytes) -> npt.NDArray[np.uint8]:
    """The pixels with a white margin on the right and below."""
    return np.pad(pixels(picture), ((0, 3), (0, 3), (0, 0)), constant_values=255)


def rows(frames: Frames) -> pd.DataFrame:
    """Of each layer and change: how far it moves at most, and how far by the smallest step."""
    frame = frames["invariance"]
    found = []
    keys = ["dataset", "depth", "layer", "change"]
    frame = frame.assign(share=frame["distance"] / frame["length"].replace(0, np.nan))
    for (dataset, depth, layer, name), own in frame.groupby(keys):
        change = str(name)
        away = (own["amount"] - _CHANGES[change][1]).abs()
        if change == "rotation":
            away = away.clip(upper=360 - away)
        step = away[away > 0].min()
        largest = own.groupby("image_id")["share"].max()
        first = own[away == step].groupby("image_id")["share"].mean()
        found.append(
            {
                "dataset": dataset,
                "images_per_class": own["images_per_class"].iloc[0],
                "depth": depth,
                "layer": layer,
                "change": change,
                "images": len(largest),
                "largest": largest.mean(),
                "first": (first / largest.replace(0, np.nan)).mean(),
                "step": step,
                "linear": step / away.max(),
            }
        )
    order = ["images_per_class", "dataset", "change", "depth"]
    return pd.DataFrame(found).sort_values(order, kind="stable")


def chances(frames: Frames) -> pd.DataFrame:
    """Of each image and change: the probability as it is, and the least."""
    frame = frames["invariance"].dropna(subset="probability")
    found = []
    for (dataset, image, name), own in frame.groupby(["dataset", "image_id", "change"], sort=False):
        plain = own[own["amount"] == _CHANGES[str(name)][1]].iloc[0]
        least = own.iloc[int(own["probability"].astype(float).argmin())]
        found.append(
            {
                "dataset": dataset,
                "image": image,
                "class_name": plain["class_name"],
                "followed": "its class" if plain["true_class"] else "the likeliest as it is",
                "likeliest": plain["likeliest_name"],
                "change": name,
                "plain": plain["probability"],
                "least": least["probability"],
                "at": least["amount"],
            }
        )
    columns = ["dataset", "image", "class_name", "followed", "likeliest", "change"]
    return pd.DataFrame(found, columns=[*columns, "plain", "least", "at"])


SHOWN: Final = Shown(
    name="invariance",
    title="Shifted, scaled and turned",
    paper=f"{paper_seeds.ZEILER}, section 4.1, figure 5",
    says=(
        "Small changes have a dramatic effect in the first layer of the model, but a lesser impact "
        "at the top layer, which is quasi-linear for translation and scaling. The output is stable "
        "to translations and scalings. In general it is not invariant to rotation, except for "
        "objects with rotational symmetry.",
    ),
    pictures=(
        Picture(
            name="invariance",
            title="Distances and probabilities as images change (figure 5 of the paper)",
            query="invariance",
            text=(
                "Rows: vertical shift, scale, rotation. Columns: the images, from the least amount "
                "to the most; the Euclidean distance of the first layer's values from those of the "
                "image as it is; the same of the last layer; the probability of the class of the "
                "image, or of the likeliest class of the image as it is, where the classifier does "
                "not know that of the image. One colour is one image.",
                "Values are those at all places of the maps, and not pooled. The paper states no "
                "ranges: these are what its axes show. What comes in from outside the crop is "
                "grey. Of many images the figure has the first eight.",
            ),
            drawn=drawn,
            figure=figure,
        ),
    ),
    numbers=(
        Numbers(
            "Means over the images. Largest: the largest distance, as a share of the length of the "
            "layer's vector. By the first step: how much of that the smallest change reaches; in "
            "proportion to the change it would be the last column.",
            (
                grid.text("dataset", "dataset"),
                grid.text("layer", "layer"),
                grid.text("change", "change"),
                grid.percent("largest", "largest"),
                grid.percent("by the first step", "first"),
                grid.number("step", "step", 2),
                grid.percent("in proportion", "linear"),
                grid.number("images", "images"),
            ),
            rows,
        ),
        Numbers(
            "The probability of the class that is followed: of the image as it is, and the least.",
            (
                grid.text("dataset", "dataset"),
                grid.text("class", "class_name"),
                grid.text("followed", "followed"),
                grid.text("likeliest as it is", "likeliest"),
                grid.text("change", "change"),
                grid.number("as it is", "plain", 2),
                grid.number("least", "least", 2),
                grid.number("at", "at", 2),
            ),
            chances,
        ),
    ),
)
