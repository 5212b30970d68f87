"""What a stage is, and how far it is: a loop over plans, held against receipts."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from kdsspark import config
from kdsspark.engine.stage import Context, ItemPlan, Stage, Standing, prune, total
from kdsspark.output.names import ItemName, Pair
from kdsspark.output.output import Output
from kdsspark.output.receipts import Receipt

PAIR = Pair("net", "set")


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output.at(str(tmp_path / "out"))


# -- standings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("standing", "finished"),
    [
        (Standing(), False),  # nothing is planned yet
        (Standing(done=3), True),
        (Standing(done=3, failed=1), True),
        (Standing(failed=1), True),  # images that failed are not tried again unasked
        (Standing(done=3, stale=1), False),
        (Standing(done=3, missing=1), False),
        (Standing(missing=4), False),
    ],
)
def test_a_stage_is_finished_when_the_next_run_has_nothing_to_do(
    standing: Standing, finished: bool
) -> None:
    assert standing.finished is finished


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({}, Standing(missing=3)),
        ({"a": "1", "b": "2"}, Standing(done=2, missing=1)),
        ({"a": "1", "b": "old", "c": ""}, Standing(done=1, stale=2)),
        ({"a": "1", "b": "2", "c": "3"}, Standing(done=3)),
        ({"a": "1", "b": "2", "c": "3", "d": "4"}, Standing(done=3)),  # one more than planned
    ],
)
def test_a_plan_is_held_against_the_receipts_of_its_items(
    output: Output, held: dict[str, str], expected: Standing
) -> None:
    for part, digest in held.items():
        output.receipts("stage").write(Receipt(PAIR.item(part), digest))
        output.receipts("stages").write(Receipt(PAIR.item(part), "other"))
    plan = ItemPlan(
        "stage", {PAIR.item(part): digest for part, digest in zip("abc", "123", strict=True)}
    )
    assert plan.standing(output) == expected
    assert plan.finished(output) is expected.finished


# -- what is left over ---------------------------------------------------------------------------


def touch(output: Output, *paths: str) -> None:
    for path in paths:
        with output.create(path) as file:
            file.write(b"x")


def test_pruning_removes_receipts_and_parts_of_one_pair_that_nothing_makes_any_more(
    output: Output, tmp_path: Path
) -> None:
    receipts, other = output.receipts("stage"), Pair("net", "set.b")
    for pair in (PAIR, other):
        for part in ("a", "b", "old"):
            receipts.write(Receipt(pair.item(part), "d"))
            touch(output, f"ks/dataset={pair.dataset}/{part}.parquet")
    (tmp_path / "out/ks/dataset=set/.tmp-0123-a.parquet").touch()  # of a killed worker
    wanted = {PAIR.item("a"): "new", PAIR.item("b"): "d", PAIR.item("c"): "d"}
    kept = {"ks/dataset=set": ["a", "b", "c"], "none/dataset=set": ["a"]}
    prune(output, receipts, PAIR, wanted, kept)
    assert receipts.of(PAIR).keys() == {"net/set/a", "net/set/b"}
    assert receipts.of(other).keys() == {"net/set.b/a", "net/set.b/b", "net/set.b/old"}
    assert output.files("ks/dataset=set") == [f"ks/dataset=set/{n}.parquet" for n in "ab"]
    assert len(output.files("ks/dataset=set.b")) == 3
    assert len(list((tmp_path / "out/ks/dataset=set").iterdir())) == 2


def test_a_count_is_added_up_over_receipts() -> None:
    names = [PAIR.item(str(n)) for n in range(3)]
    receipts = {name: Receipt(name, "", {"images": n, "failed": 1}) for n, name in enumerate(names)}
    assert total(receipts, "images") == 0 + 1 + 2
    assert total({}, "images") == 0
    with pytest.raises(KeyError):
        total(receipts, "rows")


# -- a stage -------------------------------------------------------------------------------------


class Module(ModuleType):
    """The code of a stage, which notes what it is called with."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[object, ...]] = []

    def plan(self, *arguments: object) -> str:
        self.calls.append(("plan", *arguments))
        return "a plan"

    def run(self, *arguments: object) -> None:
        self.calls.append(("run", *arguments))


class Closing(Module):
    def closing(self, context: object) -> str:
        return f"after {context}"


def stage(module: str) -> Stage:
    return Stage("index", "list the images", module, (), counted="images")


def test_a_stage_is_known_before_its_module_is_imported(
    monkeypatch: pytest.MonkeyPatch, output: Output
) -> None:
    known = stage("no.such.module")
    assert known.receipts(output) == output.receipts("index")
    with pytest.raises(ModuleNotFoundError):
        known.run("context")  # type: ignore[arg-type]
    module = Module("no_such_module")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    late = stage(module.__name__)
    assert late.plan(output, "config", PAIR) == "a plan"  # type: ignore[arg-type, comparison-overlap]
    late.run("context")  # type: ignore[arg-type]
    assert module.calls == [("plan", output, "config", PAIR), ("run", "context")]


@pytest.mark.parametrize(("kind", "text"), [(Module, ""), (Closing, "after context")])
def test_a_stage_may_have_something_to_show_when_it_is_done(
    monkeypatch: pytest.MonkeyPatch, kind: type[Module], text: str
) -> None:
    monkeypatch.setitem(sys.modules, "stage_module", kind("stage_module"))
    assert stage("stage_module").closing("context") == text  # type: ignore[arg-type]


def test_the_pairs_are_those_of_the_configuration(output: Output) -> None:
    parsed = config.parse(
        {
            "output": output.path(),
            "networks": [{"name": "a"}, {"name": "b"}],
            "datasets": [
                {"name": "x", "path": "/x"},
                {"name": "mine", "embeddings": "/mine.parquet", "network": "clip"},
            ],
        }
    )
    context = Context(None, output, parsed)
    assert sorted(context.pairs) == [
        Pair("a", "x"),
        Pair("b", "x"),
        Pair("clip", "mine"),
    ]
    assert {pair.item("p") for pair in context.pairs} == {
        ItemName(name) for name in ("a/x/p", "b/x/p", "clip/mine/p")
    }
