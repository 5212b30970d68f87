"""The bytes of an image, from files and other stores."""

import zipfile
from pathlib import Path

import fsspec
import pytest

from kdsspark.errors import ImageError
from kdsspark.images import decoding as images
from kdsspark.images.decoding import (
    read,
)


def test_read_local_paths_and_urls(tmp_path: Path) -> None:
    folder = tmp_path / "a::b = 'c' & été #1%20?"
    folder.mkdir()
    path = folder / "x.jpg"
    path.write_bytes(b"abc")
    assert read(str(path)) == b"abc"
    assert read(f"file://{path}") == b"abc"


def test_read_other_stores_and_chains(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe("/folder/x.jpg", b"abc")
    assert read("memory://folder/x.jpg") == b"abc"
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("y.jpg", b"def")
    assert read(f"zip://y.jpg::file://{tmp_path}/z.zip") == b"def"


def test_read_failures_are_named(tmp_path: Path) -> None:
    for uri, error in [
        (str(tmp_path / "absent.jpg"), "FileNotFoundError"),
        (str(tmp_path), "IsADirectoryError"),
        ("memory://absent/x.jpg", "FileNotFoundError"),
        ("nosuchstore://bucket/x.jpg", "ValueError"),
    ]:
        with pytest.raises(ImageError) as caught:
            read(uri)
        assert (caught.value.stage, caught.value.error) == ("read", error)
        assert caught.value.message


def test_read_refuses_huge_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 1000)
    path = tmp_path / "x.jpg"
    path.write_bytes(bytes(1000))
    assert len(read(str(path))) == 1000
    path.write_bytes(bytes(1001))
    with pytest.raises(ImageError, match="read: ValueError: file must have at most 1,000 bytes"):
        read(str(path))
