"""What make does before there is an environment: looking for a Java and a Python."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("sh", "sed", "cat", "grep", "tail", "mktemp", "rm", "mkdir", "chmod")
APT = "apt-get satisfy -y --no-install-recommends 'openjdk-17-jre-headless | openjdk-21"


class Machine:
    """A machine on whose PATH there is nothing but a few tools and what a test puts there."""

    def __init__(self, root: Path) -> None:
        self.root, self.bin = root, root / "bin"
        self.environment = {"PATH": str(self.bin)}
        self.bin.mkdir()
        for tool in TOOLS:
            where = shutil.which(tool)
            assert where
            (self.bin / tool).symlink_to(where)
        self.command("id", "echo 1000")

    def command(self, name: str, body: str) -> None:
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def java(self, version: str, name: str = "java") -> None:
        self.command(name, f"echo 'openjdk version \"{version}\" 2026-01-20' >&2")

    def java_home(self, version: str) -> None:
        self.java(version, "../jdk/bin/java")
        self.environment["JAVA_HOME"] = str(self.root / "jdk")

    def installer(self, name: str, version: str = "17.0.15") -> None:
        """A package manager that only root may run, and that puts a Java on PATH."""
        self.command(
            name,
            f"""[ "$(id -u)" = 0 ] || {{ echo are you root? >&2; exit 1; }}
            echo "$@" >>{self.root}/installed
            printf '#!/bin/sh\\necho openjdk version \\\\"{version}\\\\" >&2\\n' >{self.bin}/java
            chmod +x {self.bin}/java""",
        )

    @property
    def installed(self) -> bool:
        return (self.root / "installed").exists()

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.bin / "sh", ROOT / "scripts" / script, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("version", ["17", "17.0.15", "21.0.2", "25-ea"])
def test_new_java_is_fine_and_nothing_is_said(machine: Machine, version: str) -> None:
    machine.java(version)
    done = machine.run("java-check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22", "16"])
def test_old_java_is_one_line_with_the_command(machine: Machine, version: str) -> None:
    machine.java(version)
    machine.installer("apt-get")
    machine.command("sudo", "exit 1")
    done = machine.run("java-check")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"Java 17 or newer, found Java {version}: sudo apt-get update && sudo {APT}" in (
        done.stderr
    )
    assert not machine.installed


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt-get", f"sudo {APT}"),
        ("dnf", "sudo dnf install -y java-21-openjdk-headless"),
        ("brew", 'brew install openjdk@17 && export JAVA_HOME="$(brew --prefix openjdk@17)"'),
        (None, "install OpenJDK 17"),
    ],
)
def test_no_java_is_one_line_for_the_platform(
    machine: Machine, manager: str | None, command: str
) -> None:
    if manager:
        machine.installer(manager)
    done = machine.run("java-check")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "found none: " in done.stderr
    assert command in done.stderr
    assert not machine.installed


def test_a_java_that_cannot_run_is_none(machine: Machine) -> None:
    machine.command("java", "echo Unable to locate a Java Runtime. >&2; exit 1")
    assert "found none" in machine.run("java-check").stderr


def as_root(machine: Machine) -> None:
    machine.command("id", "echo 0")


def with_sudo(machine: Machine) -> None:
    machine.command("id", 'echo "${FAKE_UID:-1000}"')
    machine.command("sudo", '[ "$1" != -n ] || shift; FAKE_UID=0 "$@"')
    machine.command("true", "exit 0")


@pytest.mark.parametrize("become", [as_root, with_sudo])
@pytest.mark.parametrize("manager", ["apt-get", "dnf"])
@pytest.mark.parametrize("old", [None, "11.0.22"])
def test_java_is_installed_where_nobody_need_be_asked(
    machine: Machine, become: Callable[[Machine], None], manager: str, old: str | None
) -> None:
    if old:
        machine.java(old)
    become(machine)
    machine.installer(manager)
    done = machine.run("java-check")
    assert done.returncode == 0, done.stderr
    assert machine.installed
    assert done.stderr.count("\n") == 1
    assert "installing it: " in done.stderr
    assert machine.run("java-check").stderr == ""


def test_failing_installation_is_said(machine: Machine) -> None:
    as_root(machine)
    machine.command("apt-get", "echo Temporary failure resolving; exit 100")
    done = machine.run("java-check")
    assert done.returncode == 1
    assert "installing Java failed: Temporary failure resolving" in done.stderr


def test_installed_but_hidden_by_an_older_java_is_said(machine: Machine) -> None:
    as_root(machine)
    machine.installer("apt-get", version="11.0.22")
    done = machine.run("java-check")
    assert done.returncode == 1
    assert "PATH finds 11.0.22: set JAVA_HOME" in done.stderr


def test_java_home_comes_before_path(machine: Machine) -> None:
    machine.java("11.0.22")
    machine.java_home("17.0.15")
    assert machine.run("java-check").returncode == 0


@pytest.mark.parametrize("become", [as_root, with_sudo])
def test_old_java_home_is_the_users_to_mend(
    machine: Machine, become: Callable[[Machine], None]
) -> None:
    machine.java("21.0.2")
    machine.java_home("11.0.22")
    become(machine)
    machine.installer("apt-get")
    done = machine.run("java-check")
    assert done.returncode == 1
    assert f"found Java 11.0.22 in JAVA_HOME={machine.root}/jdk" in done.stderr
    assert "unset JAVA_HOME" in done.stderr
    assert not machine.installed


def fake_python(version: tuple[int, int], venv: bool = True) -> str:
    """Answers the three questions of find-python without a Python."""
    return f"""case $2 in
    *print*) echo {version[0]}.{version[1]} ;;
    *exit*) [ {int(version >= (3, 11))} = 1 ] ;;
    *venv*) [ {int(venv)} = 1 ] ;;
    *) exit 9 ;;
    esac"""


def test_the_usual_python_is_taken_if_it_is_new_enough(machine: Machine) -> None:
    machine.command("python3", fake_python((3, 12)))
    machine.command("python3.13", fake_python((3, 13)))
    assert machine.run("find-python").stdout == "python3\n"


def test_old_stubs_and_incomplete_pythons_are_passed_over(machine: Machine) -> None:
    machine.command("python3", fake_python((3, 9)))
    machine.command("python3.13", "echo not selected >&2; exit 127")
    machine.command("python3.12", fake_python((3, 12), venv=False))
    machine.command("python3.11", fake_python((3, 11)))
    done = machine.run("find-python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "python3.11\n", "")


@pytest.mark.parametrize(
    ("pythons", "message"),
    [
        ({}, "Python 3.11 or newer is needed, found none: "),
        ({"python3": fake_python((3, 9))}, "Python 3.11 or newer is needed, found 3.9: "),
        (
            {"python3": fake_python((3, 11), venv=False)},
            "Python 3.11 has no venv module: sudo apt-get install python3.11-venv",
        ),
    ],
)
def test_no_python_is_one_line(machine: Machine, pythons: dict[str, str], message: str) -> None:
    for name, body in pythons.items():
        machine.command(name, body)
    done = machine.run("find-python")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_a_chosen_python_is_the_only_candidate(machine: Machine) -> None:
    machine.command("python3", fake_python((3, 12)))
    machine.command("old", fake_python((3, 9)))
    assert machine.run("find-python", "old").returncode == 1


def test_make_help_lists_the_targets() -> None:
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    listed = {line.split()[0] for line in done.stdout.splitlines()}
    assert listed >= {"demo", "test", "lint", "types", "check", "bench", "clean"}


@pytest.mark.parametrize("namespaces", [True, False])
def test_a_bare_machine_lacks_nearly_everything(machine: Machine, namespaces: bool) -> None:
    """Where user namespaces can be made, the user has no name, either."""
    unshare = shutil.which("unshare")
    machine.command("unshare", f'exec {unshare} "$@"' if namespaces and unshare else "exit 1")
    for tool in ("env", "hostname"):
        (machine.bin / tool).symlink_to(shutil.which(tool) or "/nowhere")
    machine.environment |= {"HOME": "/home/ann", "USER": "ann", "LANG": "de_DE.UTF-8"}
    done = machine.run("bare", "sh", "-c", "umask; env")
    assert done.returncode == 0
    mask, *variables = done.stdout.splitlines()
    assert mask == "0077"
    assert not {"HOME", "USER", "LANG"} & {line.partition("=")[0] for line in variables}
    assert {f"PATH={machine.bin}", "LC_ALL=C", "http_proxy=http://127.0.0.1:9"} <= {*variables}
    if not namespaces:
        assert done.stderr.startswith("scripts/bare: no user namespaces here")


@pytest.mark.parametrize(
    ("variables", "images", "options"),
    [
        ([], "out/demo-corpus", "conf/demo.yaml"),
        (["NETWORK=vgg16"], "out/demo-few --few", "conf/demo-vgg16.yaml"),
        (
            ["WEIGHTS=IMAGENET1K_V1"],
            "out/demo-few --few",
            "conf/demo-vgg16.yaml --set networks.0.weights=IMAGENET1K_V1 "
            "--set output=out/demo-vgg16-IMAGENET1K_V1",
        ),
        (
            ["NETWORK=squeezenet", "WEIGHTS=runs/a.pth"],
            "out/demo-corpus",
            "conf/demo.yaml --set networks.0.weights=runs/a.pth "
            "--set output=out/demo-squeezenet-a.pth",
        ),
    ],
)
def test_make_demo_runs(variables: list[str], images: str, options: str) -> None:
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    command = ["make", "--no-print-directory", "--dry-run", "demo", *variables]
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        command, cwd=ROOT, env=outside, capture_output=True, text=True, timeout=300
    )
    paints, runs = map(shlex.split, done.stdout.strip().splitlines()[-2:])
    assert paints[1:] == ["-m", "demo", *images.split()]
    assert runs[1:] == ["run", "--config", *shlex.split(options)]
