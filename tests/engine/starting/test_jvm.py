"""What the JVM writes, and who sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOGGING = """
import subprocess
import sys
from kdsspark.engine.starting import jvm

child = [sys.executable, "-S", "-c", "import sys; print('from a child', file=sys.stderr)"]
with jvm.output(verbose=sys.argv[1] == "loud") as output:
    subprocess.run(child, check=True, stderr=output)
print("from this process", file=sys.stderr)
if sys.argv[1] == "keep":
    print(jvm.keep_log())
"""


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("loud", "from a child\nfrom this process\n"),
        ("quiet", "from this process\n"),
        ("keep", "from this process\n"),
    ],
    ids=["loud", "quiet", "keep"],
)
def test_what_children_write_goes_to_a_file_that_is_kept_when_somebody_is_to_read_it(
    tmp_path: Path, kind: str, shown: str
) -> None:
    program = [sys.executable, "-c", LOGGING, kind]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(program, env=env, check=True, capture_output=True, text=True)
    assert done.stderr == shown
    left = {str(path): path.read_text() for path in tmp_path.iterdir()}
    assert left == ({done.stdout.strip(): "from a child\n"} if kind == "keep" else {})
