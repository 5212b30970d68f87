"""Which squares are cut out of which images for the report, and the cutting by executors (driver).

Only what is drawn is read. A picture is made by one task, and a task reads an image once, whatever
it cuts out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import or_
from typing import Final, Protocol, TypeVar

from kdsspark.engine.fold import fold
from kdsspark.engine.stage import Context
from kdsspark.network.spec import NetworkSpec
from kdsspark.output.names import Pair
from kdsspark.report.gallery import unit_figures
from kdsspark.report.gallery.gallery import LayerShown
from kdsspark.report.parts import names
from kdsspark.stages.embed.networks import saved_networks
from kdsspark.stages.report.pictures.best_images import BestImages
from kdsspark.stages.report.pictures.cut_task import CutImages, OfImage, Square
from kdsspark.stages.report.pictures.picture import PictureFile, Place
from kdsspark.stages.report.sizes import Sizes
from kdsspark.stages.report.subjects import Subject

_TILES_OF_A_TASK: Final = 4000  # two seconds; with fewer, more tasks read the same images
_SHORT_SIDE: Final = 256  # where no network says otherwise


def cut(
    context: Context, shown: Sequence[tuple[Subject, BestImages]], size: Sizes
) -> dict[str, bytes]:
    """The pictures of all pairs, by their paths; a picture without a tile is left out.

    Patches belong to the pair that is the reference corpus, so that several pairs with one corpus
    cut them once.
    """
    config = context.config
    specs = saved_networks(context.output, config)
    ready_made = {dataset.name for dataset in config.embeddings_datasets}
    wanted: dict[Pair, dict[tuple[str, Square], None]] = {}
    for subject, best in shown:
        for pair, uri, square in cuts(subject, best, size):
            if pair.dataset not in ready_made:
                wanted.setdefault(pair, {})[uri, square] = None
    short_sides = {pair: _short_side(specs.get(pair.network)) for pair in wanted}
    task = CutImages(short_sides, config.embed.image_seconds)
    work = tasks(wanted, _TILES_OF_A_TASK)
    made = fold(context.session, "pictures", work, task, or_, at_least=1)
    return {path: content for files in made.values() for path, content in files.items()}


def _short_side(spec: NetworkSpec | None) -> int:
    return spec.preprocessing.resize if spec and not spec.is_pixels else _SHORT_SIDE


def cuts(subject: Subject, best: BestImages, size: Sizes) -> Iterator[tuple[Pair, str, Square]]:
    """(pair whose image it is, uri, square) of everything that is cut for a pair."""
    if subject.sampled_by == subject.pair:
        for class_id, uris in subject.samples.items():
            picture = samples(subject, class_id, size)
            for n, uri in enumerate(uris):
                yield subject.pair, uri, Square((picture, n), None)
    made = _units(subject, best, size)
    sheets = _on_sheets(subject, size) if subject.with_sheets else {}
    for uri, box, feature, rank in ((p.uri, p.box, p.feature, p.rank) for p in best.patches()):
        for picture in made.get(feature, ()):
            yield subject.of_patches, uri, Square((picture, rank - 1), box)
        if rank == 1 and feature in sheets:
            yield subject.of_patches, uri, Square(sheets[feature], box)


def samples(subject: Subject, class_id: int, size: Sizes) -> PictureFile:
    """The picture of the sample images of a class."""
    path = names.samples(subject.pair.dataset, class_id)
    return PictureFile(path, len(subject.samples[class_id]), size.sample, in_rows=False)


def patches(subject: Subject, best: BestImages, feature: int, size: Sizes) -> PictureFile:
    """The picture of the patches of a unit."""
    return of_unit(subject, best, feature, size, names.picture)


def row(subject: Subject, best: BestImages, feature: int, size: Sizes) -> PictureFile:
    """The picture of the same patches side by side."""
    return of_unit(subject, best, feature, size, names.row)._replace(in_rows=False)


def of_unit(
    subject: Subject,
    best: BestImages,
    feature: int,
    size: Sizes,
    named: Callable[[str, str, str, str], str],
) -> PictureFile:
    """A picture with a tile for each patch of a unit; ``named`` gives its path."""
    layer = subject.layer_of(feature)
    corpus, unit = subject.of_patches.dataset, str(feature - layer.first)
    path = named(subject.pair.network, corpus, layer.name, unit)
    return PictureFile(path, len(best.of(feature)), size.patch, in_rows=True)


def sheet(subject: Subject, layer: LayerShown, n: int, size: Sizes) -> PictureFile:
    """The picture of the best patches of ``n`` units of a layer."""
    path = names.sheet(subject.pair.network, layer.name)
    return PictureFile(path, n, size.tile, in_rows=False)


def _units(subject: Subject, best: BestImages, size: Sizes) -> dict[int, list[PictureFile]]:
    """The pictures that show the patches of each unit."""
    made = {f: [patches(subject, best, f, size)] for f in subject.chosen.drawn}
    for feature in unit_figures.in_rows(subject.figures):
        made[feature].append(row(subject, best, feature, size))
    return made


def _on_sheets(subject: Subject, size: Sizes) -> dict[int, Place]:
    """The place of each unit that is on the sheet of its layer."""
    return {
        feature: (picture, n)
        for layer, features in zip(subject.layers, subject.chosen.sheets, strict=True)
        for picture in [sheet(subject, layer, len(features), size)]
        for n, feature in enumerate(features)
    }


class Placed(Protocol):
    """What is made of an image for a picture."""

    @property
    def at(self) -> Place:
        """Where it is shown."""


Wanted = TypeVar("Wanted", bound=Placed)


def tasks(
    wanted: Mapping[Pair, Collection[tuple[str, Wanted]]], tiles: int
) -> dict[Pair, list[Sequence[OfImage[Wanted]]]]:
    """What each task makes of images, given with their uris: about ``tiles``, whole pictures."""
    found: dict[Pair, list[Sequence[OfImage[Wanted]]]] = {}
    for pair, own in wanted.items():
        by_picture: dict[PictureFile, list[tuple[str, Wanted]]] = {}
        for uri, one in own:
            by_picture.setdefault(one.at[0], []).append((uri, one))
        parts: list[list[tuple[str, Wanted]]] = [[] for _ in range(-(-len(own) // tiles))]
        begun = 0
        for some in by_picture.values():
            parts[begun * len(parts) // len(own)] += some
            begun += len(some)
        found[pair] = [_by_image(part) for part in parts if part]
    return found


def _by_image(wanted: Sequence[tuple[str, Wanted]]) -> list[OfImage[Wanted]]:
    by_uri: dict[str, list[Wanted]] = {}
    for uri, one in wanted:
        by_uri.setdefault(uri, []).append(one)
    return [OfImage(uri, tuple(ones)) for uri, ones in sorted(by_uri.items())]
