"""annexd under a condor_master whose environment has another program's PYTHONPATH and PYTHONHOME."""

import os
import sys
from pathlib import Path

from test.packaging.installation import hostile_modules
from test.pool import ANNEXD_CONFIG, Pool, find
from test.texts import TOP, block

DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "ANNEXD")


def master_with(folder: Path, **env: str) -> Path:
    """Write a condor_master wrapper with these variables, which the pool's own Python does not get."""
    program = find(os.environ.get("HTCONDOR_SERIES", "25")).executable("condor_master")
    wrapper = folder / "condor_master"
    exports = "".join(f"export {name}='{value}'\n" for name, value in env.items())
    wrapper.write_text(f'#!/bin/sh\n{exports}exec {program} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def test_annexd_and_its_worker_import_nothing_from_condor_masters_pythonpath(tmp_path: Path) -> None:
    """The worker sends annexd's ad, which the collector shows."""
    master = master_with(tmp_path, PYTHONPATH=str(hostile_modules(tmp_path / "modules")))
    with Pool(ANNEXD_CONFIG, daemons=DAEMONS, master=master) as pool:
        assert "from PYTHONPATH" not in pool.log("ANNEXD")


def test_the_documented_line_clears_what_python_reads_before_an_installed_program_begins(tmp_path: Path) -> None:
    """Python reads PYTHONHOME, and imports some modules from PYTHONPATH, at startup."""
    foreign = hostile_modules(tmp_path / "modules", "encodings", "sitecustomize")
    master = master_with(tmp_path, PYTHONPATH=str(foreign), PYTHONHOME="/nonexistent")
    line = block(TOP / "docs/operations.md", "ANNEXD_ENVIRONMENT = ")
    with Pool(f"{ANNEXD_CONFIG}\n{line}", daemons=DAEMONS, master=master) as pool:
        assert "from PYTHONPATH" not in pool.log("ANNEXD")


def test_a_checkouts_annexd_starts_despite_both(tmp_path: Path) -> None:
    foreign = hostile_modules(tmp_path / "modules", "encodings", "sitecustomize")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    master = master_with(tmp_path, PYTHONPATH=str(foreign), PYTHONHOME="/nonexistent", PATH=path)
    with Pool(f"{ANNEXD_CONFIG}\nANNEXD = {TOP}/bin/condor_annexd", daemons=DAEMONS, master=master) as pool:
        assert "from PYTHONPATH" not in pool.log("ANNEXD")
