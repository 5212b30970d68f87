"""What the tests of experiments with maps share: plain maps of images, and hand-made files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from kdsspark.config import Config, Probe
from kdsspark.network.activations import pool
from kdsspark.network.map_shape import MapShape
from kdsspark.output.arrow import image_keys
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.stages.embed.again import Readable
from kdsspark.stages.experiments.spatial import shard_task
from kdsspark.stages.experiments.spatial.fit_task import FitItem
from kdsspark.stats.accuracy.split import images_to_test
from tests.stages.exemplars import plain
from tests.studies import image_config

PAIR = Pair("tiny", "set")
ALL = "index embed"
HALF_ALIKE = {"a": 9, "b": 8, "c": 7, "d": 8, "e": 7, "f": 9}
"""Images of classes of which a and d, b and e, c and f look alike, so that some are mistaken."""
SHUFFLENET = {
    "name": "tiny",
    "architecture": "shufflenet_v2_x0_5",
    "weights": "random",
    "crops": "center",
    "preprocessing": {"resize": 40, "crop": 32},
}
"""``stage2`` has maps of 4 x 4, ``stage3`` of 2 x 2, ``conv5`` of 1 x 1, ``fc`` none."""


def config_of(folder: Path, out: str = "out", **sections: Any) -> Config:
    return image_config(folder.parent / out, {"set": folder}, **sections)


def of_images(folder: Path) -> tuple[list[str], dict[str, NDArray[np.float32]]]:
    """Ids in order, and the maps [images, units, height, width] of each layer by torchvision."""
    network, keep = plain.squeezenet(), {}
    for name, path in plain.READ_AT.items():
        network.get_submodule(path).register_forward_hook(
            lambda _, __, maps, name=name: keep.update({name: maps.clone()})
        )
    ids, found = [], []
    for key, _, image in plain.read(folder, "set"):
        with torch.inference_mode():
            network(plain.batch(image, "center"))
        ids.append(key)
        found.append({name: maps[0].numpy() for name, maps in keep.items()})
    return ids, {name: np.stack([maps[name] for maps in found]) for name in plain.READ_AT}


def keys_of(ids: Sequence[str]) -> NDArray[np.uint64]:
    """[images, 2]."""
    digits = bytes.fromhex("".join(ids))
    return np.frombuffer(digits, ">u8").reshape(-1, 2).astype(np.uint64)


def accuracy(
    vectors: NDArray[Any], labels: NDArray[np.int32], ids: Sequence[str]
) -> tuple[float, int]:
    """By scikit-learn on vectors of length 1, with the split of ``probe``; and the test images."""
    tested = images_to_test(keys_of(ids), labels, 0.3, 0)
    x = normalize(vectors.reshape(len(vectors), -1).astype(np.float64))
    machine = LinearSVC(C=1.0, dual="auto", max_iter=2000, random_state=0)
    machine.fit(x[~tested], labels[~tested])
    right = machine.predict(x[tested]) == labels[tested]
    return float(right.mean()), int(tested.sum())


def write(output: Output, maps: NDArray[Any], labels: NDArray[Any], pooling: str) -> tuple[str]:
    """A file of the hand-made ``maps`` [images, units, side, side] of layer ``l``."""
    found = {"l": pool(torch.tensor(maps, dtype=torch.float32), 1, pooling).numpy()}
    shapes = {"l": MapShape(maps.shape[1], maps.shape[2])}
    columns = shard_task.columns_of(pooling, shapes)
    schema = shard_task.schema_of(columns, shapes)
    ids = [hashlib.blake2b(str(i).encode(), digest_size=16).hexdigest() for i in range(len(maps))]
    images = [
        Readable(name, int(label), None, np.empty(0, np.uint8))
        for name, label in zip(ids, labels, strict=True)
    ]
    rows = shard_task.rows_of(images, found, columns, schema)
    assert (image_keys(rows["image_id"]) == keys_of(ids)).all()
    pq.write_table(rows, output.path("maps.parquet"), row_group_size=50)
    return ("maps.parquet",)


def item(output: Output, form: str, parts: tuple[str, ...], **settings: Any) -> FitItem:
    """A form of layer ``l``."""
    return FitItem(
        name=ItemName(f"tiny/set/layer-0000-{form}"),
        digest="",
        output=output,
        pair=PAIR,
        layer="l",
        depth=0,
        form=form,
        parts=parts,
        settings=Probe(**settings),
        memory=1 << 30,
    )


def quadrants(n: int = 120, side: int = 6) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Four classes, told by the quadrant of a spot that is the same for all: maps, and labels."""
    labels = np.arange(n) % 4
    maps = np.zeros((n, 2, side, side))
    half = side // 2
    for image, label in enumerate(labels):
        top, left = half * (label // 2), half * (label % 2)
        maps[image, 0, top : top + half, left : left + half] = 1
    maps[:, 1] = 1  # a unit that says nothing, so that vectors keep their length
    return maps, labels
