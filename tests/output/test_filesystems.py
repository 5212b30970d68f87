"""Where a URL leads: names as they are written, chains of URLs, http."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import fsspec
import pytest

from kdsspark.output.filesystems import http_url, locate


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("webhdfs://host:9870/d/what?.png", "/d/what?.png"),
        ("webhdfs://host:9870/d/a?b#c.png", "/d/a?b#c.png"),
        ("webhdfs://host:9870/d//?x", "/d//?x"),
        ("memory://d/#1.png", "/d/#1.png"),
        ("memory://d/a::b/c.png", "/d/a::b/c.png"),
        ("file:///d/a::b?c#d%20e", "/d/a::b?c#d%20e"),
        ("/d/http://x.png", "/d/http://x.png"),  # a folder whose name ends in a colon
    ],
)
def test_every_character_stands_for_itself(url: str, path: str) -> None:
    assert locate(url)[1] == path


def test_chained_urls_are_a_chain(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe_file("/chained/x.txt", b"there")
    for url in ("simplecache::memory://chained/x.txt", "dir://x.txt::memory://chained"):
        fs, path = locate(url)
        assert fs.cat_file(path) == b"there"
    (tmp_path / "x.txt").write_bytes(b"here")
    fs, path = locate(f"dir://x.txt::{tmp_path}")
    assert fs.cat_file(path) == b"here"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://host/a.png", "http://host/a.png"),
        ("https://me:pw@host:8/a.png?b=1&c=%2F", "https://me:pw@host:8/a.png?b=1&c=%2F"),
        ("http://host/a b#1%.png", "http://host/a%20b%231%25.png"),
        ("http://bücher.example/é", "http://xn--bcher-kva.example/%C3%A9"),
        ("http://host?a b", "http://host?a%20b"),
        ("http://host", "http://host"),
        ("http://host/a\nb", "http://host/a%0Ab"),
    ],
)
def test_http_urls_have_the_characters_they_may_have(url: str, sent: str) -> None:
    assert http_url(url) == sent
    assert http_url(sent) == sent
    assert unquote(sent.partition("host")[2]) == unquote(url.partition("host")[2])


@pytest.mark.parametrize("url", ["nosuch://bucket/a", "nosuch::memory://a"])
def test_unknown_schemes_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="nosuch"):
        locate(url)
