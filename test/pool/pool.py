"""A personal HTCondor pool: real daemons of an ordinary user, in their own directory.

Such a pool tests every claim of the project about HTCondor; no part of HTCondor is imitated.
"""

from __future__ import annotations

import getpass
import os
import random
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from test.pool.htcondor import TOP, HTCondor, find

T = TypeVar("T")

DOMAIN = "annexd.test"
WARDEN = Path(__file__).with_name("warden.py")
DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD")
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 90
TOOL_TIMEOUT_S = 60
POLL_S = 0.05
PORTS = range(20000, 30000)  # below the ephemeral ports of Linux
LOG_TAIL_LINES = 25
OWN_DIRECTORIES = ("log", "spool", "execute", "lock", "run")
# The ad by which the collector shows that a daemon is up; condor_master sends its own after five seconds.
MY_TYPE = {
    "COLLECTOR": "Collector",
    "SCHEDD": "Scheduler",
    "NEGOTIATOR": "Negotiator",
    "STARTD": "Machine",
    "ANNEXD": "Annexd",
}
ANNEXD_CONFIG = f"""
include : {TOP}/config.d/80annexd
ANNEXD = {sysconfig.get_path("scripts")}/condor_annexd
"""
CONFIG = """
RELEASE_DIR = {prefix}
BIN = {htcondor.bin}
SBIN = {htcondor.sbin}
LIB = {htcondor.lib}
LIBEXEC = {htcondor.libexec}
LOCAL_DIR = {directory}
LOG = $(LOCAL_DIR)/log
SPOOL = $(LOCAL_DIR)/spool
EXECUTE = $(LOCAL_DIR)/execute
LOCK = $(LOCAL_DIR)/lock
RUN = $(LOCAL_DIR)/run

use security:recommended_v9_0
SEC_PASSWORD_DIRECTORY = $(LOCAL_DIR)/passwords.d
SEC_TOKEN_POOL_SIGNING_KEY_FILE = $(SEC_PASSWORD_DIRECTORY)/POOL
SEC_TOKEN_DIRECTORY = $(LOCAL_DIR)/tokens.d
SEC_TOKEN_SYSTEM_DIRECTORY = $(LOCAL_DIR)/tokens.d
UID_DOMAIN = {domain}
TRUST_DOMAIN = {domain}
ALLOW_ADMINISTRATOR = {user}@{domain}, condor@{domain}
# condor@password is the mutual identity of HTCondor 23's daemons.
ALLOW_DAEMON = {user}@{domain}, condor@{domain}, condor@password

DAEMON_LIST = {daemons}
COLLECTOR_HOST = {collector}
USE_SHARED_PORT = {shared_port}
SHARED_PORT_PORT = {port}
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
NO_DNS = True
DEFAULT_DOMAIN_NAME = {domain}

MAIL = /bin/true
RUNBENCHMARKS = False
# A daemon that ends is restarted at once, not after ten seconds, however often that is.
MASTER_BACKOFF_CONSTANT = 0
MASTER_BACKOFF_CEILING = 1
"""


class PoolError(AssertionError):
    """The pool did not reach the expected state; the message shows its logs."""


