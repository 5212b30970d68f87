"""How an experiment with maps runs (driver): images are read again, then the forms are fitted.

The maps of each shard are one work item and one file beside the tables; each form of each layer is
one more. All maps are of one centre crop: over mirrored or shifted crops the means would mix
places, and hide zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kdsspark.config import Config
from kdsspark.engine.items import Outcome
from kdsspark.engine.stage import Context, Stage
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.network.map_shape import Spatial
from kdsspark.network.spec import Layer
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import pairs
from kdsspark.stages.embed import again, complete, networks
from kdsspark.stages.experiments.spatial import reading
from kdsspark.stages.experiments.spatial.fit_task import FitItem
from kdsspark.stages.experiments.spatial.reading import FilesOfShards
from kdsspark.stages.experiments.spatial.shard_task import WriteMaps
from kdsspark.stages.pairs import PairPlan


@dataclass(frozen=True)
class SpatialExperiment:
    """What one experiment wants of the maps."""

    stage: Stage
    format: int  # of its rows; if it changes, every form is fitted again
    pooling: Spatial
    forms: Callable[[Layer], Sequence[str]]  # that a layer has

    @property
    def files(self) -> FilesOfShards:
        """The files of maps."""
        return FilesOfShards(self.stage)

    def plan(self, output: Output, config: Config, pair: Pair) -> PairPlan:
        """The forms to fit: none of pairs without maps.

        Raises :class:`DatasetError` if a pair is not embedded, or has none of the layers wanted.
        """
        if not pairs.goes_through_a_network(config, pair) or complete.all_failed(output, pair):
            return PairPlan.of(self.stage, [])
        source, settings = pairs.embedded(output, pair), config.probe
        memory, parts = config.measure.memory_bytes, self.files.parts(output, pair)
        given = [self.format, reading.FORMAT, source.digest, settings.model_dump(), memory]
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
        if not any(pairs.goes_through_a_network(config, pair) for pair in context.pairs):
            raise ConfigError(
                f"experiment {self.stage.name}: needs a network that takes images, "
                f"got ready-made embeddings or pixels"
            )
        mine = [p for p in complete.working_pairs(context) if self.stage.wanted(config, p)]
        todo = [pair for pair in mine if not self.plan(output, config, pair).finished(output)]
        if todo:
            self._read_images(context, todo)
        # The maps of early layers are the largest.
        pairs.run(context, self.stage, self.plan, task, lambda item: -item.depth)

    def _layers(self, output: Output, config: Config, pair: Pair) -> dict[int, Layer]:
        """Depth -> layer, of those that are wanted and have a form."""
        spec = networks.saved_networks(output, config)[pair.network]
        having = {depth: one for depth, one in enumerate(spec.layers) if self.forms(one)}
        if not having:
            raise DatasetError(
                f"dataset {pair.dataset}: {self.stage.name} needs a layer with maps, "
                f"got {', '.join(one.name for one in spec.layers)} of {pair.network}"
            )
        return reading.named_layers(config, pair, having)

    def _read_images(self, context: Context, todo: Sequence[Pair]) -> None:
        """Write the maps of the shards that lack them."""
        output, config = context.output, context.config
        layers = {
            pair: tuple(layer.name for layer in self._layers(output, config, pair).values())
            for pair in todo
        }

        def task() -> WriteMaps:
            jobs = again.image_jobs(context, pooling=self.pooling, crops="center")
            return WriteMaps(output, self.files.folder, layers, jobs)

        self.files.read(context, layers, task)


def has_maps(layer: Layer) -> bool:
    """Whether a layer has maps; tokens of vision transformers do not count as maps."""
    return layer.kind == "conv"
