"""What Spark needs of the machine that it starts on (driver).

Users' environments hold what other programs need: a ``SPARK_HOME`` of a Spark that was removed,
the Python of another project, a locale without UTF-8. Containers lack what every desk has: a home
directory, a name for the user, a host name that resolves. Where a default makes Spark start, this
module gives it; otherwise one line names the variable, its value and what is expected.
"""

from __future__ import annotations

import atexit
import functools
import locale
import os
import pwd
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

import pyspark
from pyspark.find_spark_home import _find_spark_home

from kdsspark.errors import KdssparkError

_OLDEST_JAVA: Final = 17
_LOOPBACK: Final = "127.0.0.1"
_SHELL: Final = "pyspark-shell"  # ends the arguments by which PySpark starts a JVM


def check() -> None:
    """Raise :class:`KdssparkError` where Spark cannot start: no Java, an old one, or no bash."""
    home, path = os.environ.get("JAVA_HOME"), os.environ.get("PATH", "")
    java = shutil.which("java", path=f"{home}/bin" if home else path)
    where = f"JAVA_HOME={home}" if home else f"PATH={path}"
    version = _java_version(java) if java else "none"
    if not java or _is_old(version):
        raise KdssparkError(
            f"Java {_OLDEST_JAVA} or newer must be in JAVA_HOME or, if that is not set, on PATH, "
            f"got {version} by {where}"
        )
    if not shutil.which("bash"):
        raise KdssparkError(f"bash must be on PATH, since it starts Spark, got PATH={path}")


def check_files(output: str) -> None:
    """Raise :class:`KdssparkError` where temporary files, or those of ``output``, cannot be made.

    Under spark-submit, Java has started before this program, with the user's locale.
    """
    given = os.environ.get("TMPDIR")
    try:
        used = tempfile.gettempdir()
    except OSError as error:
        raise KdssparkError(
            f"TMPDIR must be a folder that can be written, got {given or 'nothing'}: {error}"
        ) from error
    # Python goes on to the next folder without a word.
    if given and Path(given).resolve() != Path(used).resolve():
        _note(f"TMPDIR={given} is not used: it must be a folder that can be written; {used} is")
    if "PYSPARK_GATEWAY_PORT" in os.environ and not output.isascii() and not _java_has_utf8():
        raise KdssparkError(
            f"LC_ALL must be a locale with UTF-8, such as C.UTF-8, for Java to find {output}, "
            f"got {os.environ.get('LC_ALL', 'nothing')}"
        )


def free_space(output: str | None) -> str:
    """What is free where this process writes: ``; free: 0 MiB in /tmp (TMPDIR), ...``."""
    folders = {tempfile.gettempdir(): " (TMPDIR)"}
    if output and Path(output).exists():
        folders[output] = " (output)"
    free = (f"{shutil.disk_usage(f).free >> 20} MiB in {f}{name}" for f, name in folders.items())
    return f"; free: {', '.join(free)}"


def _java_version(java: str) -> str:
    """What the file ``release`` beside ``bin`` says, for starting Java to ask takes a second."""
    try:
        release = Path(java).resolve().parents[1].joinpath("release").read_text()
    except OSError:
        return ""
    found = re.search(r'^JAVA_VERSION="([^"]+)"', release, re.MULTILINE)
    return found[1] if found else ""


def _is_old(version: str) -> bool:
    major = re.match(r"(?:1\.)?(\d+)", version)  # Java 8 calls itself 1.8
    return major is not None and int(major[1]) < _OLDEST_JAVA


def is_local(master: str) -> bool:
    """Whether the executors of a master run on this machine."""
    return master.startswith("local")


def variables(master: str) -> dict[str, str]:
    """The environment variables that Spark starts with in place of the user's."""
    wanted = {"SPARK_HOME": _spark_home(), "PYSPARK_PYTHON": python(master)}
    if is_local(master):
        wanted["SPARK_LOCAL_IP"] = _LOOPBACK  # or Spark looks up the host name
    arguments = os.environ.get("PYSPARK_SUBMIT_ARGS", "").strip()
    if arguments and not arguments.endswith(_SHELL):
        wanted["PYSPARK_SUBMIT_ARGS"] = f"{arguments} {_SHELL}"
    if sys.getfilesystemencoding() == "utf-8" and not _java_has_utf8():
        wanted["LC_ALL"] = "C.UTF-8"
    return wanted


def python(master: str) -> str:
    """The interpreter of the workers: this one, or on a cluster what PYSPARK_PYTHON says."""
    given = os.environ.get("PYSPARK_PYTHON")
    if not given or not is_local(master):
        return given or sys.executable
    if not _is_this_python(shutil.which(given)):
        _note(f"PYSPARK_PYTHON={given} is not used: workers on this machine run {sys.executable}")
    return sys.executable


def _is_this_python(found: str | None) -> bool:
    """The same file in the same folder: the Pythons of virtual environments link to one file."""
    this = Path(sys.executable)
    return found is not None and Path(found).parent == this.parent and this.samefile(found)


def _spark_home() -> str:
    """The Spark that fits this pyspark: SPARK_HOME if it does, else the one in the package."""
    given = os.environ.get("SPARK_HOME")
    if given and _fits(given):
        return given
    os.environ.pop("SPARK_HOME", None)
    try:
        found = _find_spark_home()
    except SystemExit:
        raise KdssparkError(
            f"SPARK_HOME must lead to Spark {pyspark.__version__}, got {given or 'nothing'}"
        ) from None
    if given:
        _note(f"SPARK_HOME={given} is not used: it must lead to Spark {pyspark.__version__}")
    return found


def _fits(home: str) -> bool:
    """Whether there is a Spark with the first two numbers of the version of pyspark."""
    core = re.compile(r"spark-core_[\d.]+-(\d+\.\d+)\.")
    versions = {match[1] for jar in Path(home, "jars").glob("*") if (match := core.match(jar.name))}
    starts = os.access(Path(home, "bin", "spark-submit"), os.X_OK)
    return starts and pyspark.__version__.startswith(tuple(f"{v}." for v in versions))


def _note(line: str) -> None:
    print(f"kdsspark: {line}", file=sys.stderr)


def _java_has_utf8() -> bool:
    """Whether Java takes file names for UTF-8; Python does so in the locale C, too."""
    return locale.getencoding().lower().replace("-", "") == "utf8"


def java_options() -> str:
    """Java's options for its temporary files and, where the user has no home, for a home.

    A JVM that has to end while it starts leaves folders behind, so they lie in a folder of ours.
    """
    options = [f"-Djava.io.tmpdir={own_folder()}"]
    user = _user()
    if user is None or not os.access(user.pw_dir, os.W_OK):
        options.append(f"-Duser.home={own_folder()}")
    return " ".join(map(shlex.quote, options))


def find_a_home() -> None:
    """Give matplotlib, which keeps a list of fonts at home, a folder where there is no home."""
    try:
        at_home = os.access(Path.home(), os.W_OK)
    except RuntimeError:
        at_home = False
    if not at_home:
        os.environ.setdefault("MPLCONFIGDIR", own_folder())


@functools.cache
def own_folder() -> str:
    """A folder for as long as this process runs: Spark's temporary files and its sockets."""
    folder = tempfile.mkdtemp(prefix="kdsspark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def nameless_user() -> str | None:
    """A name for a user whose number has none in this container; None where there is a name."""
    if _user() is not None:
        return None
    return os.environ.get("HADOOP_USER_NAME") or os.environ.get("USER") or f"uid-{os.getuid()}"


def _user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        return None
