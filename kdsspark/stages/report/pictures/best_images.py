"""The exemplars that the report draws, read from the tables (driver)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages import label_sets
from kdsspark.stages.report.subjects import Subject
from kdsspark.tables import EXEMPLARS, IMAGES

PATCHES: Final = 9
"""Patches of a unit, at most."""

Images = dict[str, tuple[str, str]]
"""image_id -> uri and name of the class."""


class Patch(NamedTuple):
    """Where an image excites a unit most.

    ``box``: x0, y0, x1, y1 in the resized image. ``place``: row and column of the unit's map, None
    without a map. ``view``: which crop has it.
    """

    feature: int
    rank: int
    uri: str
    box: tuple[int, int, int, int]
    place: tuple[int, int] | None
    view: int


class Best(NamedTuple):
    """An image that excites a unit most; ``placed``: whether it is known where."""

    image_id: str
    activation: float
    placed: bool


@dataclass(frozen=True, eq=False)
class BestImages:
    """The images that excite the drawn units of a pair most.

    ``rows``: rows of ``exemplars`` with the column ``feature``, by rank.
    """

    rows: pd.DataFrame
    images: Images
    n_active: npt.NDArray[np.int64]  # [features], images of the corpus that excite the unit
    n: int  # images of the corpus, 0 without one

    def of(self, feature: int) -> Sequence[Best]:
        """The exemplars of a unit, the best first."""
        return self._by_feature.get(feature, ())

    def patches(self) -> Iterator[Patch]:
        """The patches whose image is known, in the order of the rows; values have none.

        Nor have dead units, which no image excites: their exemplars are the first images by id.
        """
        names = ["feature", "rank", "image_id", "view", "y", "x", "x0", "y0", "x1", "y1"]
        known = self.rows["image_id"].isin(self.images) & self.rows["x0"].notna()
        known &= self.rows["n_active"] > 0
        for feature, rank, image_id, view, *place in self.rows.loc[known, names].itertuples(
            index=False
        ):
            y, x, *edges = place
            x0, y0, x1, y1 = map(int, edges)
            yield Patch(
                feature,
                rank,
                self.images[image_id][0],
                (x0, y0, x1, y1),
                None if pd.isna(y) else (int(y), int(x)),
                int(view),
            )

    @cached_property
    def _by_feature(self) -> dict[int, list[Best]]:
        found: dict[int, list[Best]] = {}
        names = ["feature", "image_id", "activation", "x0"]
        for feature, image_id, activation, x0 in self.rows[names].itertuples(index=False):
            found.setdefault(feature, []).append(Best(image_id, activation, not pd.isna(x0)))
        return found


def read(output: Output, subject: Subject) -> BestImages:
    """The exemplars of the units that are drawn of a subject; without exemplars, none."""
    n_features = subject.ks.shape[1]
    path = EXEMPLARS.part("part-0", *subject.corpus) if subject.corpus else ""
    if subject.corpus is None or not output.exists(path):
        none = pd.DataFrame({name: [] for name in ("feature", *EXEMPLARS.schema.names)})
        return BestImages(none, {}, np.zeros(n_features, np.int64), 0)
    table = parquet.read_file(output, path)
    layers = table["layer"].combine_chunks().dictionary_encode()
    first = np.array([subject.firsts[name] for name in layers.dictionary.to_pylist()], np.int64)
    feature = first[layers.indices.to_numpy()] + table["unit"].to_numpy()
    n_active = np.zeros(n_features, np.int64)
    n_active[feature] = table["n_active"].to_numpy()
    wanted = pa.array(_wanted(subject, feature, table["rank"].to_numpy()))
    rows = table.append_column("feature", pa.array(feature)).filter(wanted).to_pandas()
    images = _images(output, subject.corpus.dataset, rows["image_id"].unique())
    return BestImages(rows, images, n_active, table["n"][0].as_py() if len(table) else 0)


def _wanted(
    subject: Subject, feature: npt.NDArray[np.int64], rank: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """[rows], whether a row is drawn: all patches of a unit with a page, the best on a sheet."""
    wanted = np.isin(feature, subject.chosen.drawn) & (rank <= PATCHES)
    if subject.with_sheets:
        on_sheets = [f for sheet in subject.chosen.sheets for f in sheet]
        wanted |= np.isin(feature, on_sheets) & (rank == 1)
    return wanted


def _images(output: Output, dataset: str, ids: Sequence[str]) -> Images:
    wanted = pa.array(ids, pa.string())
    found: Images = {}
    read = label_sets.in_words(output, dataset)
    for path in output.files(IMAGES.partition(dataset)):
        for rows in parquet.row_groups(output, path, ["image_id", "uri", "class_name"]):
            own = rows.filter(pc.is_in(rows["image_id"], value_set=wanted))
            columns = (own[name].to_pylist() for name in own.column_names)
            found |= {i: (uri, read(name)) for i, uri, name in zip(*columns, strict=True)}
    return found
