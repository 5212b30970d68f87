"""The experiment occlusion against torchvision's network, place by place."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdsspark.config import Preprocessing
from kdsspark.network.occlusion import square
from kdsspark.network.spec import Layer, NetworkSpec, Tokens
from kdsspark.pipeline.study import Study
from kdsspark.stages.embed import networks
from kdsspark.stages.experiments.chosen import occlusion
from kdsspark.stages.experiments.chosen.classes import ClassLayer
from kdsspark.tables import OCCLUSION, OCCLUSION_IMAGES
from tests.stages.experiments import studies
from tests.stages.experiments.chosen import seen

NAMES = ["a/000.png", "c/001.png"]
TRUE = 17


@pytest.fixture(scope="module")
def done(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    names = seen.names_file(tmp_path_factory.mktemp("names"), {TRUE: "a, A"})
    made = seen.with_settings(study, images={"birds": NAMES}, class_names=names)
    made.do("experiment occlusion")
    return made


def test_every_place_against_a_plain_loop(done: Study) -> None:
    model = seen.plain(done)
    places, images = (studies.table(done, t) for t in (OCCLUSION, OCCLUSION_IMAGES))
    side, stride = square(seen.CROP)
    starts = range(0, seen.CROP - side + 1, stride)
    assert len(places) == 2 * len(starts) ** 2
    uris = seen.index(done).to_pandas().set_index("image_id")["uri"]
    assert sorted(uris[images["image_id"]].str.rpartition("birds/")[2]) == NAMES
    for image in images.itertuples():
        crop = seen.crop(uris[image.image_id])
        as_is = model(crop)
        sums = as_is["fire9"].sum((1, 2))
        assert (image.layer, image.unit) == ("fire9", sums.argmax())  # not the classifier
        assert image.activation == pytest.approx(sums.max(), rel=1e-4)
        followed = TRUE if image.class_name == "a" else as_is["chances"].argmax()
        assert (image.class_unit, image.true_class) == (followed, image.class_name == "a")
        assert image.probability == pytest.approx(as_is["chances"][followed], rel=1e-4)
        assert (image.side, image.stride) == (side, stride)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(image.picture))), crop)
        own = places[places["image_id"] == image.image_id].set_index(["y", "x"])
        for y, x in [(0, 0), (starts[3], starts[1]), (starts[-1], starts[-1])]:
            hidden = crop.copy()
            hidden[y : y + side, x : x + side] = seen.grey()
            found, row = model(hidden), own.loc[(y, x)]
            expected = found["fire9"][image.unit].sum()
            assert row["activation"] == pytest.approx(expected, rel=1e-4)
            assert row["probability"] == pytest.approx(found["chances"][followed], rel=1e-4)
            best = found["chances"][row["likeliest"]]
            assert best == pytest.approx(found["chances"].max(), rel=1e-4)


def test_the_projection_is_where_the_map_is_highest(done: Study) -> None:
    """Outside the field of the maximum the projection is 0, which is drawn as mid grey."""
    for row in studies.table(done, OCCLUSION_IMAGES).itertuples():
        picture = np.asarray(Image.open(io.BytesIO(row.projection))).astype(int)
        assert picture.shape == (seen.CROP, seen.CROP, 3)
        assert np.ptp(picture) > 0
        assert np.median(picture) in (127, 128)


def test_without_a_classifier_the_map_is_still_followed(done: Study) -> None:
    before = studies.table(done, OCCLUSION)
    made = seen.with_settings(done, classifier="none")
    made.do("experiment occlusion")
    after, images = studies.table(made, OCCLUSION), studies.table(made, OCCLUSION_IMAGES)
    # The layer that was the classifier is now the last convolution.
    assert set(images["layer"]) == {"classes"}
    assert after[["probability", "likeliest", "likeliest_name"]].isna().all(None)
    assert images[["class_unit", "probability", "likeliest"]].isna().all(None)
    assert len(after) == len(before)
    done.do("experiment occlusion")
    assert studies.table(done, OCCLUSION).equals(before)


@pytest.mark.parametrize(
    ("kinds", "classifier", "followed"),
    [
        ("conv conv fc fc", 3, 1),
        ("conv conv conv", 2, 1),  # a convolution may be the classifier
        ("conv conv conv", None, 2),
        ("other other fc", 2, 1),  # without a convolution the last layer
        ("fc", 0, 0),
    ],
)
def test_the_layer_that_is_followed(
    study: Study, kinds: str, classifier: int | None, followed: int
) -> None:
    spec: NetworkSpec = networks.saved_networks(study.output, study.config)["tiny"]
    layers = tuple(
        Layer(f"l{i}", "", 3, kind, 1)  # type: ignore[arg-type]
        for i, kind in enumerate(kinds.split())
    )
    changed = spec.from_dict(spec.to_dict() | {"layers": [vars(layer) for layer in layers]})
    own = None if classifier is None else ClassLayer(f"l{classifier}")
    assert occlusion.followed_layer(changed, own).name == f"l{followed}"


def test_the_number_of_places_is_that_of_the_maps(study: Study, folder: Path) -> None:  # noqa: ARG001
    spec = networks.saved_networks(study.output, study.config)["tiny"]
    by_name = {layer.name: layer for layer in spec.layers}
    model = seen.plain(study)(np.zeros((seen.CROP, seen.CROP, 3), np.uint8))
    for name in seen.LAYERS:
        expected = model[name].shape[1] * model[name].shape[2]
        assert occlusion.places_of(spec, by_name[name], 0) == expected


@pytest.mark.parametrize(
    ("tokens", "unit", "places"),
    [("mean", 3, 196), ("cls", 3, 1), ("cls+mean", 3, 1), ("cls+mean", 768 + 3, 196)],
)
def test_tokens_are_places_but_for_the_class_token(
    study: Study, tokens: Tokens, unit: int, places: int
) -> None:
    spec = networks.saved_networks(study.output, study.config)["tiny"]
    block = Layer("b", "encoder.layers.encoder_layer_0", 768, "other", 2, 1, tokens)
    vit = replace(
        spec, architecture="vit_b_16", layers=(block,), preprocessing=Preprocessing(), settings=""
    )
    assert occlusion.places_of(vit, block, unit) == places
