"""File names of the report, safe for any name of a network, dataset, layer or class."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Final

_LONGEST: Final = 40  # characters of a name that go into its file name


@functools.lru_cache(maxsize=10_000)
def slug(name: str) -> str:
    """A file name without suffix, different for every name: lower case ASCII, digits, ``_.-``.

    A name with other characters gets eight hexadecimal digits of its hash, so that ``Birds`` and
    ``birds``, or ``a/b`` and ``a b``, stay apart, even where file names ignore case.
    """
    plain = re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).strip(".-")[:_LONGEST]
    if plain == name:
        return plain
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{plain}-{digest}" if plain else digest


def dataset_page(network: str, dataset: str) -> str:
    """The page of one dataset by one network, relative to the report."""
    return f"datasets/{slug(network)}/{slug(dataset)}.html"


def layer_page(network: str, layer: str) -> str:
    """The page of one layer, relative to the report."""
    return f"layers/{slug(network)}/{slug(layer)}.html"


def class_page(network: str, dataset: str, class_name: str) -> str:
    """The page of one class, relative to the report."""
    return f"classes/{slug(network)}/{slug(dataset)}/{slug(class_name)}.html"


def unit_page(network: str, layer: str, unit: int) -> str:
    """The page of one unit, relative to the report."""
    return f"units/{slug(network)}/{slug(layer)}/{unit}.html"


def paper_page(network: str) -> str:
    """The page of the paper's figures and findings, relative to the report."""
    return f"paper/{slug(network)}.html"


def experiment_page(network: str, name: str) -> str:
    """The page of an experiment, relative to the report."""
    return f"experiments/{slug(network)}/{slug(name)}.html"


def picture(network: str, corpus: str, layer: str, unit: str) -> str:
    """The patches of a unit, relative to the report."""
    return f"pictures/{slug(network)}/{slug(corpus)}/{slug(layer)}-{unit}.webp"


def projections(network: str, corpus: str, layer: str, unit: str) -> str:
    """The projections of a unit, relative to the report."""
    return f"pictures/{slug(network)}/{slug(corpus)}/{slug(layer)}-{unit}-projected.webp"


def row(network: str, corpus: str, layer: str, unit: str) -> str:
    """The patches of a unit side by side, relative to the report."""
    return f"pictures/{slug(network)}/{slug(corpus)}/{slug(layer)}-{unit}-row.webp"


def samples(dataset: str, class_id: int) -> str:
    """The sample images of a class, relative to the report."""
    return f"pictures/samples/{slug(dataset)}/{class_id}.webp"


def sheet(network: str, layer: str) -> str:
    """The best patches of a layer's units, relative to the report."""
    return f"pictures/{slug(network)}/{slug(layer)}.webp"


def filters(network: str) -> str:
    """The weights of the network's first layer, relative to the report."""
    return f"pictures/{slug(network)}/filters.png"


def figure_stem(network: str, *names: str) -> str:
    """The path of a figure's files without suffix, relative to the report."""
    return f"figures/{slug(network)}/{'-'.join(slug(name) for name in names)}"


def data_file(network: str, *names: str) -> str:
    """The path of a table's CSV, relative to the report."""
    return f"data/{slug(network)}/{'-'.join(slug(name) for name in names)}.csv"
