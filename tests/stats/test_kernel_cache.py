"""Compiled code in processes of their own over one cache, and entries that must not be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import kdsspark
from kdsspark.stats import compiled, histograms, kernel_cache
from tests.stats.kernel_examples import EXAMPLES, kernels, values_of

PACKAGE = Path(kdsspark.__file__).parent
ROOT = PACKAGE.parent


# -- every kernel, in processes of their own ---------------------------------------------------


def start(names: list[str], cache: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.stats.kernel_examples", *names]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def results(program: subprocess.Popen[str]) -> list[dict[str, Any]]:
    output, _ = program.communicate(timeout=300)
    assert program.returncode == 0
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.cluster
def test_processes_that_share_a_cache_in_either_order_get_the_same_values(tmp_path: Path) -> None:
    expected = {name: values_of(name) for name in EXAMPLES}
    forward, backward = list(EXAMPLES), list(reversed(EXAMPLES))
    caches = tmp_path / "first", tmp_path / "second"
    programs = [start(forward, caches[0]), start(backward, caches[1])]
    for program in programs:
        cold = results(program)
        assert {each["name"]: each["values"] for each in cold} == expected
        compiled_once = sorted(kernel for each in cold for kernel in each["compiled"])
        assert compiled_once == sorted(kernels())
    warm = results(start(backward, caches[0]))
    assert {each["name"]: each["values"] for each in warm} == expected
    assert [each["compiled"] for each in warm] == [[]] * len(EXAMPLES)
    assert {kernel for each in warm for kernel in each["loaded"]} == kernels().keys()


# -- entries that must not be used -------------------------------------------------------------

CODES = np.array([[0, 1, 1]], np.uint8)
COUNT: Any = histograms._count


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setattr(kernel_cache, "cache_directory", lambda: directory)
    return directory


def count(codes: Any = CODES) -> str:
    """What a new process would do: "compiled" or "loaded"; the counts are right in any case."""
    kernel: Any = compiled.compiled(COUNT.py_func)
    counts = np.zeros((1, 2), np.int32)
    kernel(codes, np.zeros(3, np.uint32), 2, counts)
    assert counts.tolist() == [[1, 2]]
    hits, misses = (sum(c.values()) for c in (kernel.stats.cache_hits, kernel.stats.cache_misses))
    assert hits + misses == 1
    return "loaded" if hits else "compiled"


def entry(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut within the checksum": lambda content: content[:10],
    "cut after the checksum": lambda content: content[:32],
    "cut in half": lambda content: content[: len(content) // 2],
    "cut by one byte": lambda content: content[:-1],
    "too long": lambda content: content + b"\0",
    "garbage": lambda content: np.random.default_rng(0).bytes(len(content)),
    "one bit flipped": flipped,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_entry_is_compiled_again_and_replaced(
    damage: Callable[[bytes], bytes], directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert count() == "compiled"
    path = entry(directory)
    path.write_bytes(damage(path.read_bytes()))
    assert not caplog.messages
    assert count() == "compiled"
    assert [message for message in caplog.messages if f"{path} is not usable" in message]
    assert count() == "loaded"
    assert entry(directory) == path


@pytest.mark.usefixtures("directory")
def test_an_entry_that_this_numba_cannot_read_is_compiled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        # The checksum is right, the content is not.
        patched.setattr(kernel_cache.serialize, "dumps", lambda _: b"from elsewhere")
        assert count() == "compiled"
    assert count() == "compiled"
    assert count() == "loaded"


def test_an_entry_of_other_types_is_not_used_under_a_wrong_name(directory: Path) -> None:
    assert count() == "compiled"
    first = entry(directory)
    assert count(CODES.astype(np.uint16)) == "compiled"
    (second,) = set(directory.iterdir()) - {first}
    second.write_bytes(first.read_bytes())
    assert count(CODES.astype(np.uint16)) == "compiled"
    assert [count(), count(CODES.astype(np.uint16))] == ["loaded", "loaded"]


@pytest.mark.parametrize(
    ("owner", "name"),
    [(numba, "__version__"), (kernel_cache.llvmlite, "__version__"), (numba.config, "CPU_NAME")],
    ids=["numba", "llvmlite", "CPU"],
)
def test_another_compiler_or_cpu_has_entries_of_its_own(
    owner: Any, name: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert count() == "compiled"
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, "generic")
        assert [count(), count()] == ["compiled", "loaded"]
    assert count() == "loaded"
    assert len(list(directory.iterdir())) == 2


SOURCE = """
def helper(x):
    return x + 1

