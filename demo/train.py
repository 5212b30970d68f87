"""``python -m demo.train``: trains the demo's network, SqueezeNet 1.1, and writes its weights.

It learns :data:`LEARNT`, from pictures that the demo does not measure. The weights are float16 of
torchvision's architecture, with one output a class. README.md tells what came out, and how long it
takes.
"""

from __future__ import annotations

import argparse
import time
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import squeezenet1_1
from torchvision.transforms import v2

from demo import scenes, things
from demo.canvas import Size, photograph

WEIGHTS: Final = Path(__file__).with_name("squeezenet1_1.pt")

LEARNT: Final = things.PAINTERS | {
    name: scenes.PAINTERS[name] for name in ("été", "night city", "forest")
}
"""The classes: all things, and some scenes."""

_STREAM: Final = 1  # leads the seeds of all pictures here; those of the corpus lack it
_PAINTED: Final = 200  # pixels, the side of the pictures to learn from
_STAGES: Final = (  # side of the crops in pixels, images a batch, passes, highest learning rate
    (112, 32, 8, 3e-3),
    (224, 32, 1, 1e-3),
)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # kdsspark's preprocessing


def main() -> None:
    """Paint, train, write, and print the accuracy of what was written on held-out pictures."""
    parser = argparse.ArgumentParser(prog="python -m demo.train", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=300, help="of a class, to learn from")
    parser.add_argument("--held-out", type=int, default=40, help="of a class, to measure accuracy")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    began = time.process_time()
    pictures, labels = _painted(options.seed, range(options.images), (_PAINTED, _PAINTED))
    model = _model()
    for side, batch, passes, rate in _STAGES:
        _train(model, pictures, labels, side, batch, passes, rate)
    _folded(model)
    torch.save({key: tensor.half() for key, tensor in model.state_dict().items()}, WEIGHTS)
    minutes = (time.process_time() - began) / 60

    model.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    held_out = range(options.images, options.images + options.held_out)
    right = _right(model, *_painted(options.seed, held_out, (320, 256)))
    print(f"{len(pictures)} images of {len(LEARNT)} classes, {minutes:.0f} minutes of CPU")
    print(f"accuracy on {len(right)} held-out images: {right.mean():.1%}")
    for name, part in zip(LEARNT, right.reshape(len(LEARNT), -1), strict=True):
        print(f"  {name}: {part.mean():.1%}")
    print(f"{WEIGHTS}: {WEIGHTS.stat().st_size / 1e6:.2f} MB")


def _painted(seed: int, indices: range, size: Size) -> tuple[Tensor, Tensor]:
    """Pictures, uint8 [images, 3, height, width], class by class, and their labels."""
    pictures, labels = [], []
    for label, (name, paint) in enumerate(LEARNT.items()):
        for index in indices:
            rng = np.random.default_rng([_STREAM, seed, zlib.crc32(name.encode()), index])
            pictures.append(np.asarray(photograph(rng, paint(rng, size))))
            labels.append(label)
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), torch.tensor(labels)


def _model() -> Any:
    """SqueezeNet with batch normalisation behind its convolutions: without, it hardly starts."""
    model = squeezenet1_1(num_classes=len(LEARNT))
    for name, module in list(model.features.named_modules()):
        if isinstance(module, nn.Conv2d):
            model.features.set_submodule(
                name, nn.Sequential(module, nn.BatchNorm2d(module.out_channels))
            )
    return model


def _folded(model: Any) -> None:
    """Fold the normalisation into the convolutions: torchvision's architecture again."""
    model.eval()
    for name, module in list(model.features.named_modules()):
        if isinstance(module, nn.Sequential) and name:
            model.features.set_submodule(name, fuse_conv_bn_eval(*module))


def _train(
    model: Any,
    pictures: Tensor,
    labels: Tensor,
    side: int,
    batch: int,
    passes: int,
    rate: float,
) -> None:
    change = v2.Compose(
        [
            v2.RandomResizedCrop(side, scale=(0.5, 1), ratio=(0.8, 1.25), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.3, 0.3, 0.3, 0.5),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(_MEAN, _STD),
        ]
    )
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.02)
    steps = passes * (len(pictures) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.2)
    model.train()
    for number in range(passes):
        began, losses = time.process_time(), []
        for chosen in torch.randperm(len(pictures))[: steps // passes * batch].view(-1, batch):
            inputs = torch.stack([change(picture) for picture in pictures[chosen]])
            with torch.autocast("cpu", torch.bfloat16):
                outputs = model(inputs.to(memory_format=torch.channels_last))
            loss = cross_entropy(outputs.float(), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        seconds = time.process_time() - began
        done = f"{side} pixels, pass {number + 1} of {passes}"
        print(f"{done}: loss {np.mean(losses):.3f}, {seconds:.0f} s", flush=True)


@torch.inference_mode()
def _right(model: nn.Module, pictures: Tensor, labels: Tensor) -> np.ndarray:
    """Whether the network tells each picture's class, from its centre."""
    crop = v2.Compose(
        [v2.CenterCrop(224), v2.ToDtype(torch.float32, scale=True), v2.Normalize(_MEAN, _STD)]
    )
    guesses = [model(crop(picture)[None]).argmax() for picture in pictures]
    return (torch.stack(guesses) == labels).numpy()


if __name__ == "__main__":
    main()
