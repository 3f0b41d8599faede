"""The first process of an emulated machine: it sets up the network and runs the boot script, then the command.

    machine_init.py CONTROL          a socket's descriptor, from which it reads the settings, one line of JSON

When it ends, everything on the machine ends: it is the first process of a PID namespace if there is one, and
otherwise kills every process that has this machine's MACHINE in its environment.  It ends on SIGTERM, which is how
`shutdown` turns a machine off, and when CONTROL is closed, however the cloud ended.

It uses the standard library only and imports nothing of ours, because it starts once for each machine.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

SIOCSIFADDR, SIOCSIFFLAGS = 0x8916, 0x8914  # linux/sockios.h
IFF_UP = 1  # net/if.h
METADATA = "169.254.169.254"


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(control.makefile().readline())
    machine = Path(settings["machine"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    (machine / "init.pid").write_text(str(os.getpid()))
    try:
        endpoint = listen(control, settings)
        threading.Thread(target=end_with, args=(control,), daemon=True).start()
        if run_boot_script(settings, endpoint) == 0 and settings["command"]:
            start_command(settings)
        while True:
            reap()
    finally:
        if not settings["isolated"]:
            kill_members(machine)


def listen(control: socket.socket, settings: dict[str, Any]) -> str:
    """Hand listening sockets of this machine's network to the cloud; return the URL of the metadata service."""
    if not settings["isolated"]:
        listening = [bound("127.0.0.1", 0)]
    else:
        interface_up("lo", "127.0.0.1")
        interface_up("lo:1", METADATA)
        listening = [bound(METADATA, 80), *(bound("127.0.0.1", port) for port in settings["ports"])]
    address, port = listening[0].getsockname()
    socket.send_fds(control, [b"listening\n"], [each.fileno() for each in listening])
    for each in listening:
        each.close()
    return f"http://{address}:{port}"


def bound(address: str, port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((address, port))
    listening.listen(64)
    return listening


def interface_up(name: str, address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        sockaddr = struct.pack("<HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
        fcntl.ioctl(any_socket, SIOCSIFADDR, struct.pack("16s16s8x", name.encode(), sockaddr))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), IFF_UP))


def run_boot_script(settings: dict[str, Any], endpoint: str) -> int:
    machine = settings["machine"]
    environment = {
        "MACHINE": machine,
        "PATH": f"{machine}/bin",
        "AWS_ENDPOINT_URL": settings["url"],
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint,
    }
    with Path(machine, "boot.log").open("ab") as log:
        return subprocess.call(
            [sys.executable, "-I", *settings["boot_script"]],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def start_command(settings: dict[str, Any]) -> None:
    machine = settings["machine"]
    environment = settings["environment"] | {"MACHINE": machine}
    environment["PATH"] = f"{machine}/bin:{environment.get('PATH', os.defpath)}"
    with Path(machine, "command.log").open("ab") as log:
        command = subprocess.Popen(
            settings["command"],
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=machine,
            start_new_session=True,
        )
    Path(machine, "command.pid").write_text(str(command.pid))


def end_with(control: socket.socket) -> None:
    """Wait until the cloud closes CONTROL, and end the machine."""
    while control.recv(1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def reap() -> None:
    """Wait for one child: the first process of a PID namespace inherits all orphans."""
    try:
        os.wait()
    except ChildProcessError:
        signal.pause()


def kill_members(machine: Path) -> None:
    """Kill every process with this machine in its environment; HTCondor's daemons have sessions of their own."""
    deadline = time.monotonic() + 10
    while (left := members(machine)) and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def members(machine: Path) -> list[int]:
    wanted = f"MACHINE={machine}".encode()
    pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and wanted in _environment(pid)]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # another user's process, or ended
        return []


if __name__ == "__main__":
    main()
