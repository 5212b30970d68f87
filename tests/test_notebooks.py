"""The notebooks of the documentation run from the first cell to the last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from tests.studies import image_config, run_here, write_images

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"


def _cells(name: str, kind: str = "code") -> list[str]:
    read = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in read["cells"] if cell["cell_type"] == kind]


def _executed(name: str, replaced: dict[str, str] | None = None) -> dict[str, Any]:
    """The names that a notebook leaves; ``replaced`` has texts that the test puts in."""
    names: dict[str, Any] = {}
    with mpl.rc_context({"figure.max_open_warning": 0}):
        plt.switch_backend("agg")
        for number, source in enumerate(_cells(name)):
            for text, other in (replaced or {}).items():
                source = source.replace(text, other)
            exec(compile(source, f"{name}.ipynb, cell {number}", "exec"), names)
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
        plt.close("all")
    return names


def test_notebooks_are_stored_without_outputs() -> None:
    found = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    assert found == ["array", "tables"]
    for name in found:
        read = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
        code = [cell for cell in read["cells"] if cell["cell_type"] == "code"]
        assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)


def test_from_an_array_to_thresholds_and_figures(capsys: pytest.CaptureFixture[str]) -> None:
    names = _executed("array")
    # The pixels of the left edge are empty, so they are nothing to any digit.
    assert names["ks"].shape == (64, 10)
    assert not names["relevant"][[0, 32, 39]].any()
    assert names["relevant"].sum() > 40
    lines = capsys.readouterr().out.splitlines()
    accuracies = [float(line.rpartition(" ")[2]) for line in lines]
    assert len(accuracies) == 3
    assert 0.6 < accuracies[0] < accuracies[2]


def test_from_tables_to_the_best_units_of_a_class(tmp_path: Path) -> None:
    write_images(tmp_path / "objects", {"apple": 6, "fish": 5, "house": 4})
    config = image_config(tmp_path / "out", {"objects": tmp_path / "objects"})
    run_here(config, "index embed measure summarize exemplars")
    names = _executed("tables", {"out/demo": str(tmp_path / "out")})
    best, ks = names["best"], names["ks"]
    assert len(best) == 10
    assert best["ks"].tolist() == sorted(ks["ks"], reverse=True)[:10]
    assert names["exemplars"]["rank"].tolist() == list(range(1, 10))
    assert names["shares"].to_numpy().any()
