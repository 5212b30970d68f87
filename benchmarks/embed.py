"""What embedding costs against the bare network, and against a plain torchvision script.

    python benchmarks/embed.py --precision float32 --images 48

Three times the same features, of ten crops or one, of generated photographs (500 x 375, JPEG), by
a network with random weights and on the same CPUs: the stage `embed` through Spark, from files to
Parquet; the network alone on images in memory, as many in a call as the stage gives it; and a
script that reads, crops and embeds one image after the other, in eager float32 in torch's default
memory format, with a forward hook on every ReLU. The stage is timed once its Python worker runs
and has loaded the network. Times are of this machine; the ratios are what to compare.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from photographs import write_photographs
from PIL import Image
from torch import nn
from torchvision import models, transforms

from kdsspark import config
from kdsspark.images import decoding as images
from kdsspark.network import batches, fusing
from kdsspark.network.extractor import Extractor
from kdsspark.network.sources.torchvision import BUILT_IN
from kdsspark.network.spec import NetworkSpec
from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.stages import EMBED
from kdsspark.stages.embed.networks import Prepared, prepare_networks
from kdsspark.stages.embed.shards import sharding

WARM, TIMED = "warm", "photographs"


def seconds_of(call: Callable[[], object]) -> float:
    """What one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def study(folder: Path, options: argparse.Namespace) -> Study:
    """One network, a few images to warm up with, and the others."""
    layers = None if options.architecture in BUILT_IN else "stages"
    network = {
        "name": "net",
        "architecture": options.architecture,
        "weights": "random",
        "layers": layers,
        "crops": options.crops,
        "precision": options.precision,
    }
    datasets = [{"name": name, "path": str(folder / name)} for name in (WARM, TIMED)]
    master = {"master": f"local[{options.cpus}]", "conf": {"spark.task.cpus": options.cpus}}
    raw = {"output": str(folder / "out"), "networks": [network]}
    return Study(config.parse(raw | {"datasets": datasets, "spark": master}))


def embed_all(made: Study, dataset: str) -> None:
    """The stage, on one dataset."""
    # In shards as large as those of a large dataset.
    sharding.MIN_SHARD_IMAGES = made.config.embed.shard_images
    chosen = tuple(d for d in made.config.datasets if d.name == dataset)
    EMBED.run(replace(made.context, config=made.config.model_copy(update={"datasets": chosen})))


def bare(
    network: Prepared,
    made: Study,
    paths: Sequence[Path],
    cpus: int,
    shared: bool = True,
    fused: bool = True,
) -> Callable[[], object]:
    """The network alone, on as many images as the stage gives it in a call."""
    spec = network.spec
    with nullcontext() if fused else patch.object(fusing, "fuse"):
        extractor = Extractor.load(spec, made.output.path(network.weights), threads=cpus)
    if not shared:
        extractor._shared = None
    taken = paths[: call_images(spec, cpus)]
    decoded = [images.decode(path.read_bytes(), spec.preprocessing.resize) for path in taken]
    return lambda: extractor(decoded)


def call_images(spec: NetworkSpec, cpus: int) -> int:
    """Images that the stage gives the network in a call."""
    return batches.call_images(batches.batch_images(spec, "cpu"), "cpu", cpus)


class PlainScript:
    """Crops and hooks, as one would write it down."""

    def __init__(self, architecture: str, crops: str) -> None:
        self.model = models.get_model(architecture, weights=None).eval()
        self.features: dict[str, np.ndarray[Any, Any]] = {}
        for name, module in self.model.named_modules():
            if isinstance(module, nn.ReLU):
                module.register_forward_hook(self._keeper(name))
        normalise = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        tensor = transforms.Compose([transforms.ToTensor(), normalise])
        stack = transforms.Lambda(lambda crops: torch.stack([tensor(crop) for crop in crops]))
        one = transforms.Lambda(lambda crop: tensor(crop)[None])
        cut = {"ten": (transforms.TenCrop, stack), "center": (transforms.CenterCrop, one)}
        crop, to_tensor = cut[crops]
        self.transform = transforms.Compose([transforms.Resize(256), crop(224), to_tensor])

    def _keeper(self, name: str) -> Callable[..., None]:
        def keep(_: nn.Module, __: object, output: torch.Tensor) -> None:
            space = output.mean((2, 3)) if output.ndim == 4 else output
            self.features[name] = space.mean(0).numpy()

        return keep

    @torch.no_grad()
    def __call__(self, path: Path) -> None:
        """Embed one file."""
        self.model(self.transform(Image.open(path).convert("RGB")))


def rate(call: Callable[[], object], images: int, calls: int) -> float:
    """Images a second over some calls, each of ``images``, after one to warm up."""
    call()
    return images * calls / seconds_of(lambda: [call() for _ in range(calls)])


class Rates(NamedTuple):
    """Images a second."""

    stage: float  # end to end
    alone: float  # the bare network
    apart: float  # the same, crops not shared
    unfused: float  # the same as alone, convolutions and ReLUs apart
    plain: float  # the plain script


def rates(folder: Path, options: argparse.Namespace) -> tuple[Rates, Study]:
    """Run all three."""
    write_photographs(folder / WARM, 4)
    paths = write_photographs(folder / TIMED, options.images)
    made = study(folder, options)
    made.settle()
    made.do("index")
    (network,) = prepare_networks(made.context)
    embed_all(made, WARM)
    stage = len(paths) / seconds_of(lambda: embed_all(made, TIMED))
    made.context.session.sparkContext.stop()
    batch = call_images(network.spec, options.cpus)
    alone = rate(bare(network, made, paths, options.cpus), batch, max(2, len(paths) // batch // 2))
    apart = rate(bare(network, made, paths, options.cpus, shared=False), batch, 2)
    unfused = rate(
        bare(network, made, paths, options.cpus, fused=False),
        batch,
        max(2, len(paths) // batch // 2),
    )
    script = PlainScript(options.architecture, options.crops)
    some = iter(paths)
    plain = rate(lambda: script(next(some)), 1, min(len(paths) - 1, options.script_images))
    return Rates(stage, alone, apart, unfused, plain), made


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Run all three and print the table."""
    found, made = rates(folder, options)
    stage, alone, apart, unfused, plain = found
    print(f"{'end to end / bare network':<32}{stage / alone:8.2f}")
    print(f"{'end to end / plain script':<32}{stage / plain:8.2f}")
    print(f"{'bare network / crops not shared':<32}{alone / apart:8.2f}")
    print(f"{'bare network / ReLUs apart':<32}{alone / unfused:8.2f}")
    for name, value in (("end to end", stage), ("bare network", alone), ("plain script", plain)):
        print(f"{name + ', images/s':<32}{value:8.2f}")
    spent: Counter[str] = Counter()
    for receipt in EMBED.receipts(made.output).of(Pair("net", TIMED)).values():
        spent.update(receipt.seconds)
    for name, value in spent.items():
        print(f"{'receipts: ' + name + ', s':<32}{value:8.2f}")


def parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=48, help="photographs to embed")
    parser.add_argument("--script-images", type=int, default=8, help="of them by the plain script")
    parser.add_argument("--architecture", default="vgg16", help="one of torchvision's")
    parser.add_argument("--crops", choices=("ten", "center"), default="ten")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--cpus", type=int, default=os.cpu_count())
    return parser


def main() -> None:
    """Parse the options, compare in a temporary folder."""
    options = parser().parse_args()
    torch.set_num_threads(options.cpus)
    print(
        f"{options.architecture}, {options.crops} crops, {options.precision}, {options.cpus} CPUs"
    )
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), options)


if __name__ == "__main__":
    main()
