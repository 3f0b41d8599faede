"""Sources of knobs, for `condor_config_val -verbose` and `-summary` on other machines.

The bindings know values only, so this module runs HTCondor's own tool on this host.
"""

import asyncio
import contextlib
import os
import re
from dataclasses import dataclass
from itertools import chain

import htcondor2

from annexd.daemoncore.config import runtime_config
from annexd.daemoncore.config.parameters import param
from annexd.daemoncore.process.limits import for_child
from annexd.daemoncore.process.semaphore import Semaphore
from annexd.daemoncore.program import current

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.$]*")  # safe on the tool's command line
TIMEOUT_S = 5.0
MAX_CHILDREN, MAX_WAITING = 2, 20  # children, and queries that wait for one; further queries get values only

_children = Semaphore(MAX_CHILDREN)


@dataclass(frozen=True)
class Source:
    """The place where a knob was set.

    `raw` is `NAME = text before expansion`; `place` is file and line; `default` comes from the parameter table.
    """

    raw: str
    place: str
    default: str | None = None


async def source_of(name: str) -> Source | None:
    """Return a knob's source; None if condor_config_val is missing or does not know it, or if too many queries wait."""
    if not NAME.fullmatch(name):
        return None
    if (set_from_outside := runtime_config.place_of(name)) is not None:
        line, place = set_from_outside
        return Source(f"{name.upper()} = {line.partition('=')[2].strip()}", place)
    output = await _condor_config_val("-verbose", name)
    facts = dict(re.findall(r"^ # (at|raw): (.*)$", output or "", re.MULTILINE))
    if not {"at", "raw"} <= facts.keys():
        return None
    knob, _, text = facts["raw"].partition(" = ")
    default = await _condor_config_val("-default", name)
    return Source(f"{knob.upper()} = {text}", facts["at"], default.rstrip("\n") if default is not None else None)


async def names_by_file() -> list[str]:
    """Return the lines for `condor_config_val -summary`: the version, then each `#file` and the names that it sets.

    The list is empty if condor_config_val is missing or too many queries wait.
    """
    output = await _condor_config_val("-summary")
    if output is None:
        return []
    by_file = {**_names_in(output), runtime_config.RUNTIME: runtime_config.runtime_names()}
    lines = ((f"#{file}", *names) for file, names in by_file.items() if names)
    return [f"#{current().subsystem} {htcondor2.version()}", *chain.from_iterable(lines)]


def _names_in(summary: str) -> dict[str, list[str]]:
    """Group names by file; undefined names are dropped, since lines of a long value may look like knobs."""
    by_file: dict[str, list[str]] = {}
    for part in re.split(r"^# from ", summary, flags=re.MULTILINE)[1:]:
        file, _, lines = part.partition("\n")
        names = re.findall(rf"^({NAME.pattern}) @?=", lines, re.MULTILINE)
        by_file[file] = [name for name in names if param(name) is not None]
    return by_file


async def _condor_config_val(*arguments: str) -> str | None:
    """Return the tool's output for this daemon's subsystem; None if it fails or too many queries wait."""
    if _children.waiting >= MAX_WAITING:
        return None
    async with _children:
        return await _output_of(arguments)


async def _output_of(arguments: tuple[str, ...]) -> str | None:
    try:
        child = await asyncio.create_subprocess_exec(
            f"{param('BIN')}/condor_config_val",
            "-subsystem",
            current().subsystem,
            *arguments,
            env=for_child(os.environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output, _ = await child.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        return None
    return output.decode(errors="replace") if child.returncode == 0 else None
