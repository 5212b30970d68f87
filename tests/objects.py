"""Object stores that are not there: file systems of fsspec, for tests."""

from __future__ import annotations

import hashlib
import io
from collections.abc import MutableMapping
from typing import Any, ClassVar

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem


class Upload(AbstractBufferedFile):
    """Sends blocks as they fill; the object appears when the last one is sent."""

    def _initiate_upload(self) -> None:
        self.fs.log.append("begin")
        self.blocks: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> bool:
        self.blocks.append(self.buffer.getvalue())
        if final:
            if self.mode == "xb" and self.path in self.fs.objects:
                raise FileExistsError(self.path)
            self.fs.log.append("complete")
            self.fs.objects[self.path] = b"".join(self.blocks)
        return True

    def discard(self) -> None:
        self.fs.log.append("discard")


class Objects(AbstractFileSystem):
    """Names and bytes, neither folders nor renaming. The bytes are in memory."""

    protocol: ClassVar[str | tuple[str, ...]] = "objects"
    cachable = False
    objects: ClassVar[MutableMapping[str, bytes]] = {}
    log: ClassVar[list[str]] = []

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if mode == "rb":
            if path not in self.objects:
                raise FileNotFoundError(path)
            return io.BytesIO(self.objects[path])
        return Upload(self, path, mode, **(kwargs | {"block_size": 1000}))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        start = f"{path}/" if path else ""
        if path in self.objects:
            found = [self._file(path)]
        else:
            below = [n.removeprefix(start) for n in self.objects if n.startswith(start)]
            folders = {start + name.split("/")[0] for name in below if "/" in name}
            found = [self._file(start + name) for name in below if "/" not in name]
            found += [{"name": f, "type": "directory", "size": 0} for f in sorted(folders)]
        if not found:
            raise FileNotFoundError(path)
        return found if detail else [info["name"] for info in found]

    def _file(self, path: str) -> dict[str, Any]:
        data = self.objects[path]
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return {"name": path, "type": "file", "size": len(data), "etag": etag}

    def rm_file(self, path: str) -> None:
        self.objects.pop(path, None)
