"""Reading the report's pages as a browser would, with the standard library."""

from __future__ import annotations

from html.parser import HTMLParser

CITATION = "https://arxiv.org/abs/1703.01127"
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Collects tags, attributes and text; fails on tags that do not balance."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.cells: list[list[str]] = []
        self.links: list[list[str]] = []  # of each row of a table
        self.codes: list[str] = []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "tr":
            self.cells.append([])
            self.links.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        if tag == "a" and "tr" in self.stack:
            self.links[-1].append(dict(attrs)["href"] or "")
        if tag == "code":
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self.stack):
            return
        self.text.append(data)
        if {"td", "th"} & set(self.stack):
            self.cells[-1][-1] += data.strip()
        if self.stack and self.stack[-1] == "code":
            self.codes[-1] += data

    def all(self, attribute: str) -> list[str]:
        return [a[attribute] or "" for _, a in self.tags if attribute in a]


def words(page: Page) -> str:
    """All text, with single spaces."""
    return " ".join("".join(page.text).split())
