"""A study of made-up images and a made-up network: changed, run again and checked plainly."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kdsspark import config
from kdsspark.config import Config
from kdsspark.engine.stage import Context, Standing
from kdsspark.images.loading import content_hash
from kdsspark.output import parquet
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED, index
from kdsspark.stages.embed import complete
from kdsspark.stages.embed import stage as embed
from kdsspark.tables import EMBEDDINGS, FAILURES, IMAGES
from tests.inprocess import InProcess
from tests.stages.embed.fakes import PAIR, FakeNetwork, features

Receipts = dict[ItemName, Receipt]


@dataclass
class World:
    """A study of one network and folders of images."""

    folder: Path
    session: InProcess
    network: FakeNetwork
    datasets: tuple[str, ...] = ("set",)
    settings: dict[str, Any] | None = None

    @property
    def output(self) -> Output:
        return Output.at(str(self.folder / "out"))

    @property
    def config(self) -> Config:
        settings = {"max_failures": 1.0, "batch_images": 1} | (self.settings or {})
        return config.parse(
            {
                "output": self.output.path(),
                "networks": [{"name": "net", "weights": "random"}],
                "datasets": [
                    {"name": name, "path": str(self.folder / name)} for name in self.datasets
                ],
                "embed": settings,
            }
        )

    def image(self, name: str, shade: int = 0, dataset: str = "set") -> Path:
        """Write ``<class>/<number>.png``, or a broken one for a shade of -1."""
        path = self.folder / dataset / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if shade < 0:
            path.write_bytes(b"broken")
        else:
            pixels = np.full((8, 8, 3), shade, np.uint8)
            pixels[0, :5, 0] = [int(digit) for digit in f"{int(path.stem):05d}"]
            Image.fromarray(pixels).save(path)
        return path

    def images(self, **classes: int) -> list[Path]:
        return [
            self.image(f"{name}/{number:03d}", 10 + ord(name[0]) % 50)
            for name, n in classes.items()
            for number in range(n)
        ]

    def context(self, **options: Any) -> Context:
        return Context(self.session, self.output, self.config, **options)

    def run(self, **options: Any) -> int:
        """Index and embed; how many images went through the network."""
        before = self.receipts()
        for dataset in self.config.datasets:
            index.write_index(self.output, dataset)
        embed.run(self.context(**options))
        return self.computed_since(before)

    def receipts(self) -> Receipts:
        return EMBED.receipts(self.output).all()

    def computed_since(self, before: Receipts) -> int:
        now = self.receipts()
        return sum(r.counts["computed"] for name, r in now.items() if before.get(name) != r)

    def standing(self, pair: Pair = PAIR) -> Standing:
        """What the plan says."""
        return embed.plan(self.output, self.config, pair).standing(self.output)

    def times(self, below: str = "") -> dict[str, int]:
        """File -> time of its last change."""
        paths = self.output.files(below)
        return {path: Path(self.output.path(path)).stat().st_mtime_ns for path in paths}

    def check(self, pair: Pair = PAIR) -> None:
        """The tables hold every image of the folder, computed plainly, and no other."""
        root = self.folder / pair.dataset
        files = {
            index.image_id(pair.dataset, str(p.relative_to(root))): p for p in root.rglob("*.png")
        }
        classes = sorted({path.parent.name for path in files.values()})
        embedded = parquet.read(self.output, EMBEDDINGS, *pair).to_pylist()
        failed = parquet.read(self.output, FAILURES, *pair).to_pylist()
        assert Counter(r["image_id"] for r in [*embedded, *failed]) == Counter(list(files))
        versions = parquet.read(self.output, IMAGES, pair.dataset, columns=["image_id", "version"])
        version = dict(zip(*versions.to_pydict().values(), strict=True))
        for row in [*embedded, *failed]:
            path = files[row["image_id"]]
            assert row["class_name"] == path.parent.name
            assert row["class_id"] == classes.index(path.parent.name)
            assert row["content"] == content_hash(path.read_bytes())
            assert row["version"] == version[row["image_id"]]
        for row in embedded:
            values = features(np.asarray(Image.open(files[row["image_id"]]))).tolist()
            assert [*row["sum"], *row["corner"]] == values
        for row in failed:
            assert files[row["image_id"]].read_bytes().startswith(b"b")
        assert complete.is_current(self.output, pair)
