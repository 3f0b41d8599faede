"""Run a pool whose schedd and annexd get the same queries and configurations."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from test.parity.clients import Client
from test.parity.credentials import HOST, HOST_IPV6, write_credentials
from test.parity.ping_worker import NO_ANSWER, NO_ANSWER_S
from test.parity.servers import Server
from test.pool import ANNEXD_CONFIG, Pool

DAEMONS = ("MASTER", "COLLECTOR", "SHARED_PORT", "SCHEDD", "ANNEXD")
COMPARED = ("SCHEDD", "ANNEXD")
WORKER = Path(__file__).with_name("ping_worker.py")
READ_AGAIN = {"SCHEDD": re.compile(r"Re-reading config"), "ANNEXD": re.compile(r"Reconfigured|Reconfig failed")}
SERVER = "# --- from here on for the daemons only"
CONFIG = f"""
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS, SSL, PASSWORD, CLAIMTOBE, ANONYMOUS
# False by default in HTCondor 23; annexd has the defaults of 25.
SEC_CLAIMTOBE_INCLUDE_DOMAIN = True
AUTH_SSL_CLIENT_CAFILE = $(LOCAL_DIR)/ca.pem
AUTH_SSL_CLIENT_CERTFILE =
AUTH_SSL_CLIENT_KEYFILE =
{SERVER}
ANNEXD_DEBUG = D_SECURITY
SEC_PASSWORD_FILE = $(LOCAL_DIR)/password
AUTH_SSL_SERVER_CERTFILE = $(LOCAL_DIR)/host.pem
AUTH_SSL_SERVER_KEYFILE = $(LOCAL_DIR)/host.key
AUTH_SSL_SERVER_CAFILE = $(LOCAL_DIR)/ca.pem
TWO_KEYS = $(LOCAL_DIR)/none, $(LOCAL_DIR)/host.key
ALLOW_WRITE = $(ALLOW_WRITE), alice@*
CERTIFICATE_MAPFILE = $(LOCAL_DIR)/map
include : $(LOCAL_DIR)/asked
"""
ONLY_IPV6 = """
ENABLE_IPV4 = False
ENABLE_IPV6 = True
NETWORK_INTERFACE = ::1
COLLECTOR_HOST = [::1]:$(SHARED_PORT_PORT)
"""
# A client has only its own credentials, not the daemons'.
CLIENT_CONFIG = """
SEC_PASSWORD_DIRECTORY = $(LOCAL_DIR)/none.d
SEC_TOKEN_POOL_SIGNING_KEY_FILE = $(LOCAL_DIR)/none
SEC_PASSWORD_FILE = $(LOCAL_DIR)/none
SEC_TOKEN_DIRECTORY = $(LOCAL_DIR)/none.d
SEC_TOKEN_SYSTEM_DIRECTORY = $(LOCAL_DIR)/none.d
SEC_CLIENT_AUTHENTICATION_TIMEOUT = 5
"""


COLUMNS = ("AuthMethods", "Encryption", "Integrity", "Decision", "MyRemoteUserName")


@dataclass(frozen=True)
class Answers:
    """Both daemons' responses to one client for one level: the ad of its session, or the error message."""

    schedd: dict[str, str] | str
    annexd: dict[str, str] | str


