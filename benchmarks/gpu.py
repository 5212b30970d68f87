"""What a GPU gives: exactness, forward passes, decoding, the whole task, and memory that ends.

    python benchmarks/gpu.py --out gpu.json
    python benchmarks/gpu.py --parts b,d
    python benchmarks/gpu.py --device cpu --quick     # does every line run?

Needs torch, torchvision, Pillow, numpy, pyarrow and what kdsspark.network and kdsspark.images
import; no Spark, no Java, no download. Weights are random and photographs made up. Takes at most
five minutes: every part has its seconds, within which the most telling steps come first. One
line a step is printed when it is done; ``--out`` takes all of them, with more detail, as JSON.
A part that fails, or ends its process, stops no other.

  0  what the card can do at most: matrix products and copies
  a  are fused and unfused features equal? all layers against float64 on the CPU
  b  the network alone, fused and not: precision, images a pass, memory format, shared crops
  c  reading, decoding and resizing, and how far other decoders move them (only with --parts)
  d  a whole task without Spark: loader, network, Parquet
  e  ResNet18 on one crop, and a plain script
  f  memory that does not suffice: smaller passes, and nothing lost
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Light at its top: processes that decode import this file again.

PARTS = {  # letter: module, seconds
    "0": ("card", 15),
    "a": ("exactness", 35),
    "b": ("bare", 40),
    "f": ("memory", 20),
    "d": ("whole", 70),
    "c": ("decoding", 30),
    "e": ("resnet", 40),
}


def main() -> None:
    """Run the parts that are asked for, in the order of what matters most."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="0,a,b,f,d,e", help="letters, e.g. a,b")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does every line run?")
    parser.add_argument("--out", type=Path, help="JSON file of all results")
    options = parser.parse_args()
    letters = [letter for letter in PARTS if letter in options.parts.split(",")]
    if len(letters) == 1:
        run(letters[0], options)
        return
    rows: list[object] = []
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for letter in letters:
            # In a process of its own: after a fault on the card, a process cannot use it any more.
            own = Path(folder) / f"{letter}.json"
            print(f"part {letter}, after {time.monotonic() - start:.0f} s", flush=True)
            code = subprocess.run([*sys.orig_argv, "--parts", letter, "--out", str(own)]).returncode
            rows += json.loads(own.read_text()) if own.exists() else []
            rows += [{"part": letter, "what": "the process", "error": code}] if code else []
            if options.out is not None:
                options.out.write_text(json.dumps(rows, indent=1))
    print(f"all parts, after {time.monotonic() - start:.0f} s")


def run(letter: str, options: argparse.Namespace) -> None:
    """One part, in this process."""
    from gpu_parts.bench import Bench
    from gpu_parts.report import Report

    name, seconds = PARTS[letter]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.device, options.quick)
        part = importlib.import_module(f"gpu_parts.{name}")
        limit = seconds * (10 if options.quick else 1)
        Report(options.out).run(letter, part.steps(bench), limit, bench.tidy)


if __name__ == "__main__":
    main()
