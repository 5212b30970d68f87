"""What can go wrong, by exit code.

Everything a user can mend is a :class:`KdssparkError`: its text is one line that says what was
expected and what came, and the command line prints it without a traceback.
"""

from __future__ import annotations


class KdssparkError(Exception):
    """The run failed for a reason the user can mend (exit code 1)."""

    exit_code = 1


class ConfigError(KdssparkError):
    """The command or the configuration is wrong (exit code 2)."""

    exit_code = 2


class DatasetError(KdssparkError):
    """A dataset cannot be read as its layout says: folder, manifest or ready-made embeddings."""


class WeightsError(KdssparkError):
    """A state dict is missing, unsafe to read, or does not fit the architecture."""


class ImageError(KdssparkError):
    """One image cannot be read; becomes a row of ``failures``, never the end of a run.

    ``stage`` is where it happened: ``read`` (fetching the bytes) or ``decode``.
    """

    def __init__(self, stage: str, error: str, message: str) -> None:
        super().__init__(stage, error, message)
        self.stage = stage
        self.error = error
        self.message = message

    def __str__(self) -> str:
        return f"{self.stage}: {self.error}: {self.message}"


class PlacementError(KdssparkError):
    """Tasks and GPUs do not fit: two tasks on one GPU, or a GPU that torch cannot use.

    Ends a stage at once, since its other tasks are placed in the same way.
    """


class StalledError(KdssparkError):
    """No task has ended for ``spark.stalled_after``, and ``spark.when_stalled`` is ``fail``."""


class StartError(KdssparkError):
    """Spark did not start, and no setting of the configuration is known to be to blame."""


class InvariantError(KdssparkError):
    """A finished table contradicts another: a defect of the program or damage to its files."""


class LockedError(KdssparkError):
    """Another run is writing to the same output."""


class TooManyFailuresError(KdssparkError):
    """Finished, but more images failed than ``embed.max_failures`` allows (exit code 3)."""

    exit_code = 3
