"""Invariance against loops over torchvision's network, and a network that is exactly invariant."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kdsspark.errors import DatasetError
from kdsspark.images import changes
from kdsspark.pipeline.study import Study
from kdsspark.stages.embed import image_job
from kdsspark.stages.experiments.chosen import invariance
from kdsspark.tables import INVARIANCE, INVARIANCE_VIEWS
from tests.stages.experiments import studies
from tests.stages.experiments.chosen import seen

NAMES = ["a/000.png", "c/001.png"]
TRUE = 17


@pytest.fixture(scope="module")
def done(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    names = seen.names_file(tmp_path_factory.mktemp("names"), {TRUE: "A"})
    made = seen.with_settings(study, images={"birds": NAMES}, class_names=names)
    made.do("experiment invariance")
    return made


def uri(study: Study, image_id: str) -> str:
    rows = seen.index(study).to_pandas().set_index("image_id")
    return str(rows.loc[image_id, "uri"])


def test_every_view_against_a_plain_loop(done: Study) -> None:
    model = seen.plain(done)
    distances, views = (studies.table(done, t) for t in (INVARIANCE, INVARIANCE_VIEWS))
    distances = distances.set_index(["image_id", "change", "amount", "layer"])
    assert len(views) == 2 * sum(map(len, changes.amounts(seen.CROP).values()))
    for image_id, rows in views.groupby("image_id"):
        crop = seen.crop(uri(done, str(image_id)))
        as_is = model(crop)
        is_true = uri(done, str(image_id)).endswith("/a/000.png")
        followed = TRUE if is_true else as_is["chances"].argmax()
        for row in rows.iloc[::7].itertuples():
            found = model(changes.changed(crop, row.change, row.amount, seen.grey()))
            for layer in seen.LAYERS:
                at = distances.loc[(image_id, row.change, row.amount, layer)]
                expected = np.sqrt(((found[layer] - as_is[layer]).astype(float) ** 2).sum())
                assert at["distance"] == pytest.approx(expected, rel=1e-4, abs=1e-6)
                assert at["length"] == pytest.approx(np.linalg.norm(as_is[layer]), rel=1e-4)
                assert at["is_classifier"] == (layer == "classes")
            assert (row.class_unit, row.true_class) == (followed, is_true)
            assert row.probability == pytest.approx(found["chances"][followed], rel=1e-4)
            best = found["chances"][row.likeliest]
            assert best == pytest.approx(found["chances"].max(), rel=1e-4)
            expected_name = "A" if row.likeliest == TRUE else f"unit {row.likeliest}"
            assert row.likeliest_name == expected_name


def test_what_changes_nothing_has_no_distance(done: Study) -> None:
    found = studies.table(done, INVARIANCE)
    nothing = found["amount"] == found["change"].map({"shift": 0, "scale": 1, "rotation": 0})
    assert nothing.sum() == 2 * 3 * len(seen.LAYERS)
    assert (found.loc[nothing, "distance"] == 0).all()
    assert (found.loc[~nothing, "distance"] > 0).all()


def test_five_views_of_each_change_have_a_picture(done: Study) -> None:
    views = studies.table(done, INVARIANCE_VIEWS)
    shown = views[views["picture"].notna()]
    assert (shown.groupby(["image_id", "change"]).size() == 5).all()
    row = shown.iloc[0]
    crop = seen.crop(uri(done, row["image_id"]))
    expected = changes.changed(crop, row["change"], row["amount"], seen.grey())
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(row["picture"]))), expected)


class Blind:
    """A network that sees only how much of each colour there is: nothing moves it."""

    batch, threads = 3, 2

    def __call__(self, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        sums = np.stack([image.sum(axis=(0, 1)) for image in images]).astype(np.float32)
        maps = np.stack([image.transpose(2, 0, 1) for image in images]).astype(np.float32)
        return {"sums": sums, "pixels": maps}


def test_a_network_that_is_exactly_invariant_does_not_move(
    study: Study, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A square on grey, which no shift here and no quarter turn takes out of the image."""
    picture = np.full((seen.RESIZE, seen.RESIZE, 3), seen.grey(), np.uint8)
    picture[30:42, 32:40] = 200, 10, 50
    Image.fromarray(picture).save(folder / "square.png")
    monkeypatch.setattr(image_job, "extractor", lambda _: Blind())
    alone = seen.with_settings(study, classifier="none", images={"birds": NAMES[:1]})
    (item,) = invariance.plan(alone.output, alone.config, seen.PAIR).items
    assert isinstance(item, invariance.InvarianceItem)
    image = item.image.__class__("0" * 32, str(folder / "square.png"), "a", "1")
    moved, views = invariance._rows(
        invariance.InvarianceItem(
            name=item.name, digest="", job=item.job, image=image, classifier=None
        ),
        seen.crop(image.uri),
    )
    found = pd.DataFrame(moved)
    shifted = found[(found["change"] == "shift")]
    turned = found[(found["change"] == "rotation") & (found["amount"] % 90 == 0)]
    for rows in (shifted, turned):
        assert (rows.loc[rows["layer"] == "sums", "distance"] == 0).all()
    pixels = shifted[shifted["layer"] == "pixels"].set_index("amount")["distance"]
    down = 3  # rows in front and rows behind differ from grey, in 8 columns
    step = ((np.array([200, 10, 50]) - seen.grey()) ** 2).sum()
    assert pixels[down] == pytest.approx(np.sqrt(2 * down * 8 * step))
    assert {view["probability"] for view in views} == {None}


