"""Shared preambles of the programs that tests run as separate processes, and functions that run them with knobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

AS_ANNEXD = """\
from annexd.daemoncore.program import run_as
from annexd.service.program import PROGRAM
run_as(PROGRAM)
"""


def logged_with(config: str, program: str, folder: Path) -> str:
    """Return the log of a program that runs as annexd with this configuration, which is written to the folder."""
    begin = (
        "from annexd.daemoncore import settings",
        "from annexd.daemoncore.log import open_log",
        AS_ANNEXD,
        "settings.load()",
        "open_log(terminal=True)",
    )
    file = folder / "config"
    file.write_text(config)
    done = subprocess.run(
        [sys.executable, "-c", "\n".join((*begin, program))],
        text=True,
        capture_output=True,
        timeout=60,
        check=True,
        env={**os.environ, "CONDOR_CONFIG": str(file)},
    )
    return done.stdout + done.stderr


def said_with(knobs: Mapping[str, str], program: str) -> dict[str, Any]:
    """Run a program in an HTCondor with these knobs and no others; return the JSON object that it prints."""
    own = {f"_CONDOR_{name}": value for name, value in {"UID_DOMAIN": "example.org", **knobs}.items()}
    env = {**os.environ, "CONDOR_CONFIG": "ONLY_ENV", **own}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
