"""The system tools of an emulated machine: shutdown, systemd-run, systemctl, nft, iptables.

This file is copied under each of these names into a machine's bin folder, which is first in PATH (for the boot script
the only entry), so a boot script that turns its machine off never turns the host off.  Every call is recorded in
MACHINE/tools, one JSON object a line.  `shutdown now` ends the machine: MACHINE/init.pid has the PID of its first
process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

MACHINE = Path(sys.argv[0]).resolve().parents[1]  # HTCondor's daemons do not keep our environment


def main() -> int:
    name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    text = sys.stdin.read() if name == "nft" else ""
    note(name, arguments, text)
    acts = {"shutdown": shutdown, "poweroff": poweroff, "systemd-run": systemd_run, "systemctl": systemctl}
    return acts[name](arguments) if name in acts else 0


def note(name: str, arguments: list[str], text: str) -> None:
    line = json.dumps({"tool": name, "arguments": arguments, "input": text, "time": time.time()})
    with (MACHINE / "tools").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def shutdown(arguments: list[str]) -> int:
    """Act like systemd's: at most one shutdown is scheduled; a later one replaces it and -c cancels it."""
    cancel("shutdown")
    when = arguments[-1]
    if when == "now":
        end()
    elif when.startswith("+"):
        after("shutdown", 60.0 * int(when), ["shutdown", "-h", "now"])
    return 0


def poweroff(_: list[str]) -> int:
    end()
    return 0


def systemd_run(arguments: list[str]) -> int:
    options = dict(each.partition("=")[::2] for each in arguments if each.startswith("--"))
    command = arguments[next(i for i, each in enumerate(arguments) if not each.startswith("-")) :]
    unit = options["--unit"]
    if is_pending(unit):
        print(f"Failed to start transient timer unit: Unit {unit}.timer was already loaded", file=sys.stderr)
        return 1
    settings = (each.removeprefix("--setenv=") for each in arguments if each.startswith("--setenv="))
    after(
        unit,
        _seconds(options.get("--on-active", "0s")),  # without it: a service that starts immediately
        command,
        dict(each.partition("=")[::2] for each in settings),
        _seconds(options["--on-unit-active"]) if "--on-unit-active" in options else None,
    )
    return 0


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def systemctl(arguments: list[str]) -> int:
    if arguments[-1] == "condor.service":
        return htcondor(arguments[0])
    unit = arguments[-1].removesuffix(".timer").removesuffix(".service")
    if arguments[0] == "stop":
        cancel(unit)
        return 0
    return 0 if is_pending(unit) else 3


def htcondor(action: str) -> int:
    """Act like HTCondor's condor.service: `ExecReload=/bin/kill -HUP $MAINPID`.  Its PID is in command.pid."""
    try:
        pid = int((MACHINE / "command.pid").read_text())
        if f"MACHINE={MACHINE}".encode() not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return 3  # it has ended, and the PID is now another process's
        os.kill(pid, signal.SIGHUP if action == "reload" else 0)
    except (OSError, ValueError):
        return 3
    return 0


def _pid_file(name: str) -> Path:
    return MACHINE / f"timer-{name}.pid"


def after(
    name: str, seconds: float, command: list[str], settings: dict[str, str] | None = None, every_s: float | None = None
) -> None:
    """Run `command` later in a separate process, whose environment has only PATH, MACHINE and `settings`."""
    child = os.fork()
    if child:
        _pid_file(name).write_text(str(child))
        return
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    own = MACHINE / "bin" / Path(command[0]).name
    command = [str(own) if own.exists() else command[0], *command[1:]]
    environment = {"PATH": str(MACHINE / "bin"), "MACHINE": str(MACHINE), **(settings or {})}
    time.sleep(seconds)
    while every_s is not None:
        subprocess.call(command, env=environment)
        time.sleep(every_s)
    if seconds:  # a timer has elapsed; a service keeps running under its name
        _pid_file(name).unlink(missing_ok=True)
    os.execve(command[0], command, environment)  # noqa: S606 - no shell is needed


def is_pending(name: str) -> bool:
    try:
        os.kill(int(_pid_file(name).read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def cancel(name: str) -> None:
    if is_pending(name):
        os.kill(int(_pid_file(name).read_text()), signal.SIGKILL)
    _pid_file(name).unlink(missing_ok=True)


def end() -> None:
    first = MACHINE / "init.pid"
    if first.exists():
        os.kill(int(first.read_text()), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
