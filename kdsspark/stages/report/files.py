"""The files of the report in the output (driver)."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from kdsspark.output.output import Output

_FOLDER: Final = "report"
_FIRST_PAGE: Final = "index.html"
_WRITTEN_AT_ONCE: Final = 8  # elsewhere than here; here they would fight over Python's lock


def count(output: Output) -> int:
    """How many there are."""
    return len(output.files(_FOLDER))


def replace(output: Output, files: Iterable[tuple[str, bytes]]) -> None:
    """Write the files of a report as they come, and remove those of earlier ones.

    ``files`` are names relative to the report and contents. A name that comes again has the same
    content. The first page is written when all others are.
    """
    old = set(output.files(_FOLDER))
    first_page = b""
    written = set()

    def write(name: str, content: bytes) -> None:
        with output.create(f"{_FOLDER}/{name}") as file:
            file.write(content)

    with ThreadPoolExecutor(1 if output.is_local else _WRITTEN_AT_ONCE) as pool:
        under_way = []
        for name, content in files:
            if name == _FIRST_PAGE:
                first_page = content
            elif name not in written:
                under_way.append(pool.submit(write, name, content))
            written.add(name)
        for one in under_way:
            one.result()
    write(_FIRST_PAGE, first_page)
    for path in sorted(old - {f"{_FOLDER}/{name}" for name in written}):
        output.remove(path)
