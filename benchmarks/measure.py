"""What `measure` costs against one bare read of the columns it reads.

    python benchmarks/measure.py --images 20000 --classes 100 --shuffles 1

Writes embeddings of VGG16's shape as `embed` does, reads every layer once with pyarrow, then
runs the stage on as many cores: with and without the exact distances. Times are of this machine;
the ratios are what to compare.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kdsspark.config import Measure, Spark
from kdsspark.network.architectures import BUILT_IN
from kdsspark.pipeline.networks import write_features
from kdsspark.spark import measure, session
from kdsspark.storage import parquet, receipts
from kdsspark.storage.files import Store
from kdsspark.storage.index import image_id
from kdsspark.storage.receipts import Receipt
from kdsspark.tables import EMBEDDINGS, IMAGES, embeddings_schema

SHARD = 512
WIDTHS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512, 4096, 4096]
LAYERS = dict(zip(BUILT_IN["vgg16"], WIDTHS, strict=True))


def write_study(store: Store, n_images: int, n_classes: int) -> None:
    """Embeddings, images, features and receipts as an embed run leaves them."""
    rng = np.random.default_rng(0)
    rows = [
        (layer, unit, 0, "conv", depth)
        for depth, (layer, width) in enumerate(LAYERS.items())
        for unit in range(width)
    ]
    write_features(store, "net", rows)
    ids = sorted(image_id("set", str(i)) for i in range(n_images))
    classes = rng.integers(0, n_classes, n_images).astype(np.int32)
    names = [f"class {c:04d}" for c in classes]
    schema = embeddings_schema(list(LAYERS))
    images = pa.table(
        {"image_id": ids, "uri": ids, "class_id": classes, "class_name": names, "version": ids}
    )
    parquet.write(store, f"{IMAGES.partition('set')}/part-0.parquet", images, IMAGES.schema)
    for start in range(0, n_images, SHARD):
        part = images.slice(start, SHARD).select([c.name for c in EMBEDDINGS.columns])
        for layer, width in LAYERS.items():
            values = np.maximum(rng.standard_normal(len(part) * width, np.float32), 0)
            offsets = np.arange(0, len(values) + 1, width, dtype=np.int32)
            lists = pa.ListArray.from_arrays(
                pa.array(offsets), pa.array(values), type=schema.field(layer).type
            )
            part = part.append_column(layer, lists)
        name = f"shard-{start:08d}"
        parquet.write(store, f"{EMBEDDINGS.partition('net', 'set')}/{name}.parquet", part, schema)
        counts = {"embedded": len(part), "images": len(part)}
        receipts.write(store, receipts.EMBED, Receipt(f"net/set/{name}", name, counts))


def bare_read(store: Store, threads: int) -> None:
    """Every layer of every file once, the files shared out among threads."""
    pa.set_cpu_count(1)

    def read(path: str) -> int:
        return sum(
            pq.ParquetFile(path).read(columns=[layer], use_threads=False).nbytes for layer in LAYERS
        )

    paths = [store.path(p) for p in store.files(EMBEDDINGS.partition("net", "set"))]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, paths))


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--shuffles", type=int, default=1)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    options = parser.parse_args()
    spark = session.start(Spark(master=f"local[{options.cores}]"))
    with tempfile.TemporaryDirectory() as folder:
        store = Store.at(folder)
        write_study(store, options.images, options.classes)
        bare_read(store, options.cores)  # from now on the files are in memory
        values = options.images * sum(WIDTHS)
        bare = min(timed(lambda: bare_read(store, options.cores)) for _ in range(3))
        print(f"{'what':<28}{'seconds':>9}{'x bare read':>13}{'ns a value':>12}")
        print(f"{'bare read':<28}{bare:>9.2f}{1:>13.2f}{bare / values * 1e9:>12.2f}")
        for exact in (False, True):
            settings = Measure(shuffles=options.shuffles, exact=exact)
            for attempt in ("first", "warm"):  # the first starts workers and loads kernels
                shutil.rmtree(Path(folder) / "_receipts" / "measure", ignore_errors=True)
                spent = timed(lambda s=settings: measure.measure(spark, store, [("net", "set")], s))
                what = f"measure, {'exact' if exact else 'bins only'}, {attempt}"
                print(f"{what:<28}{spent:>9.2f}{spent / bare:>13.2f}{spent / values * 1e9:>12.2f}")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"largest child process: {peak:.2f} GiB")
    spark.stop()


if __name__ == "__main__":
    main()
