"""Whether a dataset is embedded as it is indexed: recorded once, and void when either changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsspark import config
from kdsspark.config import Dataset, ImageDataset
from kdsspark.engine.stage import Context
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from kdsspark.stages import EMBED
from kdsspark.stages.embed import complete
from kdsspark.stages.index import write_index
from tests.stages.embed.fakes import PAIR


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    for name in ("a/1.jpg", "b/2.jpg"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(b"x")
    return ImageDataset(name=PAIR.dataset, path=str(tmp_path / "images"))


def shard(
    output: Output, name: str, digest: str = "d", pair: Pair = PAIR, embedded: int = 1
) -> None:
    counts = {"embedded": embedded, "failed": 1 - embedded}
    EMBED.receipts(output).write(Receipt(pair.item(name), digest, counts))


def commit(output: Output, dataset: Dataset) -> None:
    write_index(output, dataset)
    shard(output, "shard-1")
    shard(output, "shard-2")
    complete.commit(output, PAIR)


def test_what_was_never_recorded_is_not_current(output: Output, dataset: Dataset) -> None:
    assert not complete.is_current(output, PAIR)
    write_index(output, dataset)
    shard(output, "shard-1")
    assert not complete.is_current(output, PAIR)


@pytest.mark.parametrize(
    "change", ["nothing", "index again", "new image", "new version", "digest", "shard", "lost"]
)
def test_it_is_current_until_the_index_or_a_shard_changes(
    output: Output, dataset: Dataset, change: str
) -> None:
    commit(output, dataset)
    images = Path(str(dataset.path))
    if change == "new image":
        (images / "a" / "3.jpg").write_bytes(b"x")
    elif change == "new version":
        (images / "a" / "1.jpg").write_bytes(b"longer")
    elif change == "digest":
        shard(output, "shard-1", "another")
    elif change == "shard":
        shard(output, "shard-3")
    elif change == "lost":
        EMBED.receipts(output).remove(PAIR.item("shard-2"))
    if change != "nothing":
        write_index(output, dataset)
    assert complete.is_current(output, PAIR) is (change in ("nothing", "index again"))
    complete.commit(output, PAIR)
    assert complete.is_current(output, PAIR)


def test_another_pair_changes_nothing(output: Output, dataset: Dataset) -> None:
    commit(output, dataset)
    shard(output, "shard-9", pair=Pair("net", "set.b"))
    shard(output, "shard-9", pair=Pair("network", "set"))
    assert complete.is_current(output, PAIR)
    assert not complete.is_current(output, Pair("network", "set"))


def test_what_is_recorded_already_is_not_written_again(output: Output, dataset: Dataset) -> None:
    commit(output, dataset)
    (path,) = (Path(output.path(p)) for p in output.files("_receipts/embedded"))
    before = path.stat().st_mtime_ns
    complete.commit(output, PAIR)
    assert path.stat().st_mtime_ns == before


def test_datasets_in_which_every_image_failed_are_skipped(output: Output) -> None:
    raw = {
        "output": output.path(),
        "networks": [{"name": "net"}],
        "datasets": [
            {"name": name, "path": f"/{name}"} for name in ("good", "bad", "mixed", "new")
        ],
    }
    for dataset, embedded in (("good", [1, 1]), ("bad", [0, 0]), ("mixed", [0, 1])):
        for number, count in enumerate(embedded):
            shard(output, f"shard-{number}", pair=Pair("net", dataset), embedded=count)
    context = Context(None, output, config.parse(raw))
    assert complete.working_pairs(context) == [
        Pair("net", name) for name in ("good", "mixed", "new")
    ]
