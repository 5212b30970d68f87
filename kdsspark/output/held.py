"""What an output holds beyond a configuration: networks and datasets of other configurations.

An output may hold several configurations, and a network or dataset that is taken out of one may
come back. So its rows stay until ``kdsspark forget`` removes them, and are named where people look.
"""

from __future__ import annotations

from dataclasses import dataclass

from kdsspark.config import Config
from kdsspark.output import definitions
from kdsspark.output.definitions import Kind
from kdsspark.output.output import Output
from kdsspark.tables import FEATURES, IMAGES, Table


@dataclass(frozen=True)
class Beyond:
    """A network or dataset that an output holds and a configuration does not name."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"The output also holds {self.kind} {self.name}, which is not in this configuration; "
            f"kdsspark forget --{self.kind} {self.name} removes it."
        )


def beyond(output: Output, config: Config) -> list[Beyond]:
    """All of them, networks first."""
    return [
        Beyond(kind, name)
        for kind, names in configured(config).items()
        for name in sorted(_held(output, kind) - names)
    ]


def configured(config: Config) -> dict[Kind, set[str]]:
    """The names that a configuration has; networks of ready-made embeddings are among them."""
    networks = {network.name for network in config.networks}
    networks |= {network for network, _ in config.pairs()}
    return {"network": networks, "dataset": {dataset.name for dataset in config.datasets}}


def known(output: Output, kind: Kind) -> set[str]:
    """The names of everything that may be forgotten: what is held, and what has a definition."""
    return _held(output, kind) | definitions.remembered(output, kind)


def _held(output: Output, kind: Kind) -> set[str]:
    """By what is removed last."""
    if kind == "dataset":
        return _of_partitions(output, IMAGES)
    return _of_partitions(output, FEATURES) | set(output.networks())


def _of_partitions(output: Output, table: Table) -> set[str]:
    """The values of the first partition column that have files."""
    (column,) = table.partitioned_by
    values = (name.removeprefix(f"{column}=") for name in output.folders(table.name))
    return {value for value in values if output.files(table.partition(value))}
