from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import kdsspark
from kdsspark.errors import KdssparkError
from kdsspark.stats import compiled

PACKAGE = Path(kdsspark.__file__).parent

PROBE = """
import numpy as np
from kdsspark.stats import histograms
codes = np.array([[0, 1]], np.uint8)
print(histograms.class_histograms(codes, np.array([0, 0], np.int32), 1, 2).tolist())
print(sum(histograms._count.stats.cache_hits.values()), histograms.__file__)
"""


def probe(path: Path, **environment: str) -> list[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XDG_", "PYTHON"))}
    run = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=kept | {"PYTHONPATH": str(path)} | environment,
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def zipped(path: Path) -> Path:
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for file in PACKAGE.rglob("*.py"):
            archive.write(file, Path("kdsspark") / file.relative_to(PACKAGE))
    return path


def test_a_zip_at_another_path_finds_what_was_compiled_without_a_home(tmp_path: Path) -> None:
    no_home = tmp_path / "file"
    no_home.touch()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    hits = []
    for run in ("first", "second"):
        path = zipped(tmp_path / run / "kdsspark.zip")
        result, where = probe(path, HOME=str(no_home), TMPDIR=str(temporary))
        assert result == "[[[1, 1]]]"
        assert str(path) in where
        hits.append(int(where.split()[0]))
    assert hits == [0, 1]
    (cache,) = temporary.iterdir()
    assert cache.stat().st_mode & 0o077 == 0


def test_it_works_with_nowhere_to_write(tmp_path: Path) -> None:
    path = zipped(tmp_path / "only" / "kdsspark.zip")
    nowhere = tmp_path / "file"
    nowhere.touch()
    environment = {"XDG_CACHE_HOME": str(nowhere), "HOME": str(nowhere)}
    # The system's temporary directory is always found, so the user's own is put out of reach.
    program = PROBE.replace(
        "import numpy",
        "import tempfile; tempfile.gettempdir = lambda: '/dev/null'\nimport numpy",
        1,
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(os.environ) | environment | {"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith("[[[1, 1]]]")


def test_numba_cache_dir_overrules(tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    probe(PACKAGE.parent, NUMBA_CACHE_DIR=str(chosen))
    assert list(chosen.rglob("*.nbi"))


def test_a_directory_others_can_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    find = compiled.cache_directory.__wrapped__
    first = find()
    assert first == tmp_path / "kdsspark" / kdsspark.__version__
    first.chmod(0o777)
    second = find()
    assert second is not None
    assert second.parent == tmp_path
    second.rmdir()
    second.symlink_to(first)
    assert find() is None


def test_a_missing_numba_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    kernel = compiled.compiled(lambda x: x)
    with pytest.raises(KdssparkError, match=r"^numba must be importable to measure, got: .*numba"):
        kernel(1)
