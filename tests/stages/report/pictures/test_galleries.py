"""A small whole run, in process: what is chosen of images, cut out of them and counted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kdsspark.output import parquet
from kdsspark.pipeline.study import Study
from kdsspark.report.gallery.gallery import Gallery
from kdsspark.report.gallery.sprites import GAP
from kdsspark.stages.report.sizes import of_site
from kdsspark.tables import EMBEDDINGS, EXEMPLARS, HISTOGRAMS, IMAGES, KS, SIGNIFICANCE
from tests.report.synthetic import run_on_files
from tests.stages.report.pictures.drawn import galleries_of

pytestmark = pytest.mark.usefixtures("without_spark")

SIZE = of_site(5, 6)
GREY = 233
LOSS = 8  # of the mean colour of a tile, by compression


@pytest.fixture(scope="module")
def frames(fruit: Study) -> dict[str, pd.DataFrame]:
    return run_on_files(fruit.output)


@pytest.fixture(scope="module")
def made(fruit: Study, frames: dict[str, pd.DataFrame], without_spark: None) -> list[Gallery]:  # noqa: ARG001
    return galleries_of(fruit.context, frames)


def exemplars(study: Study, dataset: str = "fruit") -> pd.DataFrame:
    """Rows of the table, with uri and class of the images."""
    images = parquet.read(study.output, IMAGES, dataset).to_pandas()
    rows = parquet.read(study.output, EXEMPLARS, "tiny", dataset).to_pandas()
    merged = rows.merge(images[["image_id", "uri", "class_name"]], on="image_id")
    return merged.sort_values(["layer", "unit", "rank"])


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)), float)


def tiles(gallery: Gallery, feature: int) -> Iterator[np.ndarray]:
    """The patches of a unit, cut out of its picture again."""
    picture = gallery.units[feature].patches
    assert picture is not None
    sheet = pixels(gallery.files[picture.path])
    step = SIZE.patch + GAP
    assert sheet.shape == (-(-picture.n // 3) * step - GAP, 3 * step - GAP, 3)
    for n in range(picture.n):
        y, x = n // 3 * step, n % 3 * step
        yield sheet[y : y + SIZE.patch, x : x + SIZE.patch]


def plain_patch(row: pd.Series) -> np.ndarray:
    """[height, width, 3] the patch of an exemplar, by Pillow alone; noise needs no more care."""
    image = Image.open(row["uri"]).convert("RGB")
    short = min(image.size)
    size = [round(40 * side / short) for side in image.size]
    box = [int(row[edge]) for edge in ("x0", "y0", "x1", "y1")]
    return np.asarray(image.resize((size[0], size[1])).crop(tuple(box)), float)


def test_distances_are_those_of_the_tables(fruit: Study, made: list[Gallery]) -> None:
    assert [(g.network, g.dataset) for g in made] == [("tiny", "fruit"), ("tiny", "wood")]
    for gallery in made:
        firsts = {layer.name: layer.first for layer in gallery.layers}
        read = [
            parquet.read(fruit.output, KS, "tiny", gallery.dataset, "true"),
            parquet.read(fruit.output, SIGNIFICANCE, "tiny", gallery.dataset),
        ]
        for table, name, found in zip(read, ("ks", "q"), (gallery.ks, gallery.q), strict=True):
            assert found is not None
            rows = table.to_pandas()
            feature = rows["layer"].map(firsts) + rows["unit"]
            values = found[rows["class_id"], feature]
            want = rows[name].fillna(0) if name == "ks" else rows[name]
            np.testing.assert_allclose(values, want, rtol=1e-6)
            assert len(rows) == found.size


def test_patches_are_cut_out_of_the_exemplars(fruit: Study, made: list[Gallery]) -> None:
    gallery, rows = made[0], exemplars(fruit)
    compared = 0
    for feature, unit in gallery.units.items():
        own = rows[(rows["layer"] == unit.layer.name) & (rows["unit"] == unit.unit)].iloc[:9]
        assert [x.class_name for x in unit.exemplars] == own["class_name"].tolist()
        assert [x.activation for x in unit.exemplars] == own["activation"].tolist()
        assert (unit.n_active, unit.n) == (own["n_active"].iloc[0], 24)
        for (_, row), tile in zip(own.iterrows(), tiles(gallery, feature), strict=True):
            patch = plain_patch(row)
            height, width, _ = patch.shape
            if min(height, width) < 8:
                continue  # colours of so few pixels run into each other
            scale = SIZE.patch / max(height, width)
            y, x = ((SIZE.patch - side * scale) / 2 for side in (height, width))
            inner = tile[round(y) : round(SIZE.patch - y), round(x) : round(SIZE.patch - x)]
            np.testing.assert_allclose(inner.mean((0, 1)), patch.mean((0, 1)), atol=LOSS)
            compared += 1
    assert compared > 50


def test_samples_are_the_first_images_by_id(fruit: Study, made: list[Gallery]) -> None:
    gallery = made[0]
    images = parquet.read(fruit.output, IMAGES, "fruit").to_pandas().sort_values("image_id")
    images = images[~images["uri"].str.endswith("broken.jpg")]
    for shown in gallery.classes:
        uris = images.loc[images["class_id"] == shown.class_id, "uri"].tolist()[:9]
        assert shown.samples is not None
        assert shown.samples.n == len(uris) == (2 if shown.name == "quince" else 9)
        strip = pixels(gallery.files[shown.samples.path])
        assert strip.shape == (SIZE.sample, SIZE.sample * len(uris), 3)
        for n, uri in enumerate(uris):
            image = np.asarray(Image.open(uri), float)
            height, width = image.shape[:2]
            top, left = (height - min(height, width)) // 2, (width - min(height, width)) // 2
            square = image[top : top + min(height, width), left : left + min(height, width)]
            tile = strip[:, n * SIZE.sample : (n + 1) * SIZE.sample]
            np.testing.assert_allclose(tile.mean((0, 1)), square.mean((0, 1)), atol=LOSS)


def test_failures_and_copies_are_counted(made: list[Gallery]) -> None:
    counts = {shown.name: (shown.n_failed, shown.n_copies) for shown in made[0].classes}
    assert counts == {"apple": (1, 2), "pear": (0, 0), "quince": (0, 0)}
    assert [shown.n_images for shown in made[0].classes] == [12, 10, 2]
    assert {(shown.n_failed, shown.n_copies) for shown in made[1].classes} == {(0, 0)}


def test_histograms_are_those_of_the_embeddings(fruit: Study, made: list[Gallery]) -> None:
    gallery = made[0]
    rows = parquet.read(fruit.output, EMBEDDINGS, "tiny", "fruit").to_pandas()
    drawn = 0
    for unit in gallery.units.values():
        values = np.stack(rows[unit.layer.name].to_list())[:, unit.unit].astype(float)
        if np.ptp(values) == 0:
            continue
        bounds = values.min(), values.max()
        assert unit.counts is not None
        assert unit.counts.tolist() == np.histogram(values, 20, bounds)[0].tolist()
        for c, counts in unit.inner.items():
            own = np.histogram(values[rows["class_id"] == c], 20, bounds)[0]
            assert counts.tolist() == own.tolist()
            drawn += 1
    assert drawn > len(gallery.units)


def test_each_unit_has_the_histograms_that_its_pages_draw(made: list[Gallery]) -> None:
    assert len(made) == 2
    for gallery in made:
        assert gallery.units
        for shown in gallery.classes:
            for feature in (*shown.present, *shown.absent):
                assert shown.class_id in gallery.units[feature].inner
        for feature, unit in gallery.units.items():
            column = gallery.ks[:, feature]
            assert {int(column.argmax()), int(column.argmin())} <= set(unit.inner)


def test_sheets_are_of_the_largest_dataset(fruit: Study, made: list[Gallery]) -> None:
    assert not made[1].sheets
    assert list(made[0].sheets) == ["conv1", "fire4"]
    active = exemplars(fruit).drop_duplicates(["layer", "unit"]).set_index(["layer", "unit"])
    for layer in made[0].layers:
        sheet = made[0].sheets[layer.name]
        assert sorted(sheet.features) == list(range(layer.first, layer.first + layer.units))
        strip = pixels(made[0].files[sheet.path])
        assert strip.shape == (SIZE.tile, SIZE.tile * layer.units, 3)
        want = active.loc[layer.name]["n_active"]
        assert [sheet.n_active[layer.first + unit] for unit in want.index] == want.tolist()
        assert (sheet.corpus, sheet.n) == ("fruit", 24)


def test_an_image_that_vanished_leaves_a_grey_tile(
    fruit: Study, made: list[Gallery], frames: dict[str, pd.DataFrame]
) -> None:
    rows = exemplars(fruit)
    names = {f: (u.layer.name, u.unit) for f, u in made[0].units.items()}
    path = Path(rows["uri"].iloc[0])
    hidden = path.rename(path.with_suffix(".hidden"))
    try:
        again = galleries_of(fruit.context, frames)[0]
    finally:
        hidden.rename(path)
    uris = rows.set_index(["layer", "unit", "rank"])["uri"]
    gone = 0
    for feature, (layer, unit) in names.items():
        both = zip(tiles(made[0], feature), tiles(again, feature), strict=True)
        for rank, (before, after) in enumerate(both, start=1):
            if uris[layer, unit, rank] == str(path):
                np.testing.assert_allclose(after.mean((0, 1)), GREY, atol=LOSS)
                gone += 1
            else:
                np.testing.assert_allclose(after.mean((0, 1)), before.mean((0, 1)), atol=LOSS)
    assert gone
    assert again.units.keys() == made[0].units.keys()


def test_units_that_somebody_asked_for_are_drawn(
    fruit: Study, frames: dict[str, pd.DataFrame], made: list[Gallery]
) -> None:
    """Where the network has them: of another network, layers and units are left out."""
    first = made[0].layers[1].first
    other = next(unit for unit in range(256) if first + unit not in made[0].units)
    wanted = [("fruit", "fire4", other, "pear"), ("fruit", "none", 0, "pear")]
    wanted += [("fruit", "conv1", 64, "pear")]  # one more than there are
    context = Study(fruit.config, drawn=wanted).context
    again = galleries_of(context, frames)
    assert set(again[0].units) - set(made[0].units) == {first + other}
    assert again[1].units.keys() == made[1].units.keys()


def test_without_histograms_and_exemplars_there_are_none(
    fruit: Study, frames: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = type(fruit.output).files
    exists = type(fruit.output).exists
    monkeypatch.setattr(
        type(fruit.output),
        "files",
        lambda self, folder: [] if folder.startswith(HISTOGRAMS.name) else listed(self, folder),
    )
    monkeypatch.setattr(
        type(fruit.output),
        "exists",
        lambda self, path: not path.startswith(EXEMPLARS.name) and exists(self, path),
    )
    found = galleries_of(fruit.context, frames)
    assert [gallery.dataset for gallery in found] == ["fruit", "wood"]
    for gallery in found:
        assert gallery.units
        assert not gallery.sheets
        assert all(shown.samples for shown in gallery.classes)
        for unit in gallery.units.values():
            assert (unit.counts, unit.inner, unit.exemplars) == (None, {}, [])
            assert (unit.patches, unit.n, unit.n_active) == (None, None, None)
