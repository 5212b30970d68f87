"""Shards of a WebDataset, written by tarfile."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.archives import dataset, jpeg, rows

Members = Sequence[tuple[str, bytes]]


def shard(path: Path, members: Members, mode: str = "w", form: int = tarfile.PAX_FORMAT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(archive(members, mode, form))


def archive(members: Members, mode: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=form) as tar:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def sample(key: str, label: str, seed: int = 0) -> Members:
    return [(f"{key}.jpg", jpeg(seed)), (f"{key}.cls", label.encode())]


def pairs(path: Path, split: str | None = None) -> dict[str, str]:
    return {row["path"]: row["class_name"] for row in rows(dataset("webdataset", path, split))}
