"""How an experiment with maps runs (driver): images are read again, then the forms are fitted.

The maps of each shard are one work item and one file beside the tables; each form of each layer is
one more. The files stay, so that other settings and new images need no second look at the images
that were read. All maps are of one centre crop: over mirrored or shifted crops the means would mix
places, and hide zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kdsspark import pixels
from kdsspark.config import Config
from kdsspark.engine import gpus
from kdsspark.engine.items import Outcome
from kdsspark.engine.stage import Context, Stage, prune
from kdsspark.engine.work import run_items
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.network.map_shape import Spatial
from kdsspark.network.spec import Layer
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.stages import EMBED, pairs
from kdsspark.stages.embed import again, complete, networks
from kdsspark.stages.experiments.spatial.fit_task import FitItem
from kdsspark.stages.experiments.spatial.shard_task import ShardOfMaps, WriteMaps
from kdsspark.stages.pairs import PairPlan

_FORMAT: Final = 1  # of the files of maps; if it changes, every image is read again


@dataclass(frozen=True)
class SpatialExperiment:
    """What one experiment wants of the maps."""

    stage: Stage
    format: int  # of its rows; if it changes, every form is fitted again
    pooling: Spatial
    forms: Callable[[Layer], Sequence[str]]  # that a layer has

    @property
    def folder(self) -> str:
        """Of the files of maps."""
        (folder,) = self.stage.beside
        return folder

    @property
    def of_shards(self) -> str:
        """As the receipts of the files of maps are filed."""
        return f"{self.stage.name}_images"

    def plan(self, output: Output, config: Config, pair: Pair) -> PairPlan:
        """The forms to fit: none of pairs without maps.

        Raises :class:`DatasetError` if a pair is not embedded, or has none of the layers wanted.
        """
        if not wanted(config, pair) or complete.all_failed(output, pair):
            return PairPlan.of(self.stage, [])
        source, settings = pairs.embedded(output, pair), config.probe
        memory, parts = config.measure.memory_bytes, self._parts(output, pair)
        given = [self.format, _FORMAT, source.digest, settings.model_dump(), memory]
        items = [
            FitItem(
                name=pair.item(f"layer-{depth:04d}-{form}"),
                digest=fingerprint(given),
                output=output,
                pair=pair,
                layer=layer.name,
                depth=depth,
                form=form,
                parts=parts,
                settings=settings,
                memory=memory,
            )
            for depth, layer in self._layers(output, config, pair).items()
            for form in self.forms(layer)
        ]
        return PairPlan.of(self.stage, items)

    def run(self, context: Context, task: Callable[[FitItem], Outcome]) -> None:
        """Read the images of the pairs with forms to fit, and fit these.

        Raises :class:`ConfigError` if no pair has maps, and what :meth:`plan` raises.
        """
        output, config = context.output, context.config
        if not any(wanted(config, pair) for pair in context.pairs):
            raise ConfigError(
                f"experiment {self.stage.name}: needs a network that takes images, "
                f"got ready-made embeddings or pixels"
            )
        mine = [pair for pair in complete.working_pairs(context) if wanted(config, pair)]
        todo = [pair for pair in mine if not self.plan(output, config, pair).finished(output)]
        if todo:
            self._read_images(context, todo)
        # The maps of early layers are the largest.
        pairs.run(context, self.stage, self.plan, task, lambda item: -item.depth)

    def _layers(self, output: Output, config: Config, pair: Pair) -> dict[int, Layer]:
        """Depth -> layer, of those that are wanted and have a form."""
        spec, chosen = networks.saved_networks(output, config)[pair.network], config.experiments
        named = {depth: one for depth, one in enumerate(spec.layers) if self.forms(one)}
        found = {
            depth: one
            for depth, one in named.items()
            if chosen.layers is None or one.name in chosen.layers
        }
        if not named:
            raise DatasetError(
                f"dataset {pair.dataset}: {self.stage.name} needs a layer with maps, "
                f"got {', '.join(one.name for one in spec.layers)} of {pair.network}"
            )
        if not found:
            raise DatasetError(
                f"dataset {pair.dataset}: experiments.layers must name a layer of {pair.network} "
                f"({', '.join(one.name for one in named.values())}), "
                f"got {', '.join(chosen.layers or ())}"
            )
        return found

    def _shards(self, output: Output, pair: Pair) -> dict[ItemName, int]:
        """The shards with images, and how many these are."""
        counts = {name: r.counts["embedded"] for name, r in EMBED.receipts(output).of(pair).items()}
        return {name: counts[name] for name in sorted(counts) if counts[name]}

    def _parts(self, output: Output, pair: Pair) -> tuple[str, ...]:
        return tuple(self._part(output, name) for name in self._shards(output, pair))

    def _part(self, output: Output, shard: ItemName) -> str:
        return output.beside(self.folder, shard.pair, shard.part)

    def _read_images(self, context: Context, todo: Sequence[Pair]) -> None:
        """Write the maps of the shards that lack them."""
        output = context.output
        receipts = output.receipts(self.of_shards)
        items = [item for pair in todo for item in self._to_read(context, pair)]
        if items:
            layers = {
                pair: tuple(
                    layer.name for layer in self._layers(output, context.config, pair).values()
                )
                for pair in todo
            }
            jobs = again.image_jobs(context, pooling=self.pooling, crops="center")
            slots = gpus.slots(context.session.sparkContext)
            task = WriteMaps(output, self.folder, layers, jobs)
            run_items(context.session, receipts, items, task, "images", slots.spread, slots.at_once)
        receipts.gather()

    def _to_read(self, context: Context, pair: Pair) -> Iterator[ShardOfMaps]:
        output, receipts = context.output, context.output.receipts(self.of_shards)
        sizes, made = self._shards(output, pair), EMBED.receipts(output).of(pair)
        layers = [layer.name for layer in self._layers(output, context.config, pair).values()]
        digests = {name: fingerprint([_FORMAT, layers, made[name].digest]) for name in sizes}
        parts = {output.beside(self.folder, pair): [name.part for name in sizes]}
        prune(output, receipts, pair, digests, parts)
        files = set(output.files(output.beside(self.folder, pair)))
        for name in receipts.named(digests):
            if self._part(output, name) not in files:
                receipts.remove(name)
        done = receipts.named(digests)
        stale = {n for n, d in digests.items() if n not in done or done[n].digest != d}
        for name, shard in again.shards_to_read(context, pair, self.of_shards, stale):
            yield ShardOfMaps(name=name, digest=digests[name], size=sizes[name], shard=shard)


def wanted(config: Config, pair: Pair) -> bool:
    """Whether the network of a pair takes images and is one, so that it may have maps."""
    networks_with_layers = {
        network.name for network in config.networks if network.architecture != pixels.ARCHITECTURE
    }
    return pair.network in networks_with_layers


def has_maps(layer: Layer) -> bool:
    """Whether a layer has maps; tokens of vision transformers do not count as maps."""
    return layer.kind == "conv"
