"""Whole studies in this process: images by a made-up network, and ready-made embeddings."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from kdsspark import config
from kdsspark.config import Config
from kdsspark.engine.stage import Context
from kdsspark.network.spec import describe
from kdsspark.output import definitions, parquet
from kdsspark.output.output import Output
from kdsspark.stages import stages_of
from kdsspark.stages.embed.networks import write_features
from kdsspark.tables import TABLES
from tests.inprocess import InProcess
from tests.stages.embed.fakes import SPEC
from tests.studies import write_embeddings

STAGES = "index embed measure summarize check transform probe"


@dataclass
class Whole:
    """A folder with images ``one/`` and ``two/``, embeddings ``mine/``, and outputs."""

    folder: Path
    session: InProcess

    def make_inputs(self) -> None:
        for dataset, classes in {"one": "abc", "two": "de"}.items():
            for number in range(6):
                pixels = np.random.default_rng([len(classes), number]).integers(0, 255, (8, 8, 3))
                path = self.folder / dataset / classes[number % len(classes)] / f"{number:02d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(path)
        same = (self.folder / "one" / "a" / "00.png").read_bytes()
        for twin in ("one/b/90.png", "two/d/90.png"):
            (self.folder / twin).write_bytes(same)
        values = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
        write_embeddings(self.folder / "mine" / "x.parquet", {"l": values}, list("xyxyyyyxyx"))

    @property
    def raw(self) -> dict[str, Any]:
        """All of it as a configuration."""
        return {
            "networks": [{"name": "net", "weights": "random"}],
            "datasets": [
                {"name": "one", "path": str(self.folder / "one")},
                {"name": "two", "path": str(self.folder / "two")},
                {"name": "mine", "embeddings": str(self.folder / "mine"), "network": "clip"},
            ],
            "embed": {"max_failures": 1.0, "batch_images": 1},
            "transform": {"t_plus": 0.2, "t_minus": -0.2},
        }

    def config(self, output: str, datasets: str = "one two mine", **sections: Any) -> Config:
        """The configuration with an output, some datasets and perhaps other sections."""
        chosen = [item for item in self.raw["datasets"] if item["name"] in datasets.split()]
        raw = {"output": str(self.folder / output), "datasets": chosen}
        return config.parse(self.raw | raw | sections)

    def copy(self, output: str, target: str) -> None:
        """A copy of an output, beside it."""
        shutil.copytree(self.folder / output, self.folder / target)

    def run(self, study: Config, stages: str = STAGES) -> Output:
        """Run some stages; networks that are not prepared are, without weights."""
        output = Output.at(study.output)
        for network in study.networks:
            if not output.exists(output.network(network.name)):
                weights = output.weights(network.name, "0123")
                with output.create(weights) as file:
                    file.write(b"x")
                spec = replace(SPEC, name=network.name)
                record = {"spec": spec.to_dict(), "weights": weights, "source": ""}
                write_features(output, network.name, describe(spec))
                output.write_json(output.network(network.name), record)
        definitions.refuse_changes(output, study)
        definitions.record(output, study)
        context = Context(self.session, output, study)
        for name in stages.split():
            for stage in stages_of(name):
                stage.run(context)
        return output


def tables(output: Output) -> dict[str, pd.DataFrame]:
    """Every table that has rows, sorted by its key."""
    found = {}
    for table in TABLES.values():
        frame = parquet.read(output, table).to_pandas()
        if len(frame):
            found[table.name] = frame.sort_values(list(table.key)).reset_index(drop=True)
    return found


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    """Equal to the last bit."""
    assert found.keys() == expected.keys()
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(found[name], frame, check_exact=True)