def kernel(x):
    return FACTOR * helper(x) - 5
"""


def build(source: str, factor: float) -> Any:
    """A kernel of a file that has this source; its name is always the same."""
    names: dict[str, Any] = {"__name__": "module", "FACTOR": factor, "np": np}
    exec(source, names)
    names["helper"] = compiled.compiled_helper(names["helper"])
    return compiled.compiled(names["kernel"])


@pytest.mark.parametrize(
    ("old", "new", "factor", "expected"),
    [
        ("", "", 2, 17),
        ("- 5", "- 6", 2, 16),
        ("- 5", "+ 5", 2, 27),
        ("x + 1", "x + 2", 2, 19),
        ("", "", 3, 28),
        ("", "", np.float32(2), 17),
    ],
)
def test_a_kernel_that_changed_has_an_entry_of_its_own(
    old: str, new: str, factor: float, expected: int, directory: Path
) -> None:
    assert build(SOURCE, 2)(10) == 17
    kernel = build(SOURCE.replace(old, new), factor)
    assert kernel(10) == expected
    unchanged = (old, type(factor), factor) == ("", int, 2)
    assert bool(kernel.stats.cache_hits) == unchanged
    assert len(list(directory.iterdir())) == 2 - unchanged
    assert build(SOURCE, 2)(10) == 17


LARGE = np.arange(1 << 20)


def pick(i: int) -> Any:
    return LARGE[i]


def test_code_with_addresses_of_this_process_is_not_kept(directory: Path) -> None:
    assert compiled.compiled(pick)(7) == 7
    assert not directory.exists()


# -- where entries are kept --------------------------------------------------------------------


def test_it_works_with_nowhere_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kernel_cache, "cache_directory", lambda: None)
    assert [count(), count()] == ["compiled", "compiled"]
    assert not caplog.messages
    (tmp_path / "file").touch()
    monkeypatch.setattr(kernel_cache, "cache_directory", lambda: tmp_path / "file" / "cache")
    assert [count(), count()] == ["compiled", "compiled"]
    assert any("compiled code is not kept" in message for message in caplog.messages)


PROBE = """
import numpy as np
from kdsspark.stats import histograms
codes = np.array([[0, 1]], np.uint8)
print(histograms.class_histograms(codes, np.array([0, 0], np.int32), 1, 2).tolist())
print(sum(histograms._count.stats.cache_hits.values()), histograms.__file__)
"""


def probe(path: Path, **environment: str) -> tuple[int, str]:
    """Count images with the package at ``path``: (kernels from the cache, file of the code)."""
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
    counts, origin = run.stdout.splitlines()
    assert counts == "[[[1, 1]]]"
    hits, file = origin.split()
    return int(hits), file


def zipped(path: Path) -> Path:
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for file in PACKAGE.rglob("*.py"):
            archive.write(file, Path("kdsspark") / file.relative_to(PACKAGE))
    return path


def test_a_zip_at_another_path_uses_the_entries_without_a_home(tmp_path: Path) -> None:
    no_home = tmp_path / "file"
    no_home.touch()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    hits = []
    for run in ("first", "second"):
        path = zipped(tmp_path / run / "kdsspark.zip")
        hit, file = probe(path, HOME=str(no_home), TMPDIR=str(temporary))
        assert file.startswith(str(path))
        hits.append(hit)
    assert hits == [0, 1]
    (cache,) = temporary.iterdir()
    assert cache.stat().st_mode & 0o077 == 0


def test_numba_cache_dir_overrules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernel_cache, "_candidates", lambda: [])
    assert kernel_cache.cache_directory.__wrapped__() == tmp_path


def test_directories_are_named_after_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, second = kernel_cache._candidates()
    assert first == tmp_path / "kdsspark" / kdsspark.__version__
    assert second.name == f"kdsspark-{os.getuid()}-{kdsspark.__version__}"


def test_a_directory_others_can_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a" / "first", tmp_path / "second"
    monkeypatch.setattr(kernel_cache, "_candidates", lambda: [first, second])
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    find = kernel_cache.cache_directory.__wrapped__
    assert find() == first
    assert first.stat().st_mode & 0o777 == 0o700
    first.chmod(0o777)
    assert find() == second
    second.rmdir()
    (tmp_path / "third").mkdir(mode=0o700)
    second.symlink_to(tmp_path / "third")  # anyone may have made the link
    assert find() is None
    second.unlink()
    second.touch()  # not a directory
    assert find() is None
