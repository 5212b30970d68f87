"""What lies below a dataset's path and is not taken, counted by ending and reason (driver).

A photograph that no layout takes must not vanish without a word. Layouts count here what they leave
out; ``index`` prints the counts, warns of classes that are left out whole, and keeps both in the
footer of ``images``, from where run records take them.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kdsspark.images.decoding import EXTRA_SUFFIXES

NOT_READ: Final = "not read"
"""The reason of files whose ending no layout takes and no decoder is known for."""

HIDDEN: Final = "hidden"
"""The reason of names that begin with a dot, and of the temporary files of Spark, with ``_``.

A hidden folder counts once where nobody looks into it.
"""

NO_FILE: Final = "no regular file"
BROKEN_LINK: Final = "link that leads nowhere"
EMPTY: Final = "empty folder"

_NO_DECODER: Final = frozenset(
    (
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef"),
        *(".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2"),
        *(".srf", ".srw", ".x3f", ".exr", ".hdr", ".jxl", ".jxr", ".psd", ".svg", ".tga"),
    )
)
"""Endings of photographs and pictures that nothing here reads."""

_COMPRESSED: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_ENDING: Final = re.compile(r"\.(?=.*[a-z])[a-z0-9_+-]{1,12}")
_MOST_SHOWN: Final = 12  # groups, and classes, of a line

_Counts = Counter[tuple[str, str]]  # ending, reason


class Group(NamedTuple):
    """Files of one ending that are left out for one reason."""

    class_name: str | None  # where a class is left out whole, its name
    ending: str  # lower case, with its dot; empty for hidden files and names without an ending
    reason: str
    files: int  # 0 for an empty class folder


@dataclass
class LeftOut:
    """Counts of the files that one listing leaves out."""

    counts: _Counts = field(default_factory=Counter)
    by_class: dict[str, _Counts] = field(default_factory=dict)  # for classes that may have no image

    def add(self, name: str, reason: str | None = None, class_name: str | None = None) -> None:
        """Count the file ``name``. Without a ``reason``, its ending tells why it is left out."""
        counts = self.counts if class_name is None else self.of_class(class_name)
        counts[("" if reason == HIDDEN else ending(name), reason or _reason(ending(name)))] += 1

    def of_class(self, class_name: str) -> _Counts:
        """The counts of a class that may have no image."""
        return self.by_class.setdefault(class_name, Counter())

    def groups(self, classes: Collection[str]) -> list[Group]:
        """All counts, the largest first; apart for each class that is not among ``classes``."""
        counts, whole = Counter(self.counts), []
        for name, of_class in sorted(self.by_class.items()):
            if name in classes:
                counts.update(of_class)
            else:
                whole += _groups(name, of_class) or [Group(name, "", EMPTY, 0)]
        return _groups(None, counts) + whole


def is_photograph(name: str) -> bool:
    """Whether a file has an ending of photographs for which there is no decoder without extras."""
    return ending(name) in EXTRA_SUFFIXES or ending(name) in _NO_DECODER


def ending(name: str) -> str:
    """``a/1.JPG`` -> ``.jpg``, ``a.tar.gz`` -> ``.tar.gz``; empty where a name has none.

    What follows the last dot is no ending where it is long, or has no letter: numbers and hashes.
    """
    base = posixpath.basename(name).lower()
    for compressed in _COMPRESSED:
        if base.endswith(compressed):
            return compressed
    suffix = posixpath.splitext(base)[1]
    return suffix if _ENDING.fullmatch(suffix) else ""


def summary(groups: Iterable[Group]) -> str:
    """``3 .heic (no decoder: install kdsspark[heif]), 2 hidden, 1 .txt``; empty for none."""
    counts: _Counts = Counter()
    for group in groups:
        counts[group.ending, group.reason] += group.files
    merged = [group for group in _groups(None, counts) if group.files]
    shown = [_in_words(group) for group in merged[:_MOST_SHOWN]]
    others = sum(group.files for group in merged[_MOST_SHOWN:])
    return ", ".join([*shown, f"{others} with other endings"] if others else shown)


def warnings(groups: Sequence[Group]) -> list[str]:
    """One line that names the classes left out whole, and what each of them has; or none."""
    whole: dict[str, list[Group]] = {}
    for group in groups:
        if group.class_name is not None:
            whole.setdefault(group.class_name, []).append(group)
    if not whole:
        return []
    named = [f"{name!r}: {summary(of_class) or EMPTY}" for name, of_class in whole.items()]
    more = [f"{len(named) - _MOST_SHOWN} more"] if len(named) > _MOST_SHOWN else []
    classes = "1 class is" if len(named) == 1 else f"{len(named)} classes are"
    return [f"{classes} left out whole: {'; '.join(named[:_MOST_SHOWN] + more)}"]


def _groups(class_name: str | None, counts: _Counts) -> list[Group]:
    found = [Group(class_name, *key, files) for key, files in counts.items()]
    return sorted(found, key=lambda group: (-group.files, group.ending, group.reason))


def _reason(suffix: str) -> str:
    if suffix in EXTRA_SUFFIXES:
        return f"no decoder: install kdsspark[{EXTRA_SUFFIXES[suffix]}]"
    if suffix in _NO_DECODER:
        return "no decoder"
    return "compressed" if suffix in _COMPRESSED else NOT_READ


def _in_words(group: Group) -> str:
    if group.reason == HIDDEN:
        return f"{group.files} {HIDDEN}"
    what = f"{group.files} {group.ending or 'without an ending'}"
    return what if group.reason == NOT_READ else f"{what} ({group.reason})"
