"""Embedding again: what failed, what only looks changed, what came since; never the same twice."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from kdsspark.config import Config
from kdsspark.images.loading import content_hash
from kdsspark.network.spec import NetworkSpec
from kdsspark.output import parquet
from kdsspark.pipeline.study import Study
from kdsspark.stages import EMBED
from kdsspark.stages.embed import duplicates
from kdsspark.tables import DUPLICATES, EMBEDDINGS, FAILURES, IMAGES
from tests.pipeline.test_runs import assert_same, computed, tables, when
from tests.studies import image_config, run, write_images

pytestmark = pytest.mark.usefixtures("spark")
CLASSES = {"a": 9, "b": 8}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    write_images(tmp_path / "images", CLASSES)
    return image_config(tmp_path / "out", {"set": tmp_path / "images"})


def full(config: Config, tmp_path: Path, stages: str) -> Study:
    """The same images, embedded at one go."""
    return run(config.model_copy(update={"output": str(tmp_path / "full")}), stages)


def retry(config: Config) -> Study:
    study = Study(config, retry_failures=True)
    study.do("embed")
    return study


def test_failures_are_tried_again_when_told_and_all_that_follows_is_made_again(
    config: Config, tmp_path: Path
) -> None:
    broken = [tmp_path / "images" / "a" / name for name in ("001.png", "003.png", "x.png")]
    shutil.copy(broken[0], broken[2])
    good = {path: path.read_bytes() for path in broken}
    state = {path: path.stat().st_mtime_ns for path in broken}

    def write(path: Path, data: bytes) -> None:  # in the same version, as far as the store says
        path.write_bytes(data)
        os.utime(path, ns=(state[path], state[path]))

    for path in broken:
        write(path, b"x" * len(good[path]))
    first = run(config)
    assert len(parquet.read(first.output, FAILURES)) == 3
    for path in broken[:2]:
        write(path, good[path])
    before, files = EMBED.receipts(first.output).all(), when(first, "embeddings")
    run(config)
    assert EMBED.receipts(first.output).all() == before
    study = retry(config)
    assert computed(study, before) == 3
    # What was embedded before is not even rewritten, but in a shard that had room for more.
    now = when(study, "embeddings")
    assert sum(now[path] != time for path, time in files.items()) <= 1 < len(files)
    (failed,) = parquet.read(study.output, FAILURES).to_pylist()
    assert failed["uri"] == str(broken[2])
    assert failed["content"] == content_hash(broken[2].read_bytes())
    study = run(config, "measure summarize check")
    assert_same(
        tables(study.output), tables(full(config, tmp_path, "index embed measure summarize").output)
    )
    again = EMBED.receipts(study.output).all()
    assert computed(retry(config), again) == 1


def test_files_that_were_touched_are_not_embedded_again(config: Config, tmp_path: Path) -> None:
    (tmp_path / "images" / "a" / "broken.png").write_bytes(b"no image")
    first = run(config, "index embed")
    before = EMBED.receipts(first.output).all()
    for path in (tmp_path / "images").rglob("*.png"):
        os.utime(path, ns=(1, 1))
    changed = tmp_path / "images" / "b" / "000.png"
    shutil.copy(tmp_path / "images" / "a" / "000.png", changed)
    again = run(config, "index embed")
    assert computed(again, before) == 1
    assert len(again.output.files("embeddings")) == len(first.output.files("embeddings"))
    assert_same(tables(again.output), tables(full(config, tmp_path, "index embed").output))
    key = ["image_id", "version"]
    held = [parquet.read(again.output, t, columns=key) for t in (EMBEDDINGS, FAILURES)]
    images = parquet.read(again.output, IMAGES, columns=key)
    assert pa.concat_tables(held).sort_by("image_id") == images.sort_by("image_id")
    receipt = EMBED.receipts(again.output).all()
    run(config, "index embed")
    assert EMBED.receipts(again.output).all() == receipt


@pytest.mark.parametrize("scheme", ["", "local://"])  # files of this machine, and URLs
def test_of_a_manifest_with_versions_nothing_else_counts(tmp_path: Path, scheme: str) -> None:
    listing = tmp_path / "list.csv"
    dataset = {"name": "set", "path": str(listing), "layout": "manifest"}
    config = image_config(tmp_path / "out", {}, datasets=[dataset])
    write_images(tmp_path / "images", CLASSES)
    same, untold, told, new, *others = sorted((tmp_path / "images").rglob("*.png"))

    def night(versions: dict[Path, str]) -> Study:
        rows = [f"{scheme}{path},{path.parent.name},{v}\n" for path, v in versions.items()]
        listing.write_text("path,label,version\n" + "".join(rows))
        return run(config, "index embed")

    def held(study: Study) -> dict[Path, tuple[str, str]]:
        rows = parquet.read(study.output, EMBEDDINGS, columns=["image_id", "version", "content"])
        uris = parquet.read(study.output, IMAGES, columns=["image_id", "uri"])
        return {
            Path(row["uri"].removeprefix(scheme)): (row["version"], row["content"])
            for row in rows.join(uris, "image_id").to_pylist()
        }

    versions = dict.fromkeys((same, untold, told, *others), "1")
    study = night(versions)
    expected = {path: ("1", content_hash(path.read_bytes())) for path in versions}
    assert held(study) == expected
    for path in (untold, told):
        shutil.copy(others[-1], path)
    before = EMBED.receipts(study.output).all()
    assert held(night(versions)) == expected
    assert EMBED.receipts(study.output).all() == before
    versions |= {same: "2", told: "2", new: "1"}
    del versions[others[0]]
    study = night(versions)
    assert computed(study, before) == 2  # what is new, and what has other bytes
    del expected[others[0]]
    expected |= {p: (versions[p], content_hash(p.read_bytes())) for p in (same, told, new)}
    assert held(study) == expected
    study = night(versions | {untold: "2"})
    assert_same(tables(study.output), tables(full(config, tmp_path, "index embed").output))


def test_a_few_images_a_night_fill_the_last_shard(config: Config, tmp_path: Path) -> None:
    study = run(config, "index embed")
    shards = len(study.output.files("embeddings"))
    for night in range(5):
        before = EMBED.receipts(study.output).all()
        write_images(tmp_path / "images", {"a": 10 + night})
        assert computed(run(config, "index embed"), before) == 1
    assert len(study.output.files("embeddings")) == shards + 3  # 2, 2 and 1; they may have four
    assert_same(tables(study.output), tables(full(config, tmp_path, "index embed").output))


def test_shards_of_another_fingerprint_are_not_taken(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever made the fingerprint change; the definitions would have refused most of it."""
    study = run(config, "index embed")
    before = EMBED.receipts(study.output).all()
    rows = parquet.read(study.output, EMBEDDINGS)
    monkeypatch.setattr(NetworkSpec, "fingerprint", property(lambda _: "0123456789abcdef"))
    again = run(config, "embed")
    assert computed(again, before) == 17
    assert not set(EMBED.receipts(again.output).all()) & set(before)
    found = parquet.read(again.output, EMBEDDINGS)
    assert found.sort_by("image_id") == rows.sort_by("image_id")


