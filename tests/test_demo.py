"""The demo corpus: complete, reproducible, decodable, and with classes that can be told apart."""

import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdsspark import demo
from kdsspark.demo import CORPUS, MARKER, write_corpus
from kdsspark.demo.__main__ import main
from kdsspark.errors import ImageError, KdssparkError
from kdsspark.images.decoding import IMAGE_SUFFIXES, decode, read

BROKEN = {
    "objects/balloon/03-empty.jpg": "file is empty",
    "scenes/night city/04-text.jpg": "must begin like",
    "textures/bricks/05-truncated.jpg": "truncated",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
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


def test_counts_are_those_of_the_table(corpus: Path) -> None:
    found = Counter(tuple(name.split("/")[:2]) for name in names(corpus) - BROKEN.keys())
    for dataset, (classes, images) in CORPUS.items():
        counts = [count for (of, _), count in found.items() if of == dataset]
        assert counts == [images] * classes
    assert sum(found.values()) == sum(classes * images for classes, images in CORPUS.values())
    assert names(corpus) >= BROKEN.keys()
    assert all(name.endswith(IMAGE_SUFFIXES) for name in names(corpus))


def test_a_few_in_a_hundred_fail(corpus: Path) -> None:
    assert 0.015 < len(BROKEN) / len(names(corpus)) < 0.07


def test_datasets_differ_in_classes_and_images_per_class() -> None:
    assert CORPUS["objects"][0] > CORPUS["scenes"][0] > CORPUS["textures"][0]
    assert CORPUS["objects"][1] < CORPUS["scenes"][1] < CORPUS["textures"][1]


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
    assert opened("objects/cup & saucer/02-16-bit.png").mode.startswith("I")
    assert opened("scenes/été/03-grey.jpg").mode == "L"
    assert opened("textures/tartan/02-cmyk.jpg").mode == "CMYK"
    assert getattr(opened("textures/polka dots/04-animated.gif"), "n_frames", 1) == 3
    assert opened("scenes/sea/02-rotated.jpg").getexif()[0x0112] == 6


def test_the_rotated_sea_lies_level_once_upright(pictures: dict[str, np.ndarray]) -> None:
    rows = pictures["scenes/sea/02-rotated.jpg"].mean(axis=(1, 2))
    top, bottom = rows[: len(rows) // 4].mean(), rows[-len(rows) // 4 :].mean()
    assert top > 1.3 * bottom


def test_sizes_vary(corpus: Path) -> None:
    sizes = []
    for name in names(corpus) - BROKEN.keys():
        with Image.open(corpus / name) as image:
            sizes.append(image.size)
    assert 200 <= min(map(min, sizes)) < 240
    assert 340 < max(map(max, sizes)) <= 400
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


@pytest.mark.parametrize("dataset", CORPUS)
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
    chance = (CORPUS[dataset][1] - 1) / (len(labels) - 1)
    assert found > 2.5 * chance


def test_bytes_depend_on_the_seed_alone(corpus: Path) -> None:
    for dataset, name, file in list(demo._files())[::17]:
        written = (corpus / dataset / name / file).read_bytes()
        assert demo._content(dataset, name, file, 0) == written
        assert demo._content(dataset, name, file, 1) != written


def test_other_counts_leave_the_files_they_share_alone(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "CORPUS", {"textures": (2, 3)})
    write_corpus(tmp_path)
    found = names(tmp_path)
    assert len(found) == 2 * 3 + 1  # the broken one of the class of bricks
    for name in found & names(corpus) - BROKEN.keys():
        assert (tmp_path / name).read_bytes() == (corpus / name).read_bytes()


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


@pytest.mark.usefixtures("painted")
def test_another_corpus_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_corpus(tmp_path, seed=1)
    with pytest.raises(KdssparkError, match="must be empty or hold this corpus"):
        write_corpus(tmp_path)
    assert main([str(tmp_path)]) == 1
    assert "got another one" in capsys.readouterr().err
    assert main([str(tmp_path), "--seed", "1"]) == 0


@pytest.mark.usefixtures("painted")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "new" / "folder")]) == 0
    assert "objects, scenes, textures" in capsys.readouterr().out
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file")]) == 1
    assert "kdsspark.demo: " in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
