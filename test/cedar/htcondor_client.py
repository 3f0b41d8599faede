"""The official bindings as a client in their own process, since they keep sessions and may crash."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 60

# Sends the ad on standard input `times` times to an address and prints each outcome.
_PROGRAM = """
import json, sys
import classad2
from htcondor2.htcondor2_impl import _send_generic_payload_command as send

def ad_of(values):
    ad = classad2.ClassAd()
    for name, value in values.items():
        ad[name] = value
    return ad

def plain(value):
    return None if value == classad2.Value.Undefined else value

address, command, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
request = ad_of(json.load(sys.stdin))
for _ in range(times):
    reply, code, error = send(address, command, request._handle)
    values = {name: plain(value) for name, value in reply.items()} if reply else None
    print(json.dumps({"reply": values, "code": code, "error": error}), flush=True)
"""

# Queries the authorization for each of the given levels, as condor_ping does.
_PING = """
import json, sys
import htcondor2

for level in sys.argv[2:]:
    try:
        ad = htcondor2.ping(sys.argv[1], level)
    except htcondor2.HTCondorException:
        ad = {}
    print(json.dumps({name: str(value) for name, value in ad.items()}), flush=True)
"""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one call; `code` is 0, or 1, 2, 3 for a failure before, during or after sending the ad."""

    reply: dict[str, Any] | None
    code: int


@dataclass(frozen=True)
class HTCondorClient:
    directory: Path
    methods: str = "FS"
    trust_domain: str = "annex.test"

    def configure(self) -> Path:
        self.directory.mkdir(exist_ok=True)
        self.directory.chmod(0o700)
        (self.directory / "tokens.d").mkdir(mode=0o700, exist_ok=True)
        configuration = self.directory / "condor_config"
        configuration.write_text(
            f"LOCAL_DIR = {self.directory}\n"
            f"LOG = {self.directory}\n"
            f"SEC_TOKEN_DIRECTORY = {self.directory}/tokens.d\n"
            f"SEC_TOKEN_SYSTEM_DIRECTORY = {self.directory}/no-tokens.d\n"
            f"SEC_PASSWORD_DIRECTORY = {self.directory}/no-passwords.d\n"
            f"SEC_CLIENT_AUTHENTICATION_METHODS = {self.methods}\n"
            f"TRUST_DOMAIN = {self.trust_domain}\n"
            "SEC_DEFAULT_AUTHENTICATION = REQUIRED\n"
            "SEC_DEFAULT_ENCRYPTION = REQUIRED\n"
            "SEC_DEFAULT_INTEGRITY = REQUIRED\n"
        )
        return configuration

    def keep_token(self, token: str) -> None:
        self.configure()
        file = self.directory / "tokens.d" / "token"
        file.touch(mode=0o600)
        file.write_text(token + "\n")

    def send(self, address: str, command: int, ad: dict[str, Any], times: int = 1) -> list[Outcome]:
        lines = self._run(_PROGRAM, address, str(command), str(times), stdin=json.dumps(ad))
        return [Outcome(line["reply"], line["code"]) for line in lines]

    def ping(self, address: str, levels: Sequence[str]) -> list[dict[str, str]]:
        """Return the server's ad for each level, with values as text; it is empty if denied."""
        return self._run(_PING, address, *levels)

    def _run(self, program: str, *arguments: str, stdin: str = "") -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            input=stdin,
            env={**os.environ, "CONDOR_CONFIG": str(self.configure())},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"the client ended with {done.returncode}: {done.stderr}"
        return [json.loads(line) for line in done.stdout.splitlines()]
