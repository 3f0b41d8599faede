"""The emulated AWS and the test pool work without annexd: the programs in their READMEs run on a copy of each alone."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from test.texts import TOP, fenced

SHOWN = {"cloud": r"http://127\.0\.0\.1:\d+ \[\]", "pool": r"Scheduler .*@"}
FOREIGN = """
import sys
print(sorted(name for name in sys.modules if name.split(".")[0] == "annexd"))
print(all(each.__file__.startswith(sys.argv[1]) for name, each in sys.modules.items() if name.startswith("test.")))
"""


@pytest.mark.parametrize("name", SHOWN)
def test_the_program_of_its_readme_runs_in_another_project(name: str, tmp_path: Path) -> None:
    shutil.copytree(TOP / "test" / name, tmp_path / "test" / name)
    shutil.copy(TOP / "test/__init__.py", tmp_path / "test")
    (tmp_path / ".cache").symlink_to(TOP / ".cache")  # HTCondor's packages, to save another download
    [program] = fenced(TOP / "test" / name / "README.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", program + FOREIGN, tmp_path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(SHOWN[name], done.stdout), done.stdout
    assert done.stdout.splitlines()[-2:] == ["[]", "True"], done.stdout