def test_without_a_classifier_there_are_no_probabilities_and_a_line_says_so(
    done: Study, caplog: pytest.LogCaptureFixture
) -> None:
    before = studies.table(done, INVARIANCE)
    made = seen.with_settings(done, classifier="fc8")
    made.do("experiment invariance")
    assert (
        "invariance: network tiny has no probabilities, for experiments.classifier must be one of "
        "its layers (conv1, fire9, classes), got fc8"
    ) in [record.message for record in caplog.records]
    views = studies.table(made, INVARIANCE_VIEWS)
    assert views[["class_unit", "probability", "likeliest", "likeliest_name"]].isna().all(None)
    assert not views["true_class"].any()
    after = studies.table(made, INVARIANCE)
    assert not after["is_classifier"].any()
    pd.testing.assert_frame_equal(
        after.drop(columns="is_classifier"), before.drop(columns="is_classifier")
    )
    done.do("experiment invariance")


def test_again_does_nothing_and_other_images_replace_those_that_are_not_asked_for(
    done: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_now: list[str] = []
    task = invariance.invariance_of_image

    def counted(item: invariance.InvarianceItem) -> object:
        seen_now.append(item.image.uri)
        return task(item)

    monkeypatch.setattr(invariance, "invariance_of_image", counted)
    done.do("experiment invariance")
    assert seen_now == []
    other = seen.with_settings(done, images={"birds": [NAMES[1], "b/000.png"]})
    other.do("experiment invariance")
    (new,) = seen_now
    assert new.endswith("/b/000.png")
    ends = {
        uri(done, i).rpartition("birds/")[2] for i in studies.table(done, INVARIANCE)["image_id"]
    }
    assert ends == {NAMES[1], "b/000.png"}
    done.do("experiment invariance")


def test_an_image_that_is_gone_is_one_line_and_the_others_are_done(
    tmp_path: Path,
    without_spark: None,  # noqa: ARG001
) -> None:
    made = seen.make(tmp_path, "index embed", images={"birds": NAMES})
    gone = tmp_path / "birds" / "c" / "001.png"
    gone.unlink()
    with pytest.raises(DatasetError) as caught:
        made.do("experiment invariance")
    assert str(caught.value).startswith(f"dataset birds: {gone} can no longer be read: read: ")
    assert studies.table(made, INVARIANCE)["image_id"].nunique() == 1