class DaemonPair:
    """A schedd and an annexd in one pool; with `ipv6` the pool uses IPv6 only."""

    def __init__(self, *, ipv6: bool = False) -> None:
        self.pool = Pool((ONLY_IPV6 if ipv6 else "") + ANNEXD_CONFIG + CONFIG, daemons=DAEMONS)
        self.directory = self.pool.directory
        (self.directory / "asked").touch()
        write_credentials(self.directory, HOST_IPV6 if ipv6 else HOST)
        self.client_config = self.directory / "client_config"
        self.client_config.write_text(self.pool.config_file.read_text().partition(SERVER)[0] + CLIENT_CONFIG)
        self._worker: subprocess.Popen[str] | None = None
        self._threads = ThreadPoolExecutor(len(COMPARED))

    def __enter__(self) -> Self:
        self.pool.start()
        self._addresses = [self.pool.address(daemon) for daemon in COMPARED]
        self._logs = {daemon: Path(self.pool.param(f"{daemon}_LOG") or "") for daemon in COMPARED}
        self._worker = subprocess.Popen(
            [sys.executable, WORKER],
            env={**self.pool.env, "CONDOR_CONFIG": str(self.client_config)},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worker and self._worker.stdin:
            self._worker.stdin.close()
            self._worker.wait(60)
        self._threads.shutdown()
        self.pool.stop()

    def configure(self, server: Server) -> None:
        """Replace the settings of both daemons, and wait until they are in effect."""
        (self.directory / "asked").write_text(server.settings + "\n")
        before = {daemon: self._times_read(daemon) for daemon in COMPARED}
        for daemon in COMPARED:
            os.kill(self._pid(daemon), signal.SIGHUP)
        self.pool.wait_for(
            lambda: all(self._times_read(daemon) > before[daemon] for daemon in COMPARED),
            f"both daemons to read {server.name}:\n{server.settings}",
        )
        if self.uses_tool:  # 23's schedd caches the policy of the last level until another is queried
            self._ping(self._addresses[0], {}, ("READ", "WRITE"))

    def ask(self, client: Client, levels: Sequence[str]) -> list[Answers]:
        """Return the responses for each level.

        If just one daemon was silent, the machine may have been stalled, so the client queries both again.
        """
        answers = self._ask(client, levels)
        if any(each.schedd != each.annexd and NO_ANSWER in (each.schedd, each.annexd) for each in answers):
            answers = self._ask(client, levels)
        return answers

    def _ask(self, client: Client, levels: Sequence[str]) -> list[Answers]:
        settings = {name: value.replace("$(LOCAL_DIR)", str(self.directory)) for name, value in client.settings.items()}
        if self.uses_tool:
            answers = list(self._threads.map(lambda address: self._ping(address, settings, levels), self._addresses))
            return [Answers(*both) for both in zip(*answers, strict=True)]
        return self._ask_with_bindings(client, settings, levels)

    @property
    def uses_tool(self) -> bool:
        """Return whether to use condor_ping: the bindings are of 25, whose FS refuses directories of 23's daemons."""
        return self.pool.htcondor.version.startswith("23.")

    def _ask_with_bindings(self, client: Client, settings: dict[str, str], levels: Sequence[str]) -> list[Answers]:
        assert self._worker is not None
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        question = {"settings": settings, "addresses": self._addresses, "levels": levels}
        self._worker.stdin.write(json.dumps(question) + "\n")
        self._worker.stdin.flush()
        answers: Any = json.loads(self._worker.stdout.readline())
        assert answers, f"a client died before it answered: {client.name}, {client.settings}"
        return [Answers(*both) for both in zip(*answers, strict=True)]

    def _ping(self, address: str, settings: dict[str, str], levels: Sequence[str]) -> list[dict[str, str] | str]:
        """Return the results of condor_ping for each level."""
        env = {"CONDOR_CONFIG": str(self.client_config), **{f"_CONDOR_{name}": text for name, text in settings.items()}}
        started_s = time.monotonic()
        output = self.pool.tool("condor_ping", "-addr", address, "-table", *levels, env=env).stdout
        in_time = time.monotonic() - started_s < NO_ANSWER_S * len(levels)
        lines = {line.split()[0]: line.split()[1:] for line in output.splitlines()[1:] if line.split()}
        return [_row(lines.get(level, []), in_time=in_time) for level in levels]

    def _times_read(self, daemon: str) -> int:
        return len(READ_AGAIN[daemon].findall(self._logs[daemon].read_text(errors="replace")))

    def _pid(self, daemon: str) -> int:
        return int(re.findall(r"\*\* PID = (\d+)", self._logs[daemon].read_text(errors="replace"))[-1])


def _row(cells: list[str], *, in_time: bool) -> dict[str, str] | str:
    """Convert a row of condor_ping's table; a failure becomes the bindings' message."""
    if len(cells) >= len(COLUMNS) and cells[0] != "FAIL":
        return dict(zip(COLUMNS, [*cells[: len(COLUMNS) - 1], " ".join(cells[len(COLUMNS) - 1 :])], strict=True))
    return "Failed to start command." if in_time else NO_ANSWER
