"""The system's tools as an emulated machine has them: shutdown, systemd-run, systemctl, nft, iptables.

Linked under each of these names into a machine's bin folder, which is all of its PATH: so a boot script that turns
its machine off never turns this one off.  Every call is told in MACHINE/tools, one JSON a line.  `shutdown now`
ends the machine: MACHINE/init.pid is its first process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

MACHINE = Path(sys.argv[0]).resolve().parents[1]  # HTCondor's daemons keep no environment of ours


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
    """As systemd's: there is one scheduled shutdown, which a later one replaces and -c cancels."""
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
    command = arguments[next(i for i, each in enumerate(arguments) if not each.startswith("-")):]
    unit = options["--unit"]
    if is_pending(unit):
        print(f"Failed to start transient timer unit: Unit {unit}.timer was already loaded", file=sys.stderr)
        return 1
    after(unit, float(options["--on-active"].removesuffix("s")), command)
    return 0


def systemctl(arguments: list[str]) -> int:
    unit = arguments[-1].removesuffix(".timer")
    if arguments[0] == "stop":
        cancel(unit)
        return 0
    return 0 if is_pending(unit) else 3


def _pid_file(name: str) -> Path:
    return MACHINE / f"timer-{name}.pid"


def after(name: str, seconds: float, command: list[str]) -> None:
    """In a process of its own, that has nothing of this one."""
    child = os.fork()
    if child:
        _pid_file(name).write_text(str(child))
        return
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    time.sleep(seconds)
    _pid_file(name).unlink(missing_ok=True)
    os.execvp(Path(command[0]).name, command)  # noqa: S606 - there is nothing for a shell to read


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
