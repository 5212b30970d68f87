"""The configuration of a study: the model, and how it is read from YAML and overrides."""

from kdsspark.config.model import (
    Config,
    Dataset,
    Embed,
    EmbeddingsDataset,
    Exemplars,
    ImageDataset,
    Measure,
    Network,
    Preprocessing,
    Probe,
    Spark,
    Transform,
    load,
    parse,
)

__all__ = [
    "Config",
    "Dataset",
    "Embed",
    "EmbeddingsDataset",
    "Exemplars",
    "ImageDataset",
    "Measure",
    "Network",
    "Preprocessing",
    "Probe",
    "Spark",
    "Transform",
    "load",
    "parse",
]
