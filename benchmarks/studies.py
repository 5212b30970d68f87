"""Made-up embeddings as an embed run leaves them, for the benchmarks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from kdsspark.network.sources.torchvision import BUILT_IN
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED
from kdsspark.stages.embed import complete
from kdsspark.stages.embed.networks import write_features
from kdsspark.stages.embed.shards import ranges as shard_ranges
from kdsspark.stages.index import image_id
from kdsspark.tables import EMBEDDINGS, IMAGES, embeddings_schema

SHARD = 512
VGG16 = dict(
    zip(
        BUILT_IN["vgg16"],
        [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512, 4096, 4096],
        strict=True,
    )
)
SILENT = -0.126  # below it a unit of an fc layer is silent: 45 % zeros; convolutions have none
PAIR = Pair("net", "set")


def write_study(output: Output, layers: dict[str, int], n_images: int, n_classes: int) -> None:
    """Embeddings, images, features and receipts of one network and dataset."""
    rng = np.random.default_rng(0)
    rows = [
        (layer, unit, 0, "fc" if layer.startswith("fc") else "conv", depth, None)
        for depth, (layer, width) in enumerate(layers.items())
        for unit in range(width)
    ]
    write_features(output, PAIR.network, rows)
    ids = sorted(image_id(PAIR.dataset, str(i)) for i in range(n_images))
    classes = rng.integers(0, n_classes, n_images).astype(np.int32)
    columns = {"image_id": ids, "class_id": classes, "class_name": [f"c{c}" for c in classes]}
    for name in IMAGES.schema.names:
        columns.setdefault(name, ids)
    images = pa.table(columns).select(IMAGES.schema.names)
    parquet.write(output, IMAGES.part("part-0", PAIR.dataset), images, IMAGES.schema)
    for start in range(0, n_images, SHARD):
        _write_shard(output, layers, images.slice(start, SHARD), f"shard-{start:08d}", rng)
    complete.commit(output, PAIR)


def _write_shard(
    output: Output, layers: dict[str, int], rows: pa.Table, name: str, rng: np.random.Generator
) -> None:
    schema = embeddings_schema(list(layers))
    columns = [
        rows[c.name] if c.name in rows.column_names else pa.nulls(len(rows), c.type)
        for c in EMBEDDINGS.columns
    ]
    for layer, width in layers.items():
        values = rng.standard_normal((len(rows), width), np.float32)
        fc = layer.startswith("fc")
        values = np.maximum(values, SILENT) - np.float32(SILENT) if fc else np.exp(values)
        offsets = np.arange(0, values.size + 1, width, dtype=np.int32)
        kind = schema.field(layer).type
        columns.append(pa.ListArray.from_arrays(offsets, pa.array(values.ravel()), type=kind))
    table = pa.Table.from_arrays(columns, schema=schema)
    path = EMBEDDINGS.part(name, *PAIR)
    parquet.write(output, path, table, schema)
    shard_ranges.write(output, path, [table])
    counts = {"embedded": len(rows), "images": len(rows)}
    EMBED.receipts(output).write(Receipt(PAIR.item(name), name, counts))