class Pool:
    """A pool in `directory` (its own under /tmp unless given), running between start() and stop().

    `env` is the environment in which HTCondor's tools and the bindings find it; `collector` is its collector's
    host:port.  A `with` statement starts and stops it.  It ends with the process that started it.
    `condor_ids` is HTCondor's user in a pool started by root; `master` replaces condor_master.
    """

    def __init__(
        self,
        extra_config: str = "",
        *,
        daemons: Sequence[str] = DAEMONS,
        shared_port: bool = True,
        directory: Path | None = None,
        htcondor: HTCondor | None = None,
        condor_ids: tuple[int, int] | None = None,
        master: Path | None = None,
    ) -> None:
        if os.geteuid() == 0 and condor_ids is None:
            raise PoolError("HTCondor does not run as root without a condor account: python -m test.as_user")
        self.htcondor = htcondor or find(os.environ.get("HTCONDOR_SERIES", "25"))
        self._master = master or self.htcondor.executable("condor_master")
        self.daemons = [name for name in daemons if shared_port or name != "SHARED_PORT"]
        self._removed_at_stop = directory is None
        # Not below TMPDIR: the path of a Unix socket in LOCK must stay under 108 bytes.
        self.directory = directory or Path(tempfile.mkdtemp(prefix="annexd-pool-", dir="/tmp"))
        self.port, self._port_lock = free_port()
        self.collector = f"127.0.0.1:{self.port}"
        self.config_file = self.directory / "condor_config"
        self.env = {name: value for name, value in os.environ.items() if "CONDOR_" not in name.upper()}
        self.env["CONDOR_CONFIG"] = str(self.config_file)
        self._warden: subprocess.Popen[bytes] | None = None
        self._logs: dict[str, Path] = {}
        self._lay_out(extra_config, shared_port)
        if condor_ids is not None:
            self._give_to(*condor_ids)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the pool, and return when the collector shows every daemon; otherwise stop all and raise PoolError."""
        wanted = {MY_TYPE[name] for name in self._started() if name in MY_TYPE}
        command = [sys.executable, str(WARDEN), str(self._master)]
        command += [str(self.directory)] if self._removed_at_stop else []
        with (self.directory / "warden.log").open("ab") as log:
            self._warden = subprocess.Popen(
                command, env=self.env, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self.wait_for(
                lambda: wanted <= self._addresses().keys(),
                f"the collector to show {', '.join(self.daemons)}",
                START_TIMEOUT_S,
            )
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the pool within a bounded time, in any state; remove its directory unless it was given."""
        if self._warden:
            assert self._warden.stdin
            self._warden.stdin.close()
            self._warden.wait(STOP_TIMEOUT_S)
            self._warden = None
        self._port_lock.close()
        if self._removed_at_stop:
            shutil.rmtree(self.directory, ignore_errors=True)

    def tool(
        self,
        name: str,
        *arguments: str,
        timeout_s: float = TOOL_TIMEOUT_S,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run one of HTCondor's tools with `env` added; the caller checks whether it succeeded."""
        return self.run(str(self.htcondor.executable(name)), *arguments, timeout_s=timeout_s, env=env, stdin=stdin)

    def run(
        self,
        *command: str,
        timeout_s: float = TOOL_TIMEOUT_S,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run any program, such as condor_annex, as tool() does."""
        environment = {**self.env, **(env or {})}
        return subprocess.run(
            command,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def configure(self, extra: str) -> None:
        """Append to the configuration and have condor_master, and so its daemons, read it again."""
        self._logs.clear()
        with self.config_file.open("a") as config:
            config.write(f"\n{extra}\n")
        done = self.tool("condor_reconfig", "-daemon", "master")
        if done.returncode != 0:
            raise PoolError(f"condor_reconfig: {done.stderr or done.stdout}")

    def param(self, name: str) -> str | None:
        """Return the value of a knob in the pool, by condor_config_val; None if it is not defined."""
        done = self.tool("condor_config_val", name)
        return done.stdout.strip() if done.returncode == 0 else None

    def log(self, daemon: str) -> str:
        """Return a daemon's log so far, such as log("SCHEDD"); empty if there is none yet."""
        file = self._logs.get(daemon)
        if file is None:
            file = Path(self.param(f"{daemon}_LOG") or self.directory / "none")
        if not file.exists():
            return ""
        self._logs[daemon] = file  # looked up once: tests poll for lines, and each lookup would start a process
        return file.read_text(errors="replace")

    def token(self, identity: str, *arguments: str) -> str:
        """Return an IDTOKEN for user@DOMAIN signed by the pool; `arguments` are those of condor_token_create."""
        full = identity if "@" in identity else f"{identity}@{DOMAIN}"
        made = self.tool("condor_token_create", "-identity", full, *arguments)
        if made.returncode != 0:
            raise PoolError(f"condor_token_create: {made.stderr}")
        return made.stdout.strip()

    def address(self, daemon: str) -> str:
        """Return the collector's address of the first daemon of a kind, such as SCHEDD."""
        return self.wait_for(lambda: self._addresses().get(MY_TYPE[daemon]), f"an ad of {daemon}")

    def wait_for(self, condition: Callable[[], T | None], what: str, timeout_s: float = TOOL_TIMEOUT_S) -> T:
        """Return the first true value of `condition`; raise PoolError, with the ends of all logs, after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            if self._warden and self._warden.poll() is not None:
                raise PoolError(f"condor_master ended while waiting for {what}\n{self._state()}")
            if time.monotonic() > deadline:
                raise PoolError(f"timed out after {timeout_s} s waiting for {what}\n{self._state()}")
            time.sleep(POLL_S)
        return value

    def _lay_out(self, extra_config: str, shared_port: bool) -> None:
        for name in (*OWN_DIRECTORIES, "passwords.d", "tokens.d"):
            (self.directory / name).mkdir(mode=0o700 if name.endswith(".d") else 0o755)
        settings = CONFIG.format(
            htcondor=self.htcondor,
            prefix=self.htcondor.sbin.parent,
            directory=self.directory,
            domain=DOMAIN,
            user=getpass.getuser(),
            daemons=" ".join(self.daemons),
            collector=self.collector,
            port=self.port,
            shared_port=shared_port,
        )
        self.config_file.write_text(f"{settings}\n{extra_config}\n")

    def _give_to(self, uid: int, gid: int) -> None:
        """Give the directories to HTCondor's user and keep the secrets root's, as a package of HTCondor does."""
        self.env["CONDOR_IDS"] = f"{uid}.{gid}"
        self.directory.chmod(0o755)
        for name in OWN_DIRECTORIES:
            os.chown(self.directory / name, uid, gid)

    def _started(self) -> list[str]:
        """Return what condor_master starts, including daemons of the extra configuration."""
        return (self.param("DAEMON_LIST") or "").replace(",", " ").split()

    def _addresses(self) -> dict[str, str]:
        """Return MyAddress by MyType of every ad in the collector; empty while it is not up."""
        output = self.tool("condor_status", "-any", "-af", "MyType", "MyAddress").stdout
        return dict(line.split(maxsplit=1) for line in output.splitlines() if " " in line)

    def _state(self) -> str:
        files = [self.directory / "warden.log", *sorted((self.directory / "log").glob("*Log"))]
        return "\n".join(f"--- {file.name}\n{_tail(file)}" for file in files if file.exists())


def _tail(file: Path) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


def free_port() -> tuple[int, socket.socket]:
    """Return a free port, and a socket that reserves it among all test pools while it is open."""
    for port in random.sample(PORTS, 100):
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0annexd-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
        else:
            return port, lock
    raise PoolError(f"no free port among {PORTS}")
