"""The wheel, and annexd installed from it by pip in each common way, with its dependencies from the tests' Python."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SOURCES = (
    "annexd",
    "bin",
    "completion",
    "ganglia.d",
    "config.d",
    "docs/man",
    "lambda",
    "templates",
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
NEEDED = sysconfig.get_path("purelib")  # annexd is here only by a .pth file, which has no effect elsewhere


@dataclass(frozen=True)
class Installation:
    """One installation: the folders of its programs and its files, its Python, and the environment that this needs."""

    programs: Path
    share: Path
    python: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(each) for each in command],
            env={**os.environ, **self.env, **env},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def build_wheel(scratch: Path) -> Path:
    """Build the wheel from a copy, because the user of the tests may not write into the checkout."""
    source = scratch / "source"
    copy_sources(source)
    pip(Path(sys.executable), "wheel", "--no-build-isolation", "--wheel-dir", scratch, source)
    [wheel] = scratch.glob("annexd-*.whl")
    return wheel


def copy_sources(folder: Path) -> None:
    """Create the folder with all sources of a wheel."""
    folder.mkdir()
    files = subprocess.run(
        ["tar", "--create", "--exclude=__pycache__", *SOURCES], cwd=TOP, capture_output=True, check=True
    )
    subprocess.run(["tar", "--extract"], cwd=folder, input=files.stdout, check=True)


def pip(python: Path, *arguments: str | Path, **env: str) -> None:
    """Run the tests' pip for `python`, which needs no pip of its own."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        arguments[0],
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-index",
        *arguments[1:],
    ]
    done = subprocess.run(
        [str(each) for each in command],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def into_environment(wheel: Path, home: Path) -> Installation:
    python = _environment(home)
    pip(python, "install", wheel)
    return Installation(home / "bin", home / "share", _with_needed(python, home))


def into_home(wheel: Path, home: Path) -> Installation:
    """Install with --user, for a Python that allows packages of its users."""
    python = _environment(home / "python", "--system-site-packages")
    env = {"PYTHONUSERBASE": str(home / "local")}
    pip(python, "install", "--user", "--no-warn-script-location", wheel, **env)
    return Installation(home / "local/bin", home / "local/share", _with_needed(python, home / "python"), env)


def into_folder(wheel: Path, home: Path) -> Installation:
    """Install with --target.

    The programs find their code beside them; other Python code needs PYTHONPATH, as pip documents.
    """
    python = _environment(home / "python")
    pip(python, "install", "--target", home / "folder", wheel)
    env = {"PYTHONPATH": str(home / "folder")}
    return Installation(home / "folder/bin", home / "folder/share", _with_needed(python, home / "python"), env)


def hostile_modules(folder: Path, *more: str) -> Path:
    """Create a folder of modules, named like AWS's, HTCondor's and ours, that end any program that imports one.

    Python itself imports some of `more` at startup, before the program of a pip installation begins.
    """
    folder.mkdir()
    for name in ("annexd", "boto3", "botocore", "htcondor2", "json", "logging", *more):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} is from PYTHONPATH')\n")
    return folder


WAYS: dict[str, Callable[[Path, Path], Installation]] = {
    "venv": into_environment,
    "--user": into_home,
    "--target": into_folder,
}


def _environment(home: Path, *options: str) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", *options, home], check=True)
    return home / "bin/python3"


def _with_needed(python: Path, home: Path) -> Path:
    """Add annexd's dependencies from the environment of the tests; nothing is fetched."""
    [packages] = home.glob("lib/python*/site-packages")
    (packages / "needed.pth").write_text(f"{NEEDED}\n")
    return python
