"""Images read again for an experiment: a work item and a file beside the tables for each shard.

The files stay, so that other settings and new images need no second look at the images that were
read (driver).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kdsspark.config import Config
from kdsspark.engine import gpus
from kdsspark.engine.items import Outcome
from kdsspark.engine.stage import Context, Stage, prune
from kdsspark.engine.work import run_items
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.network.spec import Layer
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.stages import EMBED
from kdsspark.stages.embed import again
from kdsspark.stages.experiments.spatial.shard_task import ShardOfMaps

FORMAT: Final = 1  # of the files; if it changes, every image is read again


@dataclass(frozen=True)
class FilesOfShards:
    """Where an experiment keeps what it makes of the images of each shard."""

    stage: Stage

    @property
    def folder(self) -> str:
        """Of the files."""
        (folder,) = self.stage.beside
        return folder

    @property
    def receipts(self) -> str:
        """As the receipts of the files are filed."""
        return f"{self.stage.name}_images"

    def parts(self, output: Output, pair: Pair) -> tuple[str, ...]:
        """The file of each shard with images."""
        return tuple(self._part(output, name) for name in _shards(output, pair))

    def read(
        self,
        context: Context,
        layers: Mapping[Pair, tuple[str, ...]],
        task: Callable[[], Callable[[ShardOfMaps], Outcome]],
    ) -> None:
        """Write the files that are missing of these layers; ``task`` makes what writes one."""
        receipts = context.output.receipts(self.receipts)
        items = [item for pair in layers for item in self._to_read(context, pair, layers[pair])]
        if items:
            slots = gpus.slots(context.session.sparkContext)
            how = "images", slots.spread, slots.at_once
            run_items(context.session, receipts, items, task(), *how)
        receipts.gather()

    def _part(self, output: Output, shard: ItemName) -> str:
        return output.beside(self.folder, shard.pair, shard.part)

    def _to_read(
        self, context: Context, pair: Pair, layers: tuple[str, ...]
    ) -> Iterator[ShardOfMaps]:
        output, receipts = context.output, context.output.receipts(self.receipts)
        sizes, made = _shards(output, pair), EMBED.receipts(output).of(pair)
        digests = {name: fingerprint([FORMAT, [*layers], made[name].digest]) for name in sizes}
        parts = {output.beside(self.folder, pair): [name.part for name in sizes]}
        prune(output, receipts, pair, digests, parts)
        files = set(output.files(output.beside(self.folder, pair)))
        for name in receipts.named(digests):
            if self._part(output, name) not in files:
                receipts.remove(name)
        done = receipts.named(digests)
        stale = {n for n, d in digests.items() if n not in done or done[n].digest != d}
        for name, shard in again.shards_to_read(context, pair, self.receipts, stale):
            yield ShardOfMaps(name=name, digest=digests[name], size=sizes[name], shard=shard)


def _shards(output: Output, pair: Pair) -> dict[ItemName, int]:
    """The shards with images, and how many these are."""
    counts = {name: r.counts["embedded"] for name, r in EMBED.receipts(output).of(pair).items()}
    return {name: counts[name] for name in sorted(counts) if counts[name]}


def named_layers(config: Config, pair: Pair, layers: Mapping[int, Layer]) -> dict[int, Layer]:
    """Those of ``layers`` that ``experiments.layers`` names, all where it names none.

    Raises :class:`DatasetError` if it names others only.
    """
    chosen = config.experiments.layers
    found = {d: one for d, one in layers.items() if chosen is None or one.name in chosen}
    if not found:
        raise DatasetError(
            f"dataset {pair.dataset}: experiments.layers must name a layer of {pair.network} "
            f"({', '.join(one.name for one in layers.values())}), got {', '.join(chosen or ())}"
        )
    return found
