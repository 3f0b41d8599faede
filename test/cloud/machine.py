"""Instances that boot for real: each one's processes, in their own folder and, where possible, their own network.

A machine's own network (unshare: user, network, mount and PID namespace) has no route out.  Its first process creates
the listening sockets in it and hands them over.  This process serves the metadata on one of them and relays the
connections of the others to the same ports of 127.0.0.1 here.  So the machine can connect to those ports, as an
instance connects out, and nothing can connect to it, as with a security group that has no inbound rule.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from test.cloud.boot import Boot
from test.cloud.machine_init import kill_members
from test.cloud.metadata import PREFIX
from test.cloud.request import Request
from test.cloud.server import Server, Service

HERE = Path(__file__).resolve().parent
BOOT_SCRIPT = HERE.parents[1] / "bin" / "condor-annex-ec2"
TOOLS = ("shutdown", "poweroff", "systemd-run", "systemctl", "nft", "iptables", "ip6tables")
NAMESPACES = (
    "unshare",
    "--user",
    "--map-root-user",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
LOOK_S = 0.05
MOST_SOCKETS = 64


@cache
def can_isolate() -> bool:
    """Return whether this machine lets an ordinary user create namespaces."""
    return (
        shutil.which("unshare") is not None
        and subprocess.run(
            [*NAMESPACES, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        ).returncode
        == 0
    )


def give_tools(folder: Path, tools: Sequence[str] = TOOLS) -> None:
    """Create the bin folder, the only entry of a boot script's PATH."""
    (folder / "bin").mkdir(exist_ok=True)
    text = (HERE / "machine_tools.py").read_text(encoding="utf-8")
    for name in tools:
        path = folder / "bin" / name
        path.write_text(f"#!{sys.executable} -IS\n{text}", encoding="utf-8")
        path.chmod(0o755)


class Machine:
    """The processes of one instance, from its boot until it is turned off."""

    def __init__(self, boot: Boot, folder: Path, instance_id: str, url: str, metadata: Service) -> None:
        self._folder, self._instance_id, self._metadata = folder, instance_id, metadata
        give_tools(folder)
        isolated = boot.isolated and can_isolate()
        self._control, theirs = socket.socketpair()
        command = [sys.executable, "-I", str(HERE / "machine_init.py"), str(theirs.fileno())]
        with theirs, (folder / "init.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*(NAMESPACES if isolated else ()), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        ports = sorted({int(url.rpartition(":")[2]), *boot.ports})
        self._control.sendall(json.dumps(_settings(boot, folder, url, ports, isolated)).encode() + b"\n")
        threading.Thread(target=self._serve, args=(ports,), daemon=True).start()

    def _serve(self, ports: Sequence[int]) -> None:
        _, descriptors, _, _ = socket.recv_fds(self._control, 100, MOST_SOCKETS)
        listening = [socket.socket(fileno=each) for each in descriptors]
        if not listening:
            return  # the process ended before it could listen: init.log shows why
        server = Server(listening=listening[0])
        server.service = self._ask_metadata
        server.start()
        for each, port in zip(listening[1:], ports, strict=False):
            threading.Thread(target=_relay, args=(each, port), daemon=True).start()

    def _ask_metadata(self, request: Request) -> Any:
        return self._metadata(replace(request, target=f"{PREFIX}{self._instance_id}{request.target}"))

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def console(self) -> str:
        """Return the output of the boot script, which its unit sends to the console."""
        log = self._folder / "boot.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def kill(self) -> None:
        """Kill every process of the machine immediately."""
        self._process.kill()
        self._process.wait()
        kill_members(self._folder)
        self._control.close()


def _settings(boot: Boot, folder: Path, url: str, ports: Sequence[int], isolated: bool) -> dict[str, Any]:
    folders = [
        f"--config-dir={folder}/config.d",
        f"--token-dir={folder}/tokens.d",
        f"--state-dir={folder}/state",
        f"--log={folder}/condor-annex-ec2.log",
    ]
    command = [each.replace("{machine}", str(folder)) for each in boot.command]
    if command and isolated and os.getuid() != 0:  # only the boot script runs as root there; HTCondor must not
        command = ["unshare", "--user", f"--map-user={os.getuid()}", f"--map-group={os.getgid()}", *command]
    environment = {name: value.replace("{machine}", str(folder)) for name, value in boot.environment.items()}
    return {
        "machine": str(folder),
        "isolated": isolated,
        "ports": list(ports),
        "url": url,
        "boot_script": [str(BOOT_SCRIPT), *folders, *boot.options],
        "command": command,
        "environment": {"PATH": os.environ.get("PATH", os.defpath), **environment},
    }


def _relay(listening: socket.socket, port: int) -> None:
    """Forward every connection to the same port here."""
    while True:
        with contextlib.suppress(OSError):
            inside, _ = listening.accept()
            try:
                outside = socket.create_connection(("127.0.0.1", port))
            except OSError:
                inside.close()
                continue
            for source, sink in ((inside, outside), (outside, inside)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(1 << 16):
            sink.sendall(content)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


Instances = Callable[[], Sequence[Mapping[str, Any]]]


class Machines:
    """Keeps a machine for each instance that runs, and ends an instance whose machine was turned off."""

    def __init__(
        self, boot: Boot, url: str, metadata: Service, instances: Instances, terminate: Callable[[str, str], None]
    ) -> None:
        self._boot, self._url, self._metadata = boot, url, metadata
        self._instances, self._terminate = instances, terminate
        self._own_folder = "" if boot.directory else tempfile.mkdtemp(prefix="cloud-machines-")
        self._machines: dict[str, Machine] = {}
        self._ended: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, name="machines", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        for machine in self._machines.values():
            machine.kill()
        if self._own_folder:
            shutil.rmtree(self._own_folder, ignore_errors=True)

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_S):
            alive = {each["id"]: each for each in self._instances() if each["state"] in {"pending", "running"}}
            self._end(alive)
            for instance_id, each in alive.items():
                if each["state"] == "running" and fnmatch.fnmatchcase(str(each["image"]), self._boot.image):
                    self._begin(instance_id)

    def _begin(self, instance_id: str) -> None:
        if instance_id in self._machines.keys() | self._ended or len(self._machines) >= self._boot.maximum:
            return
        folder = Path(self._boot.directory or self._own_folder) / instance_id
        folder.mkdir(parents=True)
        self._machines[instance_id] = Machine(self._boot, folder, instance_id, self._url, self._metadata)

    def _end(self, alive: Mapping[str, Any]) -> None:
        for instance_id, machine in list(self._machines.items()):
            was_turned_off = machine.has_ended()
            if not was_turned_off and instance_id in alive:
                continue
            del self._machines[instance_id]
            self._ended.add(instance_id)
            machine.kill()
            if was_turned_off and instance_id in alive:
                self._terminate(instance_id, machine.console())
