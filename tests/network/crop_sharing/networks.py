"""A small network like VGG, for tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EVERY = {
    **{"conv1": "f.0", "conv2": "f.2", "conv3": "f.6", "conv4": "f.9", "conv5": "f.12"},
    **{"fc6": "c.0", "fc7": "c.3"},
}


class Tiny(nn.Module):
    """Two blocks of different kernels, one more convolution, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3, padding=1)
        norm = nn.BatchNorm2d(5), nn.ReLU(inplace=True), nn.MaxPool2d(2, 2)
        second = nn.Conv2d(5, 6, 5, padding=2), nn.ReLU(inplace=True), nn.Dropout(0.0)
        third = nn.Conv2d(6, 7, 1), nn.ReLU(inplace=True), nn.MaxPool2d(2, 2)
        last = nn.Conv2d(7, 8, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2)
        self.f = nn.Sequential(*first, *norm, *second[:2], nn.ReLU6(), *third, *last)
        linear = nn.Linear(32, 9), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(9, 6), nn.ReLU()
        self.c = nn.Sequential(*linear)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c(torch.flatten(self.f(x), 1))
        return out


def tiny() -> Tiny:
    torch.manual_seed(3)
    model = Tiny()
    nn.init.normal_(model.f[3].running_mean)
    nn.init.uniform_(model.f[3].running_var, 0.5, 2)
    return model.eval().requires_grad_(False)
