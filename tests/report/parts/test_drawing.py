"""Figures as files: SVG, PNG and data, under names that no other figure has."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from kdsspark.report.data import FeatureClass
from kdsspark.report.parts.drawing import Wanted, draw, draw_disagreement, draw_feature_class

BINS = pd.DataFrame({"lo": [0, 1, 2.0], "hi": [1, 2, 3.0], "inner": [0, 1, 3], "outer": [4, 3, 1]})


@pytest.mark.parametrize(("dataset", "size"), [("wood", "narrow"), (None, "wide")])
def test_a_figure_is_svg_png_and_data(
    frame: Callable[[str], pd.DataFrame], dataset: str | None, size: str
) -> None:
    rows = frame("figure10")
    rows = rows[rows["dataset"] == dataset] if dataset else rows
    drawn = draw(Wanted("figure10", rows, "figures/n/figure10"))
    assert (drawn.stem, drawn.size) == ("figures/n/figure10", size)
    assert set(drawn.files) == {f"{drawn.stem}.{suffix}" for suffix in ("svg", "png", "csv")}
    assert b"<svg" in drawn.files[f"{drawn.stem}.svg"]
    assert drawn.files[f"{drawn.stem}.png"].startswith(b"\x89PNG")
    assert len(pd.read_csv(io.BytesIO(drawn.files[f"{drawn.stem}.csv"]))) == len(rows)


def test_a_figure_of_a_page_alone_is_svg(frame: Callable[[str], pd.DataFrame]) -> None:
    rows = frame("figure10")
    drawn = draw(Wanted("figure10", rows[rows["dataset"] == "wood"], "x", to_take=False))
    assert set(drawn.files) == {"x.svg"}


def test_figure_1_has_its_curves_and_its_distance() -> None:
    shown = FeatureClass("net", "d", "fc6", 7, "a/b", BINS)
    drawn = draw_feature_class(shown)
    assert drawn.ks == 0.625
    assert drawn.shown is shown
    data = pd.read_csv(io.BytesIO(drawn.drawn.files[f"{drawn.drawn.stem}.csv"]))
    assert data["cumulative_outer"].tolist() == [0.5, 0.875, 1]
    other = draw_feature_class(FeatureClass("net", "d", "fc6", 7, "a b", BINS.assign(outer=0)))
    assert other.ks is None
    assert other.drawn.stem != drawn.drawn.stem
    assert drawn.drawn.stem.startswith("figures/net/figure1-")


def test_a_disagreement_has_the_name_of_its_distance() -> None:
    key = {"network": "net", "dataset": "d", "layer": "x", "unit": 0, "class_id": 0}
    ranks = {"class_name": "c", "distance": "auc", "value": 0.5, "ks": 0.6, "rank": 0, "rank_ks": 1}
    drawn = draw_disagreement(BINS.assign(**key, **ranks))
    assert drawn.stem == "figures/net/disagreement-auc"
    data = pd.read_csv(io.BytesIO(drawn.files[f"{drawn.stem}.csv"]))
    assert data["inner"].tolist() == [0, 1, 3]


KILLED = """
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from kdsspark.report.parts import drawing

pool = ProcessPoolExecutor(1, multiprocessing.get_context("forkserver"), drawing._begin)
print(pool.submit(os.getpid).result(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def is_running(pid: str) -> bool:
    """Not if it has ended, though nobody asked how."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True)
    return bool(done.stdout.strip()) and not done.stdout.startswith("Z")


def test_a_process_that_draws_ends_with_the_driver(tmp_path: Path) -> None:
    with (tmp_path / "printed").open("w") as printed:  # a pipe stays open as long as it runs
        done = subprocess.run([sys.executable, "-c", KILLED], stdout=printed)
    assert done.returncode == -9
    pid = (tmp_path / "printed").read_text().strip()
    end = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not is_running(pid)
