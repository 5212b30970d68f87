"""The networks of a study, resolved once on the driver and kept in the output as files.

``_networks/<name>.json`` says what a network is, ``_networks/<name>-<digest>.safetensors`` holds
the tensors it needs; executors read these and neither download nor unpickle anything.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from kdsspark.config import Config, Network
from kdsspark.datasets import readymade
from kdsspark.engine.stage import Context
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.network.spec import NetworkSpec, describe
from kdsspark.output import parquet
from kdsspark.output.filesystems import file_version, locate
from kdsspark.output.output import Output
from kdsspark.stages import removal
from kdsspark.tables import FEATURES


@dataclass(frozen=True)
class Prepared:
    """A network ready for executors; ``weights`` is a file of the output."""

    spec: NetworkSpec
    weights: str


def prepare_networks(context: Context) -> list[Prepared]:
    """Resolve every network of the configuration and write ``features``.

    A network that the output holds is taken from there. If the file it came from has changed since,
    its embeddings would be another network's: that raises :class:`ConfigError`, or with
    ``context.fresh`` removes all that came from it.
    """
    return [_prepared(context.output, n, context.fresh) for n in context.config.networks]


def saved_networks(output: Output, config: Config) -> dict[str, NetworkSpec]:
    """Name -> spec of the networks that have been prepared in this output."""
    found = {network.name: _saved(output, network.name) for network in config.networks}
    return {name: spec for name, spec in found.items() if spec}


def saved_network(output: Output, network: str) -> Prepared | None:
    """A network as the output holds it; None if none is prepared, as of ready-made embeddings."""
    spec = _saved(output, network)
    if spec is None:
        return None
    return Prepared(spec, output.read_json(output.network(network))["weights"])


def saved_fingerprint(output: Output, network: str) -> str | None:
    """The fingerprint of the network that the output was made with; None if none is prepared."""
    spec = _saved(output, network)
    return spec.fingerprint if spec else None


def _saved(output: Output, network: str) -> NetworkSpec | None:
    try:
        return NetworkSpec.from_dict(output.read_json(output.network(network))["spec"])
    except FileNotFoundError:
        return None


def whole_crops(output: Output, network: str) -> dict[str, str]:
    """Layer -> why its patches are whole crops, of the layers where they are."""
    found: dict[str, str] = _noted(output, network, "whole_crops")
    return found


def layer_sizes(output: Output, network: str) -> dict[str, tuple[int, int]]:
    """Layer -> neurons and parameters."""
    found = _noted(output, network, "layer_sizes")
    return {layer: (neurons, parameters) for layer, (neurons, parameters) in found.items()}


def _noted(output: Output, network: str, what: str) -> dict[str, Any]:
    """What was noted of layers; nothing of ready-made embeddings, nor by earlier versions."""
    try:
        record = output.read_json(output.network(network))
    except FileNotFoundError:
        return {}
    found: dict[str, Any] = record.get(what, {})
    return found


def layer_widths(output: Output, network: str) -> dict[str, int]:
    """Layer -> number of units, in the order of the embedding."""
    features = parquet.read(output, FEATURES, network, columns=["layer", "depth"])
    counts = features.group_by(["layer", "depth"]).aggregate([([], "count_all")])
    ordered = counts.sort_by("depth")
    return dict(zip(ordered["layer"].to_pylist(), ordered["count_all"].to_pylist(), strict=True))


def _prepared(output: Output, network: Network, fresh: bool) -> Prepared:
    record, source = output.network(network.name), _source_version(network)
    spec = _saved(output, network.name)
    if spec is None:
        resolved = _resolve(output, network)
    else:
        saved = output.read_json(record)
        if source in ("", saved["source"]) and output.exists(saved["weights"]):
            return Prepared(spec, saved["weights"])
        resolved = _resolve(output, network)
        if resolved.spec.fingerprint != spec.fingerprint:
            if not fresh:
                if resolved.weights != saved["weights"]:
                    output.remove(resolved.weights)
                raise ConfigError(
                    f"networks.{network.name}.weights: {network.weights} has changed since "
                    f"{output.url} was made: choose another output, or --fresh to start it anew"
                )
            removal.remove(output, "network", network.name)
            resolved = _resolve(output, network)
    # These import torch, which the report does without.
    from kdsspark.network import weights
    from kdsspark.network.layers import sizes

    write_features(output, network.name, describe(resolved.spec))
    values = {
        "spec": resolved.spec.to_dict(),
        "weights": resolved.weights,
        "source": source,
        "whole_crops": weights.whole_crops(resolved.spec),
        "layer_sizes": sizes.layer_sizes(resolved.spec),
    }
    output.write_json(record, values)
    return resolved


def _resolve(output: Output, network: Network) -> Prepared:
    # Torch takes seconds to import and half a GiB; a night with nothing new does without.
    from kdsspark.network.weights import prepare

    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "weights.safetensors"
        spec = prepare(network, local)
        target = output.weights(network.name, spec.weights_digest)
        with local.open("rb") as source, output.create(target) as file:
            shutil.copyfileobj(source, file, 1 << 22)
    return Prepared(spec, target)


def _source_version(network: Network) -> str:
    """The state of the file that weights come from; empty where there is none to look at."""
    names = [network.weights] if network.weights.endswith(_FILES) else _in_its_folder(network)
    try:
        return " ".join(file_version(*locate(name)) for name in names)
    except (OSError, ImportError, ValueError):
        return ""  # preparing them will say what is wrong


_FILES: Final = (".pth", ".pt", ".safetensors")


def _in_its_folder(network: Network) -> list[str]:
    """The files of weights in the folder that a model of transformers is read from."""
    library, _, folder = network.architecture.partition("/")
    if library != "hf" or network.weights == "random":
        return []
    kinds = "*.safetensors", "*.bin", "config.json"
    return sorted(str(file) for kind in kinds for file in Path(folder).glob(kind))


def write_ready_made_features(output: Output, sources: list[readymade.Source]) -> None:
    """Write ``features`` for networks that are known by their embeddings only.

    Datasets that share a network must have the same layers, else :class:`DatasetError`.
    """
    first_of: dict[str, readymade.Source] = {}
    for source in sources:
        network = source.dataset.network
        first = first_of.setdefault(network, source)
        if (source.widths, source.value_types) != (first.widths, first.value_types):
            raise DatasetError(
                f"dataset {source.dataset.name}: network {network} must have the layers "
                f"{_layers(first)} of dataset {first.dataset.name}, got {_layers(source)}"
            )
    for network, source in first_of.items():
        known = layer_widths(output, network)
        if known and known != source.widths:
            raise DatasetError(
                f"dataset {source.dataset.name}: network {network} has the layers {known} in "
                f"{output.url}, got {source.widths}: choose another network name or output, or "
                f"kdsspark forget --network {network}"
            )
        rows, feature = [], 0
        for depth, (layer, width) in enumerate(source.widths.items()):
            rows += [(layer, unit, feature + unit, "other", depth, None) for unit in range(width)]
            feature += width
        write_features(output, network, rows)


def _layers(source: readymade.Source) -> str:
    return ", ".join(f"{n} {w} x {source.value_types[n]}" for n, w in source.widths.items())


def write_features(
    output: Output, network: str, rows: Sequence[tuple[str, int, int, str, int, str | None]]
) -> None:
    """Write the ``features`` of one network: rows (layer, unit, feature, kind, depth, name)."""
    columns = [
        pa.array(column, field.type)
        for column, field in zip(zip(*rows, strict=True), FEATURES.schema, strict=True)
    ]
    table = pa.Table.from_arrays(columns, schema=FEATURES.schema)
    parquet.write(output, FEATURES.part("part-0", network), table, FEATURES.schema)
