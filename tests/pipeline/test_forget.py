"""What an output holds beyond a configuration is named, and ``forget`` removes one name of it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kdsspark import cli
from kdsspark.config import Config, parse
from kdsspark.errors import ConfigError, DatasetError, LockedError
from kdsspark.output import definitions, held
from kdsspark.output.definitions import Kind
from kdsspark.output.lock import Lock
from kdsspark.output.output import Output
from kdsspark.output.store import Store
from kdsspark.pipeline import records
from kdsspark.pipeline.forget import forget
from kdsspark.pipeline.status import status
from tests.output.made import RAW, fill, of_dataset, of_network
from tests.pipeline.whole import Whole, tables
from tests.studies import write_config, write_embeddings

FORGOTTEN: list[tuple[Kind, str]] = [
    ("dataset", "two"),
    ("dataset", "mine"),
    ("network", "net"),
    ("network", "clip"),
]
_numbers = itertools.count()


@pytest.fixture
def copied(whole: Whole) -> Config:
    """All that is configured, with a finished output of its own."""
    output = f"copy-{next(_numbers)}"
    whole.copy("finished", output)
    return whole.config(output)


def traces(output: Output, kind: Kind, name: str) -> list[str]:
    """Files and folders, also hidden and empty ones, that are of a network or a dataset."""
    root, found = Path(output.path()), []
    place = {"network": 2, "dataset": 3}[kind]  # in _receipts/measure/net/set and _plans/embed/...
    for path in root.rglob("*"):
        parts = path.relative_to(root).with_suffix("").parts
        if (
            f"{kind}={name}" in parts
            or (parts[0] in ("_receipts", "_plans") and parts[place:][:1] == (name,))
            or (parts[0] == "thresholds" and parts[-1] == name)
            or (parts[0] == "_networks" and kind == "network" and path.name.startswith(name))
        ):
            found.append("/".join(parts))
    return found


def expected(table: str, frame: pd.DataFrame, kind: Kind, name: str) -> pd.DataFrame:
    """The rows that stay."""
    if name == "mine" and table == "features":  # no other embeddings of its network are left
        frame = frame[frame["network"] != "clip"]
    return frame[frame[kind] != name] if kind in frame else frame


@pytest.mark.parametrize(("kind", "name"), FORGOTTEN)
def test_all_of_it_goes_and_nothing_else(copied: Config, kind: Kind, name: str) -> None:
    output = Output.at(copied.output)
    assert traces(output, kind, name)
    before = tables(output)
    forget(copied, kind, name)
    assert traces(output, kind, name) == []
    after = tables(output)
    for table, frame in before.items():
        rows = expected(table, frame, kind, name).reset_index(drop=True)
        left = after.get(table, rows.head(0))
        common = list(rows.columns.intersection(left.columns))  # layers are of the first network
        assert left[common].equals(rows[common]), table
    saved = output.read_json("_definitions.json")
    assert f"{kind}s.{name}" not in saved
    assert len(saved) == 4 - (name != "clip")  # which has no definition of its own


def test_duplicates_are_counted_again_without_it(whole: Whole, copied: Config) -> None:
    output = Output.at(copied.output)
    assert tables(output)["duplicates"]["in_all"].tolist() == [3, 3, 3]
    forget(copied, "dataset", "two")
    whole.run(whole.config(Path(copied.output).name, "one mine"), "embed")
    rows = tables(output)["duplicates"]
    assert set(rows["dataset"]) == {"one"}
    assert rows["in_all"].tolist() == [2, 2]
    assert output.receipts("duplicates").all()


def test_what_is_configured_is_made_again(whole: Whole, copied: Config) -> None:
    before = tables(Output.at(copied.output))
    lines = forget(copied, "dataset", "two").splitlines()
    assert lines[1:] == ["the configuration names it: the next run makes its tables again"]
    after = tables(whole.run(copied, "index embed measure summarize"))
    for table in ("images", "embeddings", "duplicates", "ks", "thresholds"):
        assert after[table].equals(before[table]), table


def test_a_forgotten_name_is_free_for_another_definition(whole: Whole, copied: Config) -> None:
    mine = {"name": "mine", "path": str(whole.folder / "two")}
    other = parse(whole.raw | {"output": copied.output, "datasets": [mine]})
    output = Output.at(copied.output)
    with pytest.raises(ConfigError, match=r"^datasets\.mine:"):
        definitions.refuse_changes(output, other)
    forget(copied, "dataset", "mine")
    definitions.refuse_changes(output, other)


def test_ready_made_embeddings_of_other_layers_may_follow_forgotten_ones(
    whole: Whole, tmp_path: Path
) -> None:
    """Their definition is the same: only what lies at their path has changed."""
    dataset = {"name": "own", "embeddings": str(tmp_path / "own"), "network": "clip"}
    config = parse({"output": str(tmp_path / "out"), "datasets": [dataset]})
    for units in (3, 2):
        values = np.random.default_rng(0).normal(size=(10, units)).astype(np.float32)
        write_embeddings(tmp_path / "own" / "x.parquet", {"l": values}, list("xyxyyyyxyx"))
        if units == 2:
            with pytest.raises(DatasetError, match=r"kdsspark forget --network clip$"):
                whole.run(config, "index embed")
            forget(config, "dataset", "own")
        output = whole.run(config, "index embed")
        assert tables(output)["features"]["unit"].tolist() == list(range(units))


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("dataset", "tow", "did you mean two?"),
        ("dataset", "clip", "it has mine, one, two"),
        ("network", "cilp", "did you mean clip?"),
        ("network", "", "it has clip, net"),
    ],
)
def test_unknown_names_are_refused_before_anything_is_written(
    copied: Config, kind: Kind, name: str, hint: str
) -> None:
    output = Output.at(copied.output)
    before = output.all_files("")
    with pytest.raises(ConfigError) as caught:
        forget(copied, kind, name)
    assert str(caught.value) == f"--{kind} must be a {kind} of {output.url}, got {name!r} ({hint})"
    assert output.all_files("") == before


def test_an_output_that_is_not_there_is_not_made(whole: Whole) -> None:
    with pytest.raises(ConfigError, match=r"got 'one' \(it has none\)"):
        forget(whole.config("no-output"), "dataset", "one")
    assert not (whole.folder / "no-output").exists()


def test_a_definition_of_which_nothing_came_may_be_forgotten(tmp_path: Path) -> None:
    config = parse(RAW | {"output": str(tmp_path)})
    definitions.record(Output.at(str(tmp_path)), config)
    assert held.beyond(Output.at(str(tmp_path)), config) == []
    forget(config, "dataset", "birds")
    assert "birds" not in held.known(Output.at(str(tmp_path)), "dataset")


# -- beyond the configuration --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("datasets", "networks", "beyond"),
    [
        ("one two mine", ["net"], []),
        ("one mine", ["net"], ["dataset two"]),
        ("one two", ["net"], ["network clip", "dataset mine"]),
        ("mine", [], ["network net", "dataset one", "dataset two"]),
        ("mine", ["net"], ["dataset one", "dataset two"]),
    ],
)
def test_what_is_not_configured_is_named(
    whole: Whole, datasets: str, networks: list[str], beyond: list[str]
) -> None:
    sections = {"networks": [{"name": name, "weights": "random"} for name in networks]}
    config = whole.config("finished", datasets, **sections)
    found = status(config)
    assert [f"{b.kind} {b.name}" for b in found.beyond] == beyond
    lines = [line for line in str(found).splitlines() if line.startswith("The output also holds")]
    assert lines == [
        f"The output also holds {what}, which is not in this configuration; kdsspark forget "
        f"--{what} removes it."
        for what in beyond
    ]


def test_folders_without_files_hold_nothing(copied: Config) -> None:
    for folder in ("images/dataset=gone", "features/network=gone"):
        (Path(copied.output) / folder).mkdir()
    assert status(copied).beyond == ()


# -- the lock, and interruptions -----------------------------------------------------------------


def test_an_output_in_use_is_refused(copied: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdsspark.pipeline.forget.Lock", lambda output: Lock(output, 0.02))
    before = tables(Output.at(copied.output)).keys()
    with Lock(Output.at(copied.output), beat_seconds=0.02), pytest.raises(LockedError):
        forget(copied, "dataset", "two")
    assert tables(Output.at(copied.output)).keys() == before


@pytest.mark.parametrize(("kind", "name"), [("dataset", "birds"), ("network", "a")])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_an_interrupted_removal_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, name: str, share: float
) -> None:
    output, of = Output.at(str(tmp_path)), {"dataset": of_dataset, "network": of_network}[kind]
    config = parse(RAW | {"output": str(tmp_path)})
    definitions.record(output, config)
    fill(output)
    n_files = sum(of(path, name) for path in output.files(""))
    removed, remove = [], Store.remove

    def killed(self: Store, path: str) -> None:
        if not path.startswith("_lock"):
            if len(removed) == int(share * n_files):
                raise KeyboardInterrupt
            removed.append(path)
        remove(self, path)

    monkeypatch.setattr(Store, "remove", killed)
    with pytest.raises(KeyboardInterrupt):
        forget(config, kind, name)
    monkeypatch.undo()
    others = [item for item in RAW[f"{kind}s"] if item["name"] != name]
    left = held.beyond(output, parse(RAW | {"output": str(tmp_path), f"{kind}s": others}))
    assert [(beyond.kind, beyond.name) for beyond in left] == [(kind, name)]
    forget(config, kind, name)
    assert not [path for path in output.files("") if of(path, name)]
    assert name not in held.known(output, kind)


@pytest.mark.parametrize(("kind", "name"), [("dataset", "birds"), ("network", "a")])
def test_until_its_definition_is_gone_a_name_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, name: str
) -> None:
    output, config = Output.at(str(tmp_path)), parse(RAW | {"output": str(tmp_path)})
    definitions.record(output, config)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(definitions, "forget", killed)
    with pytest.raises(KeyboardInterrupt):
        forget(config, kind, name)
    monkeypatch.undo()
    forget(config, kind, name)
    assert name not in held.known(output, kind)


# -- the command ---------------------------------------------------------------------------------


def test_the_command(copied: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = Output.at(copied.output)
    with output.create("report/index.html") as file:
        file.write(b"x")
    options = ["--config", str(write_config(copied, tmp_path))]
    assert cli.main(["forget", "--dataset", "tow", *options]) == 2
    line = f"--dataset must be a dataset of {output.url}, got 'tow' (did you mean two?)"
    assert capsys.readouterr().err == f"kdsspark: {line}\n"
    assert records.latest(output) is None
    assert cli.main(["forget", "--dataset", "two", *options]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"dataset two is in no table of {output.url} any more",
        "the configuration names it: the next run makes its tables again",
        "report/ is as it was until the next run draws it again",
    ]
    record = records.latest(output)
    assert record is not None
    assert (record.command, record.exit_code, record.error) == ("forget", 0, None)
    assert "two" in [row["dataset"] for row in record.counts]
    assert cli.main(["forget", "--network", "net", *options]) == 0
    assert not [n for n in output.files("") if "network=net" in n]


@pytest.mark.parametrize("given", [[], ["--dataset", "one", "--network", "net"]])
def test_one_name_must_be_given(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["forget", "--config", "study.yaml", *given])
    assert caught.value.code == 2
    assert "--network" in capsys.readouterr().err
