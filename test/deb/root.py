"""The root of a Debian suite, unpacked from packaging/root's archive, with a pool as Debian's condor package leaves it.

It reaches no network: it runs in the network namespace that `make deb-test` creates, without a name server.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from test.terminal import type_at
from test.texts import block

COMMAND_TIMEOUT_S = 180
WAIT_S = 60.0
POLL_S = 0.2
# What Debian's package leaves to the administrator, without any security settings.
POOL = """
use ROLE: CentralManager
use ROLE: Submit
CONDOR_HOST = 127.0.0.1
NETWORK_INTERFACE = 127.0.0.1
"""
DIRECTORIES = ("/run/condor", "/run/lock/condor", "/var/log/condor", "/var/spool/condor")  # systemd-tmpfiles
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class DebianRoot:
    """`with DebianRoot(tar) as root:`; `root.run("condor_annex", "-version", user="alice")`."""

    def __init__(self, tar: Path) -> None:
        self._tar = tar
        self.directory = Path(tempfile.mkdtemp(prefix="annexd-root-", dir="/var/tmp"))
        self._master: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        subprocess.run(["tar", "--extract", "--file", self._tar, "--directory", self.directory], check=True)
        (self.directory / "etc/hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n")
        (self.directory / "etc/resolv.conf").unlink(missing_ok=True)
        self._mount("-t", "proc", "proc", "proc")
        self._mount("--rbind", "/dev", "dev")
        self.succeed("useradd", "--create-home", "alice")  # with the .bashrc of /etc/skel
        self.write("/home/alice/.zshrc", "autoload -U compinit && compinit\n", owner="alice")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._master is not None:
            self.stop_condor()
        for name in ("dev", "proc"):
            subprocess.run(["umount", "--recursive", "--lazy", self.directory / name], check=True)
        shutil.rmtree(self.directory)

    def run(self, *command: str, user: str = "root", **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the root; the caller checks whether it succeeded."""
        home = "/root" if user == "root" else f"/home/{user}"
        environment = {"PATH": PATH, "HOME": home, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **env}
        whole = ["chroot", str(self.directory), *_become(user), *command]
        return subprocess.run(
            whole,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )

    def succeed(self, *command: str, user: str = "root", **env: str) -> str:
        """Run a command that must not fail; return its stdout and stderr."""
        done = self.run(*command, user=user, **env)
        assert done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def paste(self, page: Path, beginning: str) -> str:
        """Run the block of a page that starts with `beginning`, unchanged."""
        return self.succeed("bash", "-euc", block(page, beginning))

    def install(self, package: Path) -> str:
        """Install or upgrade to this package as an administrator would; it must not need to fetch anything else."""
        shutil.copy(package, self.directory / "tmp")
        return self.succeed("apt-get", "install", "-y", "--no-install-recommends", f"/tmp/{package.name}")

    def type(self, shell: str, line: str, expected: str) -> str:
        """Type `line` as alice at the prompt of a shell; return the screen once it shows `expected`."""
        environment = {"PATH": PATH, "HOME": "/home/alice", "LC_ALL": "C.UTF-8", "TERM": "dumb"}
        command = ["chroot", str(self.directory), *_become("alice"), "setsid", "--ctty", shell, "-i"]
        return type_at(command, line, expected, env=environment)

    def write(self, path: str, content: str, *, owner: str = "root", mode: int = 0o644) -> None:
        file = self.directory / path.lstrip("/")
        file.write_text(content)
        file.chmod(mode)
        self.succeed("chown", f"{owner}:{owner}", path)

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.directory / path.lstrip("/"))

    def journals(self) -> dict[str, bytes]:
        """Return the content of each file of the package's state."""
        return {path.name: path.read_bytes() for path in (self.directory / "var/lib/annexd").iterdir()}

    def start_condor(self) -> None:
        """Start condor_master as condor.service does; return when the collector shows the schedd."""
        self.write("/etc/condor/config.d/01-pool", POOL)
        self.succeed("install", "-d", "-o", "condor", "-g", "condor", "-m", "775", *DIRECTORIES)
        log = (self.directory / "var/log/condor/stdout").open("wb")
        command = ["chroot", str(self.directory), "/usr/sbin/condor_master", "-f"]
        self._master = subprocess.Popen(command, env={"PATH": PATH}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_for(lambda: "Scheduler" in self.run("condor_status", "-any").stdout, "the schedd to be seen")

    def stop_condor(self) -> None:
        assert self._master is not None
        self._master.send_signal(signal.SIGQUIT)
        try:
            self._master.wait(WAIT_S)
        finally:
            self._master.kill()

    def annexds_seen(self) -> list[str]:
        """Return the names of the annexds in the collector.  In series 23, -subsystem is case-sensitive."""
        return self.run("condor_status", "-subsystem", "Annexd", "-af", "Name").stdout.split()

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, f"waited {WAIT_S} s for {what}\n{self.logs()}"
            time.sleep(POLL_S)

    def logs(self) -> str:
        files = [self.directory / "var/log/condor" / name for name in ("MasterLog", "AnnexdLog")]
        return "\n".join(f"--- {file.name}\n{file.read_text()[-3000:]}" for file in files if file.exists())

    def _mount(self, *arguments: str) -> None:
        subprocess.run(["mount", *arguments], cwd=self.directory, check=True)


def _become(user: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
