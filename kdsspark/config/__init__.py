"""The configuration of a study: the model, and how it is read from YAML and overrides."""

from kdsspark.config.model import (
    Config,
    Dataset,
    EmbeddingsDataset,
    ImageDataset,
    Network,
    Preprocessing,
    load,
    parse,
)
from kdsspark.config.sections import Embed, Exemplars, Experiments, Measure, Probe, Spark, Transform

__all__ = [
    "Config",
    "Dataset",
    "Embed",
    "EmbeddingsDataset",
    "Exemplars",
    "Experiments",
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
