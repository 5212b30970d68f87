"""An output never mixes two definitions of one name: changes are found, named and refused."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from kdsspark.config import parse
from kdsspark.errors import ConfigError
from kdsspark.output.definitions import Change, changes, receipts_of_pairs, record, refuse_changes
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt
from tests.output.made import DATASETS, RAW, changed, fill, touch


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """An output in which every network and dataset has every kind of file."""
    output = Output.at(str(tmp_path))
    record(output, parse(RAW))
    fill(output)
    return output


def refusal(output: Output, raw: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        refuse_changes(output, parse(raw))
    return str(caught.value)


def test_the_same_definitions_are_accepted_and_not_written_again(output: Output) -> None:
    path = Path(output.path("_definitions.json"))
    before = path.stat().st_mtime_ns
    assert changes(output, parse(RAW)) == []
    refuse_changes(output, parse(RAW))
    record(output, parse(RAW))
    assert path.stat().st_mtime_ns == before


def test_the_order_and_what_does_not_define_an_embedding_may_change(output: Output) -> None:
    raw = copy.deepcopy(RAW)
    raw["networks"].reverse()
    raw["measure"] = {"bins": 50}
    raw["embed"] = {"shard_images": 8}
    raw["datasets"][0]["group"] = "a"
    assert changes(output, parse(raw)) == []


@pytest.mark.parametrize(
    ("section", "name", "key", "was", "now"),
    [
        ("networks", "ab", "crops", "'ten'", "center"),
        ("networks", "a.b", "seed", "0", 3),
        ("datasets", "bird", "path", "'/data/bird'", "/other"),
    ],
)
def test_a_changed_definition_is_refused_by_name_with_both_values_and_the_way_out(
    output: Output, section: str, name: str, key: str, was: str, now: object
) -> None:
    raw, before = changed(section, name, **{key: now}), output.files("")
    kind = section.removesuffix("s")
    difference = f"{key} was {was} and is now {now!r}"
    assert changes(output, parse(raw)) == [Change(kind, name, difference)]  # type: ignore[arg-type]
    assert refusal(output, raw) == (
        f"{section}.{name}: {difference}; {output.url} holds results of "
        f"the former: choose another output, or --fresh to remove them"
    )
    assert output.files("") == before
    assert changes(output, parse(RAW)) == []  # nothing of the refused was recorded


def test_every_difference_is_named(output: Output) -> None:
    raw = changed("networks", "a", pooling="max", preprocessing={"resize": 300})
    text = "pooling was 'mean' and is now 'max', preprocessing was None and is now {"
    assert text in refusal(output, raw)


def test_a_key_that_is_new_had_its_default(output: Output) -> None:
    raw = changed("networks", "a", preprocessing={"resize": 300})
    record(output, parse(raw))
    path = Path(output.path("_definitions.json"))
    saved = json.loads(path.read_text())
    del saved["networks.a"]["tokens"], saved["networks.a"]["preprocessing"]["interpolation"]
    path.write_text(json.dumps(saved))
    assert changes(output, parse(raw)) == []
    raw = changed("networks", "a", preprocessing={"resize": 300, "interpolation": "bicubic"})
    assert len(changes(output, parse(raw))) == 1


def test_a_changed_definition_that_is_recorded_is_the_one_from_then_on(output: Output) -> None:
    raw = changed("networks", "a", crops="center")
    record(output, parse(raw))
    assert changes(output, parse(raw)) == []
    assert [change.name for change in changes(output, parse(RAW))] == ["a"]


def test_what_is_not_configured_now_is_remembered(output: Output) -> None:
    raw = copy.deepcopy(RAW)
    raw["datasets"] = [{"name": "new", "path": "/data/new"}]
    record(output, parse(raw))
    line = refusal(output, changed("datasets", "bird", path="/x"))
    assert line.startswith("datasets.bird: path was '/data/bird' and is now '/x'")


@pytest.mark.parametrize(
    ("section", "key", "result"),
    [
        ("datasets", "path", "images/dataset=new/part-0.parquet"),
        ("datasets", "path", "_receipts/embed/net/new/shard-0.json"),
        ("datasets", "path", "_receipts/summarize/net/new.json"),
        ("networks", "weights", "_networks/new.json"),
    ],
)
def test_a_typo_can_be_corrected_until_something_came_of_it(
    output: Output, section: str, key: str, result: str
) -> None:
    def raw(value: str) -> dict[str, Any]:
        return RAW | {section: [*RAW[section], {"name": "new", key: value}]}

    for value in ("tpyo", "typo"):
        refuse_changes(output, parse(raw(value)))
        record(output, parse(raw(value)))
    output.write_json(result, {})
    refuse_changes(output, parse(raw("typo")))
    line = refusal(output, raw("other"))
    assert line.startswith(f"{section}.new: {key} was 'typo' and is now 'other'")


def test_a_key_that_is_new_to_an_output_had_its_default(output: Output) -> None:
    saved = output.read_json("_definitions.json")
    for name in DATASETS:
        del saved[f"datasets.{name}"]["split"]
    output.write_json("_definitions.json", saved)
    assert changes(output, parse(RAW)) == []
    line = refusal(output, changed("datasets", "birds", split="test"))
    assert "split was None and is now 'test'" in line


def test_secrets_in_urls_are_told_apart_and_not_written(tmp_path: Path) -> None:
    def definition(secret: str) -> Any:
        path = f"https://me:{secret}@host/images?signature={secret}"
        return RAW | {"datasets": [{"name": "birds", "path": path}]}

    output = Output.at(str(tmp_path))
    record(output, parse(definition("hush")))
    touch(output, "images/dataset=birds/part-0.parquet")
    assert changes(output, parse(definition("hush"))) == []
    line = refusal(output, definition("quiet"))
    written = Path(output.path("_definitions.json")).read_text()
    assert "https://***@host/images?***" in written
    for text in (written, line):
        assert "hush" not in text
        assert "quiet" not in text


def test_a_new_output_has_no_definitions(tmp_path: Path) -> None:
    output = Output.at(str(tmp_path))
    assert changes(output, parse(RAW)) == []
    refuse_changes(output, parse(RAW))
    assert output.files("") == []


def test_receipts_tell_their_pair(tmp_path: Path) -> None:
    output = Output.at(str(tmp_path))
    pair, other = Pair("a.json", "birds.json"), Pair("a", "b")
    for stage, item in (
        ("embed", pair.item("shard-1")),
        ("summarize", pair.name),
        ("summarize", other.name),
        ("report", ItemName("report")),
    ):
        output.receipts(stage).write(Receipt(item, "d"))
    assert list(receipts_of_pairs(output)) == [
        ("_receipts/embed/a.json/birds.json/shard-1.json", pair),
        ("_receipts/summarize/a.json/birds.json.json", pair),
        ("_receipts/summarize/a/b.json", other),
    ]
