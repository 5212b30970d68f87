"""How far bfloat16 moves embeddings, distances and thresholds from float32.

    python benchmarks/precision.py --weights squeezenet1_1_imagenet.safetensors --images FOLDER...

Each folder is a dataset of class folders. Prints a Markdown table: the largest and the 99 %
difference of an embedding as a share of its layer's standard deviation, of ks over the bins and
exact, how many pairs change their sign, and the thresholds by either.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from kdsspark import config
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.tables import EMBEDDINGS, KS, THRESHOLDS

FIRE = {
    f"fire{n}": f"features.{at}"
    for n, at in zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True)
}
LAYERS = {"conv1": "features.0"} | FIRE
PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="squeezenet1_1")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--crops", default="center")
    parser.add_argument("--images", nargs="+", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raw = {
            "output": folder,
            "networks": [
                {
                    "name": precision,
                    "architecture": options.architecture,
                    "weights": options.weights,
                    "layers": LAYERS,
                    "crops": options.crops,
                    "preprocessing": {"resize": 256, "crop": 224},
                    "precision": precision,
                }
                for precision in PRECISIONS
            ],
            "datasets": [{"name": path.name, "path": str(path)} for path in options.images],
        }
        study = Study(config.parse(raw))
        study.settle()
        for stage in ("index", "embed", "measure", "summarize"):
            study.do(stage)
        print(
            "| dataset | images | embedding, max | 99 % | ks, max | 99 % | ks_exact, max | 99 % ",
            end="",
        )
        print("| signs | t+ float32, bfloat16 | t- |")
        print("|---" * 11 + "|")
        for path in options.images:
            print(_row(study.output, path.name), flush=True)


def _row(output: Output, dataset: str) -> str:
    moved, images = _embeddings(output, dataset)
    ks, flips = _distances(output, dataset, "ks")
    exact, _ = _distances(output, dataset, "ks_exact")
    cells = [dataset, str(images)]
    for gaps in (moved, ks, exact):
        cells += [f"{gaps.max():.4f}", f"{np.quantile(gaps, 0.99):.4f}"]
    cells.append(f"{flips:.2%}")
    rows = {
        precision: next(
            r
            for r in parquet.read(output, THRESHOLDS, precision).to_pylist()
            if r["dataset"] == dataset
        )
        for precision in PRECISIONS
    }
    for name in ("t_plus", "t_minus"):
        cells.append(", ".join(f"{rows[precision][name]:.3f}" for precision in PRECISIONS))
    return f"| {' | '.join(cells)} |"


def _embeddings(output: Output, dataset: str) -> tuple[np.ndarray, int]:
    """|difference| of every value by the standard deviation of its layer's values."""
    full, half = (
        parquet.read(output, EMBEDDINGS, precision, dataset).sort_by("image_id")
        for precision in PRECISIONS
    )
    gaps = []
    for layer in LAYERS:
        a, b = (np.stack(rows[layer].to_numpy()) for rows in (full, half))
        gaps.append((np.abs(a - b) / a.std()).ravel())
    return np.concatenate(gaps), len(full)


def _distances(output: Output, dataset: str, column: str) -> tuple[np.ndarray, float]:
    """|difference| of every distance of true labels, and the share that changes its sign."""
    order = [(name, "ascending") for name in ("layer", "unit", "class_id")]
    full, half = (
        parquet.read(output, KS, precision, dataset, "true").sort_by(order)[column].to_numpy()
        for precision in PRECISIONS
    )
    return np.abs(full - half), float((full * half < 0).mean())


if __name__ == "__main__":
    main()
