"""The demo corpus: complete, reproducible, decodable, and with classes that can be told apart."""

import importlib
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import squeezenet1_1

import demo
from demo import FEW, IMAGES, MARKER, PAINTERS, write_corpus
from demo.__main__ import main
from kdsspark.config import load
from kdsspark.errors import ImageError
from kdsspark.images.decoding import IMAGE_SUFFIXES, decode, read
from kdsspark.network.weights import prepare

CONF = Path(__file__).parents[1] / "conf"
BROKEN = {
    "objects/butterfly/06-empty.jpg": "file is empty",
    "scenes/night city/06-text.jpg": "must begin like",
    "patterns/bricks/06-truncated.jpg": "truncated",
}
SHARED = 6
"""Images of each class in the corpus that most tests here share: painting all takes long."""


@pytest.fixture
def train() -> ModuleType:
    """It imports torch's compiler, which takes a second."""
    return importlib.import_module("demo.train")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "IMAGES", dict.fromkeys(IMAGES, SHARED))
        write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def pictures(corpus: Path) -> dict[str, np.ndarray]:
    """Every file that is not broken, by its path, as uint8 [height, width, channels=3]."""
    return {name: decode(read(str(corpus / name)), 64) for name in names(corpus) - BROKEN.keys()}


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files painted, for tests of what is written when: no pictures, no waiting."""
    calls: list[str] = []

    def content(dataset: str, name: str, file: str, seed: int) -> bytes:
        calls.append(f"{dataset}/{name}/{file}")
        return f"{dataset} {name} {file} {seed}".encode()

    monkeypatch.setattr(demo, "_content", content)
    return calls


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob("*/*/*")}


def by_class(pictures: dict[str, np.ndarray], dataset: str) -> list[tuple[str, np.ndarray]]:
    return [
        (name.split("/")[1], picture)
        for name, picture in sorted(pictures.items())
        if name.startswith(f"{dataset}/")
    ]


@pytest.mark.usefixtures("painted")
def test_counts_are_those_of_the_tables(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    files = [file for file in demo._files() if file[2][3:] not in demo._BROKEN.values()]
    found = Counter(file[:2] for file in files)
    assert found == {(of, name): IMAGES[of] for of in PAINTERS for name in PAINTERS[of]}
    assert sum(found.values()) > 400
    assert min(found.values()) >= 20
    assert len(names(tmp_path)) == sum(found.values()) + len(demo._BROKEN)
    assert all(name.endswith(IMAGE_SUFFIXES) for name in names(tmp_path))


@pytest.mark.parametrize("config", ["demo", "demo-vgg16"])
def test_no_more_images_fail_than_the_configuration_allows(config: str) -> None:
    allowed = load(CONF / f"{config}.yaml").embed.max_failures
    files = list(demo._files(few=config != "demo"))
    for dataset in PAINTERS:
        styles = [file.partition("-")[2] for of, _, file in files if of == dataset]
        failing = sum(style in demo._BROKEN.values() for style in styles)
        assert 0 < failing / len(styles) < allowed


def test_datasets_differ_in_classes_and_images_per_class() -> None:
    classes = [len(painters) for painters in PAINTERS.values()]
    assert classes == sorted(set(classes), reverse=True)
    assert list(IMAGES.values()) == sorted(set(IMAGES.values()))


def test_class_names_need_care(corpus: Path) -> None:
    classes = {name.split("/")[1] for name in names(corpus)}
    assert {"7 o'clock", "cup & saucer", "polka dots", "été"} <= classes


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(corpus: Path, name: str) -> None:
    with pytest.raises(ImageError, match=f"decode: .*{BROKEN[name]}"):
        decode(read(str(corpus / name)), 64)


def test_all_others_decode_and_no_two_are_alike(pictures: dict[str, np.ndarray]) -> None:
    assert len({picture.tobytes() for picture in pictures.values()}) == len(pictures)
    for name, picture in pictures.items():
        assert picture.std() > 10, f"{name} is almost one colour"


def test_odd_files_are_what_they_claim(corpus: Path) -> None:
    def opened(name: str) -> Image.Image:
        return Image.open(io.BytesIO((corpus / name).read_bytes()))

    assert opened("objects/apple/01-palette.png").mode == "P"
    assert opened("objects/7 o'clock/02-16-bit.png").mode.startswith("I")
    assert opened("scenes/sea/03-grey.jpg").mode == "L"
    assert opened("patterns/tartan/02-cmyk.jpg").mode == "CMYK"
    assert getattr(opened("patterns/polka dots/04-animated.gif"), "n_frames", 1) == 3
    assert opened("scenes/été/02-rotated.jpg").getexif()[0x0112] == 6


def test_the_rotated_meadow_lies_level_once_upright(pictures: dict[str, np.ndarray]) -> None:
    rows = pictures["scenes/été/02-rotated.jpg"].mean(axis=(1, 2))
    top, bottom = rows[: len(rows) // 4].mean(), rows[-len(rows) // 4 :].mean()
    assert top > 1.3 * bottom


def test_sizes_vary(corpus: Path) -> None:
    sizes = []
    for name in names(corpus) - BROKEN.keys():
        with Image.open(corpus / name) as image:
            sizes.append(image.size)
    assert 210 <= min(map(min, sizes)) < 215
    assert 315 < max(map(max, sizes)) <= 320
    portrait = sum(height > width for width, height in sizes)
    assert 0.2 < portrait / len(sizes) < 0.5


def colours(picture: np.ndarray) -> np.ndarray:
    histogram, _ = np.histogramdd(picture.reshape(-1, 3), bins=4, range=[(0, 256)] * 3)
    return np.sqrt(histogram.ravel() / histogram.sum())


def structure(picture: np.ndarray) -> np.ndarray:
    """Which directions and sizes of detail the grey centre has; blind to its brightness."""
    grey = picture.mean(axis=2)
    top, left = (grey.shape[0] - 64) // 2, (grey.shape[1] - 64) // 2
    centre = grey[top : top + 64, left : left + 64]
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2((centre - centre.mean()) / centre.std())))
    radius = np.hypot(*np.mgrid[-32:32, -32:32]).astype(int)
    profile = np.bincount(radius.ravel(), spectrum.ravel()) / np.bincount(radius.ravel())
    return np.log(profile[1:32])


@pytest.mark.parametrize("dataset", PAINTERS)
@pytest.mark.parametrize("describe", [colours, structure])
def test_classes_differ_in_colour_and_in_structure(
    pictures: dict[str, np.ndarray], dataset: str, describe: Callable[[np.ndarray], np.ndarray]
) -> None:
    """The nearest other picture is of the same class far more often than by chance."""
    labelled = by_class(pictures, dataset)
    labels = np.array([label for label, _ in labelled])
    vectors = np.array([describe(picture) for _, picture in labelled])
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    found = np.mean(labels[distances.argmin(axis=1)] == labels)
    chance = (SHARED - 1) / (len(labels) - 1)
    assert found > 1.5 * chance


def test_bytes_depend_on_the_seed_alone(corpus: Path) -> None:
    for path in ("objects/apple/01-palette.png", "scenes/sea/00-plain.jpg"):
        written = (corpus / path).read_bytes()
        assert demo._content(*path.split("/"), 0) == written
        assert demo._content(*path.split("/"), 1) != written


def test_the_few_are_among_the_many(corpus: Path, tmp_path: Path) -> None:
    write_corpus(tmp_path, few=True)
    classes, images = FEW
    found = names(tmp_path)
    shared = found & names(corpus)
    assert len(shared) == len(PAINTERS) * classes * images
    assert len(found - shared) == len(BROKEN)
    assert all((tmp_path / name).read_bytes() == (corpus / name).read_bytes() for name in shared)


def test_a_complete_corpus_is_left_alone(tmp_path: Path, painted: list[str]) -> None:
    write_corpus(tmp_path)
    assert set(painted) == names(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    painted.clear()
    write_corpus(tmp_path)
    assert painted == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_an_interrupted_corpus_is_completed(
    tmp_path: Path, painted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = demo._content

    def fails_midway(dataset: str, name: str, file: str, seed: int) -> bytes:
        if len(painted) == 20:
            raise KeyboardInterrupt
        return whole(dataset, name, file, seed)

    monkeypatch.setattr(demo, "_content", fails_midway)
    with pytest.raises(KeyboardInterrupt):
        write_corpus(tmp_path)
    assert not (tmp_path / MARKER).exists()
    monkeypatch.setattr(demo, "_content", whole)
    write_corpus(tmp_path)
    assert names(tmp_path) == {"/".join(file) for file in demo._files()}
    assert json.loads((tmp_path / MARKER).read_text())["seed"] == 0


@pytest.mark.usefixtures("painted")
def test_a_lost_file_comes_back(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    lost = tmp_path / "scenes" / "sea" / "00-plain.jpg"
    lost.unlink()
    write_corpus(tmp_path)
    assert lost.exists()


@pytest.mark.parametrize("marker", [{"seed": 1}, {"seed": 0, "painters": "others"}])
@pytest.mark.usefixtures("painted")
def test_another_corpus_is_replaced(tmp_path: Path, marker: dict[str, Any]) -> None:
    """The marker of the first version had no ``painters``."""
    gone, kept = (
        tmp_path / "objects" / "balloon" / "00-plain.jpg",
        tmp_path / "objects" / "mine.jpg",
    )
    stale = tmp_path / "scenes" / "sea" / "00-plain.jpg"
    for file in (gone, stale, kept):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("of another corpus")
    files = [file.relative_to(tmp_path).as_posix() for file in (gone, stale)]
    (tmp_path / MARKER).write_text(json.dumps(marker | {"files": files}))
    write_corpus(tmp_path)
    assert names(tmp_path) == {"/".join(file) for file in demo._files()}
    assert stale.read_text() == "scenes sea 00-plain.jpg 0"
    assert kept.exists()
    assert not gone.parent.exists()


@pytest.mark.usefixtures("painted")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "new" / "folder")]) == 0
    assert "objects, scenes, patterns" in capsys.readouterr().out
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file")]) == 1
    assert "demo: " in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


def test_the_weights_are_small_and_load_without_executing_anything(
    tmp_path: Path, train: ModuleType
) -> None:
    assert train.WEIGHTS.stat().st_size < 2e6
    state = torch.load(train.WEIGHTS, weights_only=True)
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert state["classifier.1.weight"].shape == (len(train.LEARNT), 512, 1, 1)
    (network,) = load(CONF / "demo.yaml").networks
    network = network.model_copy(update={"weights": str(train.WEIGHTS)})
    spec = prepare(network, tmp_path / "n.safetensors")
    assert sum(layer.units for layer in spec.layers) == 2624


@pytest.mark.cluster
def test_the_network_tells_what_it_learnt(train: ModuleType) -> None:
    """On pictures of another seed than those it learnt from."""
    model = squeezenet1_1(num_classes=len(train.LEARNT)).eval()
    model.load_state_dict(torch.load(train.WEIGHTS, weights_only=True))
    right = train._right(model, *train._painted(1, range(4), (320, 256)))
    assert right.mean() > 0.9


def test_groups_say_what_was_learnt(train: ModuleType) -> None:
    learnt = {
        dataset: [name in train.LEARNT for name in painters]
        for dataset, painters in PAINTERS.items()
    }
    group = {dataset.name: dataset.group for dataset in load(CONF / "demo.yaml").datasets}
    assert group == {"objects": "a", "scenes": "b", "patterns": "c"}
    assert all(learnt["objects"])
    assert set(learnt["scenes"]) == {True, False}
    assert not any(learnt["patterns"])


def test_training_gives_torchvisions_architecture(train: ModuleType) -> None:
    """Folding batch normalisation into the convolutions changes no output."""
    model = train._model()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor += 0.1 * torch.rand(tensor.shape, generator=torch.Generator().manual_seed(0))
    image = torch.rand(2, 3, 64, 64)
    expected = model.eval()(image)
    train._folded(model)
    folded = squeezenet1_1(num_classes=len(train.LEARNT)).eval()
    folded.load_state_dict(model.state_dict())
    torch.testing.assert_close(folded(image), expected, rtol=1e-3, atol=1e-4)
