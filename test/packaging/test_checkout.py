"""The programs of a checkout ignore environment variables that other programs set for their own Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from annexd import __version__
from test.packaging.installation import TOP, hostile_modules

PROGRAMS = (("condor_annex", "-version"), ("condor_annexd", "-v"))


def run(*command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the tests' Python as python3."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        env={**os.environ, "PATH": path, **env},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("program", "option"), PROGRAMS)
def test_modules_that_python_imports_at_its_start_are_not_from_pythonpath(
    program: str, option: str, tmp_path: Path
) -> None:
    foreign = hostile_modules(tmp_path / "modules", "encodings", "sitecustomize", "collections", "pathlib", "re")
    done = run(TOP / "bin" / program, option, PYTHONPATH=str(foreign))
    assert (done.returncode, __version__ in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize(("program", "option"), PROGRAMS)
def test_a_wrong_pythonhome_does_not_stop_a_program(program: str, option: str) -> None:
    done = run(TOP / "bin" / program, option, PYTHONHOME="/nonexistent")
    assert (done.returncode, __version__ in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize(("program", "option"), PROGRAMS)
def test_a_program_that_was_started_by_python_itself_starts_again(program: str, option: str, tmp_path: Path) -> None:
    foreign = hostile_modules(tmp_path / "modules")
    done = run(sys.executable, TOP / "bin" / program, option, PYTHONPATH=str(foreign))
    assert (done.returncode, __version__ in done.stdout) == (0, True), done.stderr
