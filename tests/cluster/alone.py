"""A cluster that a single run has to itself: ``python -m tests.cluster.alone WORKPLACE FOLDER``.

Submits the ``study.yaml`` of a workplace, passes on what it writes and its exit code. All processes
are children of this one and see the disks that it sees.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cluster.standalone import environment, standalone
from tests.cluster.workplace import SECONDS, Workplace


def main(workplace: Workplace, folder: Path) -> int:
    """The exit code of the run; the cluster writes into the folder."""
    with standalone(folder, workers=2, cores=1, env=workplace.env) as cluster:
        return subprocess.run(
            workplace.command(cluster, "run"),
            cwd=workplace.folder,
            env=environment(workplace.env),
            timeout=SECONDS,
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main(Workplace(Path(sys.argv[1])), Path(sys.argv[2])))
