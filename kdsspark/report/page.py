"""The page: numbers in, ``index.html`` and the files of its figures out.

Runs on the driver, reads nothing and writes nothing. The page stands alone (styles and figures
are inside it, no script, no network) and everything that comes from data is escaped by Jinja.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from kdsspark.report import canvas
from kdsspark.report.figures import FIGURES
from kdsspark.report.queries import QUERIES

_CLASSES_SHOWN: Final = 3  # at either end of each dataset


class Run(TypedDict):
    """When and with what the tables were computed."""

    when: str  # for people, e.g. "2024-03-01 12:30 UTC"
    duration_s: float  # seconds that tasks spent, all together
    versions: Mapping[str, str]  # kdsspark, python, pyspark, torch, numpy -> version
    configuration: str  # YAML, printed as it is: leave secrets out


class NetworkInfo(TypedDict):
    """One source network; None where it does not apply (ready-made embeddings)."""

    name: str
    architecture: str | None
    weights: str | None  # as named in the configuration
    random: bool  # whether the weights were drawn, not trained
    layers: int
    features: int
    crops: str | None
    precision: str | None
    activation: str | None
    pooling: str | None


@dataclass(frozen=True)
class ReportData:
    """All the page shows. ``frames``: the result of every query of ``QUERIES``, by name."""

    run: Run
    networks: Sequence[NetworkInfo]
    frames: Mapping[str, pd.DataFrame]


def render(data: ReportData) -> dict[str, bytes]:
    """Relative file name -> content: ``index.html`` and ``figures/<network>/<figure>.svg|.png``.

    The same data give the same bytes. Raises ValueError if a query has no frame.
    """
    missing = [name for name in QUERIES if name not in data.frames]
    if missing:
        raise ValueError(f"frames must hold every query, missing {', '.join(missing)}")
    files: dict[str, bytes] = {}
    sections = [_section(info, _only(data.frames, info["name"]), files) for info in data.networks]
    environment = _environment()
    page = environment.get_template("index.html").render(
        run=data.run, sections=sections, queries=QUERIES
    )
    return {"index.html": page.encode(), **files}


def noise_scale(images_per_class: float) -> float:
    """The ks that a class of n images without any meaning passes once in eleven times.

    sqrt(ln(11) / (2 n)), from the one-sided tail exp(-2 n x**2) = 1/11 of the distance between
    n values and very many. The thresholds of the paper's table 3 lie at 0.9 to 1.6 times it.
    """
    return math.sqrt(math.log(11) / (2 * images_per_class))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("kdsspark", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, duration=_duration, span=_span)
    return environment


def _only(frames: Mapping[str, pd.DataFrame], network: str) -> dict[str, pd.DataFrame]:
    return {name: frame[frame["network"] == network] for name, frame in frames.items()}


def _section(
    info: NetworkInfo, frames: dict[str, pd.DataFrame], files: dict[str, bytes]
) -> dict[str, Any]:
    """What the template shows of one network; adds the network's figures to ``files``."""
    thresholds = frames["thresholds"]
    return {
        "info": info,
        "images": int(thresholds["n_images"].sum()),
        "thresholds": [_with_ratio(row) for row in _rows(thresholds)],
        "counts": list(_rows(frames["counts"])),
        "failure_counts": list(_rows(frames["failure_counts"])),
        "failures": list(_rows(frames["failures"])),
        "classes": list(_extremes(frames["classes"])),
        "kinds": sorted(set(frames["figure5"]["kind"])),
        "figures": {
            name: _figure(info["name"], name, frames[name], files)
            for name in FIGURES
            if not frames[name].empty
        },
    }


def _figure(
    network: str, name: str, frame: pd.DataFrame, files: dict[str, bytes]
) -> dict[str, str]:
    stem = f"figures/{network}/{name}"
    figure = FIGURES[name](frame)
    svg = canvas.svg(figure)
    figure.set_layout_engine("none")  # the panels stay where the SVG has them
    files[f"{stem}.svg"], files[f"{stem}.png"] = svg, canvas.png(figure)
    data = base64.b64encode(svg).decode()
    size = "narrow" if figure.get_figwidth() < canvas.WIDTH else "wide"
    return {"stem": stem, "size": size, "inline": f"data:image/svg+xml;base64,{data}"}


def _rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows as plain values, with None for what is null."""
    columns = [str(column) for column in frame.columns]
    for values in frame.itertuples(index=False, name=None):
        yield {c: None if pd.isna(v) else v for c, v in zip(columns, values, strict=True)}


def _with_ratio(row: dict[str, Any]) -> dict[str, Any]:
    per_class, t_plus = row["images_per_class"], row["t_plus"]
    defined = t_plus is not None and per_class
    return {**row, "ratio": t_plus / noise_scale(per_class) if defined else None}


def _extremes(classes: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Per dataset, the classes with the most and with the fewest features above t+."""
    for dataset, frame in classes.groupby("dataset"):
        ordered = frame.sort_values(["n_features", "class_id"], ascending=[False, True])
        rows = list(_rows(ordered))
        rest = rows[_CLASSES_SHOWN:]
        yield {
            "dataset": dataset,
            "x": rows[0]["x"],
            "most": rows[:_CLASSES_SHOWN],
            "fewest": rest[-_CLASSES_SHOWN:],
        }


def _number(value: float | None, digits: int = 0) -> str:
    """``12,416``, ``-0.121`` with a minus sign, an en dash for None."""
    return "\u2013" if value is None else f"{value:,.{digits}f}".replace("-", "\u2212")


def _span(values: Sequence[float | None], digits: int = 0) -> str:
    """``0.072 to 0.185``, or the one number they all print as; empty if there is none."""
    known = sorted(value for value in values if value is not None)
    ends = dict.fromkeys(_number(value, digits) for value in (known[:1] + known[-1:]))
    return " to ".join(ends)


def _duration(seconds: float) -> str:
    """``42 s``, ``3 min 12 s`` or ``5 h 7 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
