"""A small network with every case of the reading rule."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn


class Tiny(nn.Module):
    """A network with every case of the reading rule, at 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(3, 4, 3, padding=1),
                norm=nn.BatchNorm2d(4),
                relu=nn.ReLU(inplace=True),
                plain=nn.Conv2d(4, 5, 3, padding=1),
                plain_relu=nn.ReLU(inplace=True),
                last=nn.Conv2d(5, 6, 3, padding=1),
                pool=nn.AdaptiveMaxPool2d(2),
            )
        )
        self.alone = nn.Conv2d(6, 6, 1)
        self.classifier = nn.Sequential(
            OrderedDict(
                fc=nn.Linear(24, 7),
                fc_relu=nn.ReLU(inplace=True),
                drop=nn.Dropout(),
                out=nn.Linear(7, 2),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.alone(self.features(x)))
        out: Tensor = self.classifier(torch.flatten(x, 1))
        return out


def tiny() -> Tiny:
    torch.manual_seed(1)
    model = Tiny()
    nn.init.normal_(model.features.norm.running_mean)
    nn.init.uniform_(model.features.norm.running_var, 0.5, 2)
    return model.eval()