def test_a_lost_file_is_made_again_and_measured_again(config: Config, tmp_path: Path) -> None:
    """Even where it then holds what it should have held: who knows what it did hold."""
    study = run(config)
    lost = study.output.files("embeddings")[0]
    before = when(study, "_receipts/measure")
    study.output.remove(lost)
    again = run(config)
    after = when(again, "_receipts/measure")
    assert all(after[path] > time for path, time in before.items())
    stages = "index embed measure summarize"
    assert_same(tables(again.output), tables(full(config, tmp_path, stages).output))


def test_a_run_killed_while_it_rewrote_shards_embeds_nothing_twice(
    config: Config, tmp_path: Path
) -> None:
    """A shard that is begun anew has its commit taken back; its files are the old ones, or new."""
    study = run(config, "index embed")
    write_images(tmp_path / "images", {"aa": 1})  # moves class b
    before = EMBED.receipts(study.output).all()
    for receipt in before.values():
        EMBED.receipts(study.output).write(replace(receipt, digest=""))
    again = run(config, "index embed")
    assert computed(again, before) == 1
    assert_same(tables(again.output), tables(full(config, tmp_path, "index embed").output))


def test_byte_identical_images_are_reported(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_images(one, {"a": 4, "b": 4})
    write_images(two, {"c": 3}, seed=1)
    pairs = [(one / "a/000.png", one / "a/x.png"), (one / "a/001.png", one / "b/x.png")]
    pairs += [(one / "a/001.png", one / "b/y.png"), (one / "b/002.png", two / "c/x.png")]
    for source, copy in pairs:
        shutil.copy(source, copy)
    for name in ("p.png", "q.png"):
        (one / "a" / name).write_bytes(b"not embedded")
    config = image_config(tmp_path / "out", {"one": one, "two": two})
    study = run(config, "index embed")
    rows = parquet.read(study.output, DUPLICATES).to_pylist()
    found = {
        (Path(row["uri"]).relative_to(tmp_path).as_posix(), row["class_name"]): (
            row["in_class"],
            row["in_dataset"],
            row["in_all"],
        )
        for row in rows
    }
    assert found == {
        ("one/a/000.png", "a"): (2, 2, 2),
        ("one/a/x.png", "a"): (2, 2, 2),
        ("one/a/001.png", "a"): (1, 3, 3),
        ("one/b/x.png", "b"): (2, 3, 3),
        ("one/b/y.png", "b"): (2, 3, 3),
        ("one/b/002.png", "b"): (1, 1, 2),
        ("two/c/x.png", "c"): (1, 1, 2),
    }
    assert {row["content"] for row in rows} == {
        content_hash(path.read_bytes()) for path, _ in pairs
    }
    lines = [
        "dataset one: 6 byte-identical images (3 across classes, 1 across datasets)",
        "dataset two: 1 byte-identical image (1 across datasets)",
    ]
    assert study.closing("run").splitlines()[:2] == lines
    before = when(study, "duplicates")
    run(config, "index embed")
    assert when(study, "duplicates") == before
    for copy in (one / "b/x.png", one / "b/y.png", two / "c/x.png", one / "a/x.png"):
        copy.unlink()
    study = run(config, "index embed")
    assert len(parquet.read(study.output, DUPLICATES)) == 0
    assert "byte-identical" not in study.closing("run")


@pytest.mark.parametrize("images_of_a_range", [1, 3, 10])
def test_ranges_of_hashes_find_the_same(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images_of_a_range: int
) -> None:
    for number in range(4):
        shutil.copy(tmp_path / f"images/a/{number:03d}.png", tmp_path / f"images/b/x{number}.png")
    study = run(config, "index embed")
    expected = parquet.read(study.output, DUPLICATES).sort_by("image_id")
    assert len(expected) == 8
    monkeypatch.setattr(duplicates, "_IMAGES_OF_A_RANGE", images_of_a_range)
    for _ in range(2):
        run(config, "embed")
        assert parquet.read(study.output, DUPLICATES).sort_by("image_id") == expected
        assert len(study.output.files("duplicates")) == -(-21 // images_of_a_range)
    assert duplicates.summary(study.context) == [
        "dataset set: 8 byte-identical images (8 across classes)"
    ]


def test_where_the_seconds_went_is_told_and_kept(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    study = run(config, "index embed")
    (line,) = (text for text in capsys.readouterr().err.splitlines() if "in tasks" in text)
    assert line.startswith("embed: 17 images in ")
    for activity in ("load", "compute", "wait", "read", "decode", "write"):
        assert f" {activity} " in line
        kept = [r.seconds[activity] for r in EMBED.receipts(study.output).all().values()]
        assert all(seconds >= 0 for seconds in kept)
    run(config, "index embed")
    assert "in tasks" not in capsys.readouterr().err


def test_contents_are_those_of_the_files(config: Config, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(tmp_path / "images" / "a" / "black.png")
    study = run(config, "index embed")
    embedded = parquet.read(study.output, EMBEDDINGS, columns=["image_id", "content"])
    rows = embedded.join(parquet.read(study.output, IMAGES), "image_id")
    contents = [content_hash(Path(uri).read_bytes()) for uri in rows["uri"].to_pylist()]
    assert rows["content"].to_pylist() == contents
    assert pc.count_distinct(rows["content"]).as_py() == 18
