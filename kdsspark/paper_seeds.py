"""The numbers of three earlier papers whose questions the experiments ask again.

Agrawal, Girshick & Malik 2014 (*Analyzing the performance of multilayer neural networks for object
recognition*), Azizpour et al. 2014 (*From generic to specific deep representations for visual
recognition*), and Zeiler & Fergus 2013 (*Visualizing and understanding convolutional networks*).
All measured networks like AlexNet, on datasets of their own, so that directions can be compared and
numbers cannot.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

AGRAWAL: Final = "Agrawal et al."
AZIZPOUR: Final = "Azizpour et al."
ZEILER: Final = "Zeiler & Fergus"

_CLASSES = (
    "aero bike bird boat bottle bus car cat chair cow table dog horse mbike person plant sheep "
    "sofa train tv"
)

FILTERS_NEEDED: Final = pd.DataFrame(
    {
        "class": _CLASSES.split(),
        "half": [15, 3, 15, 15, 10, 10, 3, 2, 5, 15, 15, 2, 10, 3, 1, 10, 20, 25, 10, 2],
        "most": [40, 35, 80, 80, 35, 40, 30, 20, 35, 100, 80, 30, 45, 40, 15, 45, 50, 100, 45, 25],
    }
)
"""Agrawal et al., table 5: filters of conv-5, of 256, that reach a half and nine tenths of all."""

FILTERS_OF_CONV5: Final = 256
CHANCE_OVERLAP: Final = 0.195
"""Agrawal et al., figure 5: what the best 50 filters of two classes would share by chance."""

_LAYERS_OF_ZEILER = ("1", "2", "3", "4", "5", "7")
_TABLE7 = [
    ("caltech101", 30, "svm", layer, mean, deviation)
    for layer, mean, deviation in zip(
        _LAYERS_OF_ZEILER,
        (0.448, 0.662, 0.723, 0.766, 0.862, 0.855),
        (0.007, 0.005, 0.004, 0.004, 0.008, 0.004),
        strict=True,
    )
] + [
    ("caltech256", 60, "svm", layer, mean, deviation)
    for layer, mean, deviation in zip(
        _LAYERS_OF_ZEILER,
        (0.246, 0.396, 0.460, 0.513, 0.656, 0.717),
        (0.004, 0.003, 0.003, 0.001, 0.003, 0.002),
        strict=True,
    )
]

TRAINING_SIZE: Final = pd.DataFrame(
    [
        ("caltech101", 15, "softmax", "7", 0.838, 0.005),
        ("caltech101", 30, "softmax", "7", 0.865, 0.005),
        ("caltech256", 15, "softmax", "7", 0.657, 0.002),
        ("caltech256", 30, "softmax", "7", 0.706, 0.002),
        ("caltech256", 45, "softmax", "7", 0.727, 0.004),
        ("caltech256", 60, "softmax", "7", 0.742, 0.003),
        *_TABLE7,
        ("caltech101", 30, "softmax", "5", 0.829, 0.004),
        ("caltech101", 30, "softmax", "7", 0.854, 0.004),
        ("caltech256", 60, "softmax", "5", 0.657, 0.005),
        ("caltech256", 60, "softmax", "7", 0.726, 0.001),
    ],
    columns=["dataset", "train_per_class", "classifier", "layer", "accuracy", "deviation"],
)
"""Zeiler & Fergus, tables 4 and 5, whose classifier is the softmax on top, then table 7."""

SPARSITY: Final = pd.DataFrame(
    {
        "layer": ["conv-1", "conv-2", "conv-3", "conv-4", "conv-5", "fc-6", "fc-7"],
        "mean": [0.875, 0.445, 0.318, 0.320, 0.277, 0.161, 0.216],
        "deviation": [0.044, 0.044, 0.024, 0.027, 0.050, 0.030, 0.049],
    }
)
"""Agrawal et al., table 6: the share of responses that are not zero, of one view."""

_TASKS = ("MIT 67", "pets", "CUB birds", "102 flowers", "Oxford", "sculptures")

SOURCES: Final = pd.DataFrame(
    {
        "sources": ["ImageNet", "Places", "both sets, one network", "side by side"],
        **dict(
            zip(
                _TASKS,
                (
                    (0.649, 0.693, 0.696, 0.708),
                    (0.784, 0.499, 0.724, 0.756),
                    (0.627, 0.422, 0.583, 0.603),
                    (0.905, 0.824, 0.894, 0.902),
                    (0.712, 0.700, 0.723, 0.721),
                    (0.520, 0.442, 0.523, 0.540),
                ),
                strict=True,
            )
        ),
    }
)
"""Azizpour et al., table 3, by fc6: accuracy of four tasks, mean average precision of two."""

SOURCES_CLASSIFIED: Final = _TASKS[:4]
"""The columns of :data:`SOURCES` that are accuracies."""

RETRIEVAL: Final = pd.DataFrame(
    {
        "dataset": ["Holidays", "Oxford", "Paris", "sculptures"],
        "standard": [0.862, 0.730, 0.813, 0.537],
        "best": [0.900, 0.790, 0.851, 0.679],
    }
)
"""Azizpour et al., table 6: mean average precision by fc6 of AlexNet, and by the best choices."""

GRIDS: Final = pd.DataFrame(
    {
        "task": ["Holidays", "UKB", "Oxford", "Paris", "sculptures"],
        "grid": ["1x1", "1x1", "2x2", "2x2", "3x3"],
        "best": [0.900, 0.963, 0.790, 0.851, 0.679],
    }
)
"""Azizpour et al., table 6: the grid that each retrieval task takes, and its best result."""

ABLATIONS: Final = pd.DataFrame(
    {
        "layer": SPARSITY["layer"],
        "as_is": [0.251, 0.453, 0.507, 0.545, 0.656, 0.717, 0.741],
        "binarised": [0.177, 0.430, 0.472, 0.515, 0.608, 0.715, 0.737],
        "shuffled": [0.151, 0.329, 0.410, 0.452, 0.595, None, None],
        "max": [0.254, 0.401, 0.541, 0.570, 0.625, None, None],
    }
)
"""Agrawal et al., table 7: mean average precision on PASCAL VOC 2007, classification."""

CORRESPONDENCE: Final = pd.DataFrame(
    [
        ("right eye", 0.067, 0.007, 0.069, 0.015),
        ("left eye", 0.069, 0.007, 0.068, 0.013),
        ("nose", 0.079, 0.017, 0.069, 0.011),
        ("random", 0.107, 0.017, 0.073, 0.014),
    ],
    columns=["part", "layer_5", "deviation_5", "layer_7", "deviation_7"],
)
"""Zeiler & Fergus, table 1: mean change of signs, and its deviation, for dogs in five images."""
