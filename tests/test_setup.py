"""scripts/setup and scripts/test as a newcomer meets them: in a bare copy, on machines that lack things."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLAIN_TOOLS = (
    *("bash", "env", "dirname", "cat", "cut", "mkdir", "rm", "flock", "sha256sum", "id"),
    *("head", "grep", "setpriv", "true"),
)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH folder with the plainest tools of any Debian and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in PLAIN_TOOLS:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout that is only scripts/setup, scripts/test and requirements that need no download."""
    folder = tmp_path / "project"
    (folder / "scripts").mkdir(parents=True)
    for name in ("setup", "test"):
        shutil.copy(ROOT / "scripts" / name, folder / "scripts" / name)
    for kind in ("demo", "dev"):
        (folder / f"requirements-{kind}.txt").write_text("# nothing\n")
    return folder


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def python_as(folder: Path, name: str) -> None:
    program(folder, name, f'#!/bin/sh\nexec {sys.executable} "$@"\n')


def run(machine: Path, project: Path, *argv: str, wait: bool = True) -> subprocess.Popen[str]:
    environment = {"PATH": str(machine), "HOME": os.environ.get("HOME", "/")}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [str(project / argv[0]), *argv[1:]], env=environment, stdout=pipe, stderr=pipe, text=True, cwd="/"
    )
    if wait:
        process.wait(60)
    return process


def said(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert out == ""  # the one JSON line of scripts/demo --once must stay alone
    return err


def test_a_machine_without_python_is_told_the_apt_line(machine: Path, project: Path) -> None:
    process = run(machine, project, "scripts/setup", "demo")
    assert said(process).splitlines() == [
        "setup: Python 3.11 or 3.12 is missing; "
        "on Debian 12, Ubuntu 24.04: sudo apt-get install python3 python3-venv"
    ]
    assert process.returncode == 1


def test_a_python_without_venv_is_told_the_apt_line(machine: Path, project: Path) -> None:
    program(machine, "python3", '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n')
    process = run(machine, project, "scripts/setup")
    assert "python3 cannot make virtual environments" in (text := said(process))
    assert "sudo apt-get install python3-venv" in text
    assert process.returncode == 1


def test_a_shim_that_does_not_run_is_passed_over(machine: Path, project: Path) -> None:
    program(machine, "python3.12", "#!/bin/sh\necho 'python3.12: command not found' >&2\nexit 127\n")
    python_as(machine, "python3.11")
    process = run(machine, project, "scripts/setup", "--python")
    out, err = process.communicate(timeout=60)
    assert (out.strip(), err) == (str(machine / "python3.11"), "")


def test_an_unknown_kind_is_refused(machine: Path, project: Path) -> None:
    process = run(machine, project, "scripts/setup", "prod")
    assert "usage: scripts/setup [demo|dev]" in said(process)
    assert process.returncode == 2


@pytest.mark.slow
def test_setup_works_only_when_something_changed_and_repairs_what_was_interrupted(machine: Path, project: Path) -> None:
    python_as(machine, "python3")
    assert "making .venv" in (first := said(run(machine, project, "scripts/setup", "demo")))
    assert "installing requirements-demo.txt" in first
    assert said(run(machine, project, "scripts/setup", "demo")) == ""

    (project / "requirements-demo.txt").write_text("# changed\n")
    assert "installing requirements-demo.txt" in (again := said(run(machine, project, "scripts/setup", "demo")))
    assert "making .venv" not in again
    assert "installing requirements-dev.txt" in said(run(machine, project, "scripts/setup", "dev"))
    assert said(run(machine, project, "scripts/setup", "demo")) == ""  # dev holds demo

    for pip in (project / ".venv").glob("lib/python3*/site-packages/pip/__main__.py"):
        pip.unlink()  # as a killed `python -m venv` leaves it
    assert "making .venv" in said(run(machine, project, "scripts/setup", "demo"))
    assert said(run(machine, project, "scripts/setup", "demo")) == ""


@pytest.mark.slow
def test_of_two_setups_at_once_one_works_and_the_other_waits(machine: Path, project: Path) -> None:
    python_as(machine, "python3")
    both = [run(machine, project, "scripts/setup", wait=False) for _ in range(2)]
    texts = sorted(said(process) for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert texts[0] == ""
    assert texts[1].count("making .venv") == 1


@pytest.mark.slow
def test_requirements_that_cannot_be_had_are_an_error_and_are_tried_again(machine: Path, project: Path) -> None:
    python_as(machine, "python3")
    said(run(machine, project, "scripts/setup"))
    (project / "requirements-demo.txt").write_text("petsong-no-such-package @ file:///no/such/place.whl\n")
    process = run(machine, project, "scripts/setup")
    assert "setup: pip could not install them" in said(process)
    assert process.returncode == 1
    (project / "requirements-demo.txt").write_text("# nothing\n")  # as it was: but who knows what pip did meanwhile
    process = run(machine, project, "scripts/setup")
    assert "installing" in said(process)
    assert process.returncode == 0


def test_the_tests_name_what_is_missing_where_they_may_not_install(machine: Path, project: Path) -> None:
    process = run(machine, project, "scripts/test")
    text = said(process)
    assert process.returncode == 1
    for package in ("ffmpeg", "redis-server", "chromium", "python3-venv"):
        assert package in text
    assert "sudo apt-get update && sudo apt-get install" in text
    assert not (project / ".venv").exists()


def test_the_tests_update_the_lists_before_they_install(machine: Path, project: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    program(machine, "sudo", '#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n')  # unless we are root ourselves
    program(machine, "apt-get", f'#!/bin/sh\necho "$DEBIAN_FRONTEND $*" >> {calls}\n')
    process = run(machine, project, "scripts/test")
    assert "still missing after apt-get install" in said(process)
    assert process.returncode == 1
    update, install = calls.read_text().splitlines()
    assert update == " update -qq"
    assert install.startswith("noninteractive install -y")
    assert "chromium" in install
