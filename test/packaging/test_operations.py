"""The commands of docs/operations.md for an installation by pip, unchanged except for the folder /opt/annexd.

annexd's dependencies come from the environment of the tests: pip finds them through PYTHONPATH, and annexd, which
ignores PYTHONPATH, through a .pth file.  Nothing is fetched.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from annexd import __version__
from test.packaging.installation import NEEDED, copy_sources
from test.pool import find
from test.texts import TOP, block

SERIES = os.environ.get("HTCONDOR_SERIES", "25")
OPERATIONS = TOP / "docs/operations.md"


@dataclass(frozen=True)
class Machine:
    """A clone of the repository, a folder for /opt/annexd, and one for HTCondor's programs."""

    folder: Path

    def paste(self, commands: str) -> str:
        """Run the commands; return their output."""
        script = commands.replace("/opt/annexd", str(self.folder / "opt"))
        env = {
            "PATH": f"{self.folder}/path:{find(SERIES).bin}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "CONDOR_CONFIG": "ONLY_ENV",
            "_CONDOR_SBIN": str(self.folder / "sbin"),
            "_CONDOR_BIN": str(self.folder / "bin"),
            "PYTHONPATH": NEEDED,
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say yes, https://github.com/pypa/pip/issues/5735
        }
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=self.folder / "clone",
            env=env,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    folder = tmp_path_factory.mktemp("machine")
    for name in ("sbin", "bin", "path"):
        (folder / name).mkdir()
    for name in ("python3", "python3.11"):  # Enterprise Linux 9's; here the Python of the tests
        (folder / "path" / name).symlink_to(Path(sys.executable).resolve())
    copy_sources(folder / "clone")
    return Machine(folder)


def test_the_programs_that_were_linked_into_htcondors_folders_run(machine: Machine) -> None:
    machine.paste(block(OPERATIONS, "python3 -m venv /opt/annexd"))
    [packages] = machine.folder.glob("opt/lib/python*/site-packages")
    (packages / "needed.pth").write_text(f"{NEEDED}\n")
    assert __version__ in machine.paste(f"{machine.folder}/sbin/condor_annexd -v")
    assert __version__ in machine.paste(f"{machine.folder}/bin/condor_annex -version")


def test_the_generator_is_where_the_page_names_it(machine: Machine) -> None:
    said = machine.paste(block(OPERATIONS, "/opt/annexd/bin/python3 /opt/annexd/share"))
    assert "arn:aws-cn:" in json.dumps(json.loads(said))


def test_an_upgrade_installs_the_clones_version(machine: Machine) -> None:
    code = machine.folder / "clone/annexd/__init__.py"
    code.write_text(code.read_text().replace(f'"{__version__}"', '"99.0"'))
    machine.paste("/opt/annexd/bin/pip install --upgrade .")
    assert "99.0" in machine.paste(f"{machine.folder}/bin/condor_annex -version")


def test_the_environment_of_enterprise_linux_9_is_made_by_its_second_python(machine: Machine) -> None:
    shutil.rmtree(machine.folder / "opt")
    _, make = block(OPERATIONS, "dnf install ").splitlines()
    machine.paste(make)
    assert (machine.folder / "opt/bin/pip").exists()
