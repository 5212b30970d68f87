"""A network of made-up features, images by number, and what must become of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from kdsspark.config import Preprocessing
from kdsspark.images.loading import content_hash
from kdsspark.network.spec import Layer, NetworkSpec
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages.embed.shards import state as shards
from kdsspark.stages.embed.shards.files import ShardFiles
from kdsspark.stages.embed.shards.state import Shard
from kdsspark.tables import IMAGES, Table, embeddings_schema

PAIR = Pair("net", "set")
LAYERS = {"sum": 2, "corner": 5}
SCHEMA = embeddings_schema(list(LAYERS))
COMPUTED_ON = "a made-up processor"
SPEC = NetworkSpec(
    name=PAIR.network,
    architecture="none",
    layers=tuple(Layer(name, "", units, "conv", 1) for name, units in LAYERS.items()),
    activation="post_relu",
    pooling="mean",
    crops="center",
    preprocessing=Preprocessing(resize=8, crop=8),
    precision="float32",
    weights="random",
    weights_digest="",
)


@dataclass
class FakeNetwork:
    """Features that tell which image they are of; counts what it is given."""

    batches: list[int] = field(default_factory=list)
    batch: int = 1  # images of a pass

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> dict[str, NDArray[np.float32]]:
        self.batches.append(len(images))
        values = np.stack([features(image) for image in images])
        return {"sum": values[:, :2], "corner": values[:, 2:]}


def features(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.array([image.sum(), -1.0, *image.ravel()[:5]], np.float32)


@dataclass(frozen=True)
class Folder:
    """Images by number; ``shade`` tells them apart."""

    path: Path

    def put(self, number: int, shade: int | None) -> dict[str, Any]:
        """Write an image, or a broken one, and return its row of ``images``."""
        path = self.path / f"{number:02d}.png"
        if shade is None:
            path.write_bytes(b"broken")
        else:
            pixels = np.full((8, 8, 3), shade, np.uint8)
            pixels[0, 0] = number
            Image.fromarray(pixels).save(path)
        return row(number, uri=str(path), version=f"v{shade}")


def row(number: int, **changed: Any) -> dict[str, Any]:
    """A row of ``images``."""
    fixed = {"class_id": 0, "class_name": "c", "version": "v"}
    return {"image_id": f"{number:02d}", "uri": f"/{number}", **fixed, **changed}


def images(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows of ``images``, by id."""
    return pa.Table.from_pylist(list(rows), schema=IMAGES.schema).sort_by("image_id")


def embedding(row: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    """The row of ``embeddings`` of a planned row whose file is not looked at."""
    fixed = {key: row[key] for key in ("image_id", "class_id", "class_name", "version")}
    n = int(row["image_id"])
    values = {name: [float(10 * n + unit) for unit in range(w)] for name, w in LAYERS.items()}
    content = content_of(row["image_id"])
    return {**fixed, "content": content, "computed_on": COMPUTED_ON, **values, **changed}


def content_of(image_id: str) -> str:
    """The hash of made-up bytes."""
    return content_hash(image_id.encode())


def failure(row: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    """The row of ``failures`` of a planned row."""
    return {**row, "content": None, "stage": "read", "error": "E", "message": "m", **changed}


def planned(output: Output, rows: Iterable[Mapping[str, Any]], name: str = "s") -> Shard:
    """The plan of a shard that must hold these rows of ``images``."""
    table = images(rows)
    plan = iter([(Shard(name, "d", len(table)), table)])
    (shard,) = shards.write_plan(output, output.plans("embed", PAIR), plan)
    return shard


def files(output: Output, name: str = "s") -> ShardFiles:
    """The files of a shard."""
    return ShardFiles(output, PAIR, name, SCHEMA)


def found(output: Output, table: Table, name: str = "s") -> list[dict[str, Any]]:
    """The rows of a shard in the order of the file; none where there is none."""
    path = table.part(name, *PAIR)
    return parquet.read_file(output, path).to_pylist() if output.exists(path) else []


def expected(rows: Iterable[Mapping[str, Any]], good: Iterable[str]) -> list[dict[str, Any]]:
    """What ``embeddings`` must hold of the good images, computed plainly."""
    result, chosen = [], set(good)
    for row in sorted(rows, key=lambda row: str(row["image_id"])):
        if row["image_id"] in chosen:
            data = Path(row["uri"]).read_bytes()
            values = features(np.asarray(Image.open(row["uri"]))).tolist()
            layers = {"sum": values[:2], "corner": values[2:]}
            result.append(embedding(row, content=content_hash(data), **layers))
    return result
