"""What is chosen of each pair: layers, thresholds, samples, and whose images stand for layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from kdsspark.stages.report import looks, subjects
from kdsspark.tables import FAILURES, IMAGES, Table
from tests.report.synthetic import run_on_files

ONE, TWO = Pair("one", "set"), Pair("two", "set")


def write(output: Output, table: Table, rows: list[dict[str, Any]], part: str, *at: str) -> None:
    columns = {
        field.name: pa.array([row.get(field.name, "") for row in rows], field.type)
        for field in table.schema
    }
    made = pa.table(columns, schema=table.schema)
    parquet.write(output, table.part(part, *at), made, table.schema)


def image(n: int) -> dict[str, Any]:
    return {"image_id": f"{n:03d}", "uri": f"{n}.png", "class_id": n % 2, "class_name": "ab"[n % 2]}


def test_samples_are_readable_for_every_network(tmp_path: Path) -> None:
    output = Output.at(str(tmp_path))
    ids = np.random.default_rng(0).permutation(60)
    for part, some in (("part-0", ids[:40]), ("part-1", ids[40:])):
        write(output, IMAGES, [image(int(n)) for n in some], part, "set")
    write(output, FAILURES, [image(0), image(3)], "part-0", *ONE)
    write(output, FAILURES, [image(4)], "part-0", *TWO)
    write(output, FAILURES, [image(1)], "part-0", "two", "other")
    pairs = [ONE, TWO, Pair("two", "other")]
    found = subjects._samples(output, pairs, "set")
    want = {c: [f"{n}.png" for n in range(60) if n % 2 == c and n not in (0, 3, 4)] for c in (0, 1)}
    assert found == {c: uris[: subjects.SAMPLES] for c, uris in want.items()}
    assert subjects._samples(output, pairs, "gone") == {}


def test_the_first_pair_of_a_dataset_cuts_its_samples(fruit: Study) -> None:
    frames = run_on_files(fruit.output)
    found = subjects.choose_all(fruit.context, frames, 6)
    assert [s.sampled_by for s in found] == [s.pair for s in found]
    assert [s.with_sheets for s in found] == [True, False]
    for subject in found:
        assert subject.corpus == subject.pair
        for layer in subject.layers:
            for unit in (0, layer.units - 1):
                assert subject.layer_of(layer.first + unit) is layer
        assert list(subject.firsts) == ["conv1", "fire4"]
        assert subject.ks.shape == (len(subject.classes), sum(x.units for x in subject.layers))


def test_what_was_looked_at_stays_in_the_report(
    fruit: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without what the network has no more."""
    units = {("tiny", "fire4", 3), ("tiny", "gone", 3), ("tiny", "conv1", 64), ("other", "x", 0)}
    asked = looks.Looks(frozenset(units), frozenset({("fruit", "pear"), ("fruit", "gone")}))
    frames = run_on_files(fruit.output)
    plain = subjects.choose_all(fruit.context, frames, 6)
    monkeypatch.setattr(looks, "read", lambda _: asked)
    more = subjects.choose_all(fruit.context, frames, 6)
    feature = more[0].firsts["fire4"] + 3
    assert [list(s.asked) for s in more] == [[feature], [feature]]
    assert all(feature in s.chosen.drawn for s in more)
    names = more[0].classes.set_index("class_id")["class_name"]
    for c, name in names.items():
        before, after = (len(s[0].chosen.present[c]) for s in (plain, more))
        assert (after > before) == (name == "pear")


@pytest.mark.parametrize("t_minus", [None, -0.25])
def test_thresholds_may_be_undefined(t_minus: float | None) -> None:
    rows = [("one", "set", 0.5, t_minus), ("one", "other", 0.1, -0.1), ("two", "set", None, None)]
    frame = pd.DataFrame(rows, columns=["network", "dataset", "t_plus", "t_minus"])
    assert subjects._thresholds(frame, ONE) == (0.5, t_minus)
    assert subjects._thresholds(frame, TWO) == (None, None)


def test_the_largest_dataset_stands_for_layers() -> None:
    rows = [("one", "b", 7), ("one", "a", 7), ("one", "c", 3), ("two", "c", 3)]
    frame = pd.DataFrame(rows, columns=["network", "dataset", "n_images"])
    assert subjects._largest(frame) == {"one": "a", "two": "c"}
