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

SPARSITY: Final = pd.DataFrame(
    {
        "layer": ["conv-1", "conv-2", "conv-3", "conv-4", "conv-5", "fc-6", "fc-7"],
        "mean": [0.875, 0.445, 0.318, 0.320, 0.277, 0.161, 0.216],
        "deviation": [0.044, 0.044, 0.024, 0.027, 0.050, 0.030, 0.049],
    }
)
"""Agrawal et al., table 6: the share of responses that are not zero, of one view."""
