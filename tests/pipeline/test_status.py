"""What status says is what a run then does."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdsspark.config import Config, Exemplars
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.pipeline import records, status
from kdsspark.pipeline.status import StageStatus
from kdsspark.pipeline.study import Study
from kdsspark.stages import EMBED, MEASURE, PROBE, SUMMARIZE
from tests.studies import NETWORK, image_config, run, write_embeddings, write_images

pytestmark = pytest.mark.usefixtures("without_spark")
ALL = "index embed measure summarize exemplars check"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, without_spark: None) -> Study:  # noqa: ARG001
    """Images with a broken one, ready-made embeddings, and a dataset no image of which works."""
    folder = tmp_path_factory.mktemp("status")
    write_images(folder / "images", {"a": 7, "b": 6})
    (folder / "images" / "a" / "broken.png").write_bytes(b"no image")
    (folder / "bad" / "a").mkdir(parents=True)
    (folder / "bad" / "a" / "x.png").touch()
    values = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    write_embeddings(folder / "mine" / "one.parquet", {"l": values}, ["x", "y"] * 4)
    return run(_config(folder), ALL)


def _config(folder: Path, **sections: object) -> Config:
    datasets = [
        {"name": "set", "path": str(folder / "images")},
        {"name": "bad", "path": str(folder / "bad")},
        {"name": "mine", "embeddings": str(folder / "mine")},
    ]
    return image_config(
        folder / "out", {}, **{"networks": [NETWORK], "datasets": datasets, **sections}
    )


@pytest.fixture
def folder(finished: Study, tmp_path: Path) -> Path:
    """A copy of the study, its output in ``out``."""
    source = Path(finished.output.path()).parent
    shutil.copytree(source, tmp_path / "copy")
    definitions = tmp_path / "copy" / "out" / "_definitions.json"
    definitions.write_text(definitions.read_text().replace(str(source), str(tmp_path / "copy")))
    return tmp_path / "copy"


def states(config: Config, dataset: str = "set") -> dict[str, str]:
    stages = status.status(config).stages
    return {s.stage: s.state for s in stages if s.dataset == dataset}


def one(config: Config, stage: str, dataset: str = "set") -> StageStatus:
    found = status.status(config).stages
    (stage_status,) = (s for s in found if (s.stage, s.dataset) == (stage, dataset))
    return stage_status


def counts(found: StageStatus) -> tuple[int, int, int, int]:
    s = found.standing
    return s.done, s.stale, s.missing, s.failed


DONE = dict.fromkeys(ALL.split(), "done")


def test_a_finished_study_is_done(finished: Study) -> None:
    config = finished.config
    assert states(config) == DONE
    assert states(config, "mine") == DONE
    assert states(config, "bad") == {"index": "done", "embed": "done"}  # max_failures is 1
    assert counts(one(config, "embed")) == (13, 0, 0, 1)
    assert counts(one(config, "embed", "bad")) == (0, 0, 0, 1)
    assert counts(one(config, "embed", "mine")) == (8, 0, 0, 0)
    n_slices = len(MEASURE.receipts(finished.output).of(Pair("tiny", "set")))
    assert counts(one(config, "measure")) == (n_slices, 0, 0, 0)
    assert counts(one(config, "check")) == (n_slices + 1, 0, 0, 0)
    n_shards = len(EMBED.receipts(finished.output).of(Pair("tiny", "set")))
    assert counts(one(config, "exemplars")) == (n_shards, 0, 0, 0)
    assert counts(one(config, "exemplars", "mine")) == (1, 0, 0, 0)
    assert status.status(config).refusal is None


@pytest.mark.parametrize(
    ("exemplars", "shown"),
    [
        (False, set()),
        ({}, {"set", "mine"}),
        ({"dataset": "set"}, {"set", "mine"}),  # no images of it go through the network of "mine"
        ({"dataset": "bad"}, {"mine"}),
    ],
)
def test_exemplars_are_shown_where_they_are_wanted(
    folder: Path, exemplars: object, shown: set[str]
) -> None:
    config = _config(folder, exemplars=exemplars)
    found = {s.dataset: s.state for s in status.status(config).stages if s.stage == "exemplars"}
    assert found == dict.fromkeys(shown, "done")
    if shown:
        more = config.model_copy(update={"exemplars": Exemplars(top=3)})
        assert one(more, "exemplars", "mine").state == "stale"


def test_nothing_is_written_and_nothing_locked(folder: Path) -> None:
    config = _config(folder)
    before = {p: p.stat().st_mtime_ns for p in (folder / "out").rglob("*")}
    status.status(config)
    assert {p: p.stat().st_mtime_ns for p in (folder / "out").rglob("*")} == before
    new = config.model_copy(update={"output": str(folder / "new")})
    assert set(states(new).values()) == {"missing"}
    assert not (folder / "new").exists()


def test_more_failures_than_allowed(finished: Study) -> None:
    strict = finished.config.embed.model_copy(update={"max_failures": 0.01})
    config = finished.config.model_copy(update={"embed": strict})
    assert states(config)["embed"] == "failed"
    assert states(config)["measure"] == "done"


def test_stage_after_stage(folder: Path) -> None:
    config = _config(folder)
    shutil.rmtree(folder / "out")
    want = dict.fromkeys(ALL.split(), "missing")
    assert states(config) == want
    for stage in ALL.split():
        run(config, stage)
        want[stage] = "done"
        assert states(config) == want


def test_new_images_are_missing_and_what_follows_is_stale(folder: Path) -> None:
    config = _config(folder)
    write_images(folder / "images", {"a": 12, "b": 6})
    assert states(config) == DONE  # the folder is not looked at
    run(config, "index")
    found = one(config, "embed")
    assert found.standing.missing == 5
    assert sum(counts(found)) == 19
    stale = dict.fromkeys(ALL.split(), "stale") | {"index": "done"}
    assert states(config) | {"embed": "stale"} == stale
    before = EMBED.receipts(Output.at(config.output)).of(Pair("tiny", "set"))
    run(config, "embed")
    after = EMBED.receipts(Output.at(config.output)).of(Pair("tiny", "set"))
    unchanged = {unit for unit in after if after[unit] == before.get(unit)}
    kept = sum(after[unit].counts["images"] for unit in unchanged)
    assert (
        found.standing.done + found.standing.failed == kept
    )  # the run left alone exactly what was called done
    assert states(config) == stale | {"embed": "done"}
    run(config, "measure summarize exemplars check")
    assert states(config) == DONE


def test_changed_files_are_stale(folder: Path) -> None:
    config = _config(folder)
    shutil.copy(folder / "images" / "b" / "001.png", folder / "images" / "b" / "000.png")
    run(config, "index")
    found = one(config, "embed")
    assert found.state == "stale"
    assert found.standing.missing == 0
    assert found.standing.stale >= 1


def test_other_settings_make_measures_stale(folder: Path) -> None:
    config = _config(folder, measure={"shuffles": 2})
    want = DONE | dict.fromkeys(("measure", "summarize", "check"), "stale")
    assert states(config) == want
    assert one(config, "measure").standing.done == 0


def test_stages_beside_the_run_are_told_of_where_they_were_run(folder: Path) -> None:
    config = _config(folder, transform={"t_plus": 0.2, "t_minus": -0.2})
    assert states(config) == DONE
    only = config.model_copy(update={"datasets": config.datasets[:1]})
    for stage in ("transform", "probe"):
        store = run(only, stage).output
        assert states(config)[stage] == "done"
    assert states(config) == DONE | {"transform": "done", "probe": "done"}
    assert states(config, "mine") == DONE
    n_shards = len(EMBED.receipts(store).of(Pair("tiny", "set")))
    assert counts(one(config, "transform")) == (n_shards, 0, 0, 0)
    assert counts(one(config, "probe")) == (9, 0, 0, 0)  # three sources: two layers, and both

    other = _config(folder, transform={"t_plus": 0.3, "t_minus": -0.2})
    assert states(other) == DONE | {"transform": "stale", "probe": "stale"}
    PROBE.receipts(store).remove(Pair("tiny", "set").item("all-0000"))
    assert one(config, "probe").state == "unfinished"
    SUMMARIZE.receipts(store).remove(Pair("tiny", "set").name)
    assert one(config, "transform").state == "stale"


def test_a_killed_stage_is_unfinished(folder: Path) -> None:
    config, store = _config(folder), Output.at(str(folder / "out"))
    unit = sorted(MEASURE.receipts(store).of(Pair("tiny", "set")))[0]
    MEASURE.receipts(store).remove(unit)
    found = one(config, "measure")
    assert (found.state, found.standing.missing) == ("unfinished", 1)
    assert states(config)["summarize"] == "stale"
    shard = sorted(EMBED.receipts(store).of(Pair("tiny", "set")))[0]
    held = EMBED.receipts(store).of(Pair("tiny", "set"))[shard].counts["images"]
    EMBED.receipts(store).remove(shard)
    found = one(config, "embed")
    assert found.standing.missing == held
    assert found.standing.done + found.standing.failed == 14 - held


def test_lost_files_of_embeddings_are_missing(folder: Path) -> None:
    for dataset, network in (("set", "tiny"), ("mine", "given")):
        where = folder / "out" / "embeddings" / f"network={network}" / f"dataset={dataset}"
        sorted(where.iterdir())[0].unlink()
        assert one(_config(folder), "embed", dataset).standing.missing > 0


def test_another_definition_is_told_and_not_recorded(folder: Path) -> None:
    other = _config(folder, networks=[{**NETWORK, "pooling": "max"}])
    before = (folder / "out" / "_definitions.json").read_bytes()
    refusal = status.status(other).refusal or ""
    assert "networks.tiny: pooling was 'mean' and is now 'max'" in refusal
    assert refusal in str(status.status(other))
    assert (folder / "out" / "_definitions.json").read_bytes() == before


def test_status_is_printed_as_a_table(folder: Path) -> None:
    config = _config(folder)
    lines = str(status.status(config)).splitlines()
    cells = [" ".join(line.split()) for line in lines]
    assert cells[0] == "network dataset stage state done stale missing failed of"
    assert "tiny set embed done 13 0 0 1 images" in cells
    assert lines[-2:] == [status.NOTE, "No run is recorded."]
    records.write(Output.at(config.output), records.Run("run", config).ended(3, "too many"))
    assert str(status.status(config)).splitlines()[-1].endswith("exit code 3: too many")


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """The modules that are imported once every stage that ``status`` plans has been asked."""
    code = (
        "import importlib, json, sys, kdsspark.pipeline.status\n"
        "from kdsspark.stages import STAGES\n"
        "[importlib.import_module(s.module) for s in STAGES if s.scope != 'study']\n"
        "print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("heavy", ["torch", "torchvision", "matplotlib"])
def test_importing_status_is_quick(imported: set[str], heavy: str) -> None:
    assert "kdsspark.stages.measure.stage" in imported
    assert heavy not in imported


def test_a_mixture_of_processors_is_told(finished: Study) -> None:
    """An output of the version before, continued: what it holds is of an unknown kind."""
    output, pair = finished.output, Pair("tiny", "set")
    assert "mix" not in str(status.status(finished.config))
    name, receipt = max(EMBED.receipts(output).of(pair).items())
    counts = {key: n for key, n in receipt.counts.items() if not key.startswith("on ")}
    EMBED.receipts(output).write(replace(receipt, counts=counts))
    old, new = counts["embedded"], 13 - counts["embedded"]
    found = str(status.status(finished.config))
    EMBED.receipts(output).write(receipt)
    (line,) = (line for line in found.splitlines() if " mix " in line)
    assert line.startswith("dataset set by network tiny: embeddings mix 2 kinds of processors")
    assert f"{new} on {platform.machine()} " in line
    assert line.endswith(f"{old} on unknown")
    assert name in EMBED.receipts(output).all()
