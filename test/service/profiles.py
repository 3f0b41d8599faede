"""A home with an AWS configuration, and annexd's resolution of its keys by real children, without a daemon."""

import json
import os
import pwd
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from annexd.annex.request.key_source import Profile
from annexd.aws import Credentials
from annexd.service.requester_files import RequesterFiles
from annexd.service.requester_profiles import RequesterProfiles

DOMAIN = "annex.test"
KEYS = {"Version": 1, "AccessKeyId": "ASIAPROGRAM", "SecretAccessKey": "secret", "SessionToken": "token"}


class Accounts(RequesterFiles):
    """This host's accounts, with a home that the test provides."""

    def __init__(self, home: Path) -> None:
        super().__init__(DOMAIN)
        self._home = home

    def account(self, owner: str) -> pwd.struct_passwd:
        found = super().account(owner)
        return pwd.struct_passwd([*found[:5], str(self._home), found.pw_shell])


@dataclass
class Home:
    """A folder that becomes `user`'s home."""

    path: Path
    user: str = field(default_factory=lambda: pwd.getpwuid(os.geteuid()).pw_name)

    def made(self) -> Self:
        self._own(self.path)
        for folder in (".aws", ".aws/sso", ".aws/sso/cache"):
            (self.path / folder).mkdir(mode=0o700)
            self._own(self.path / folder)
        return self

    def _own(self, path: Path) -> None:
        account = pwd.getpwnam(self.user)
        os.chown(path, account.pw_uid, account.pw_gid)

    def write(self, name: str, content: str | bytes, mode: int = 0o600) -> Path:
        path = self.path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        self._own(path)
        return path

    def config(self, content: str | bytes, mode: int = 0o600) -> Path:
        return self.write(".aws/config", content, mode)

    def program(self, script: str, *, prints: dict[str, Any] | None = None) -> Path:
        """Write a credential_process that runs `script` and then prints keys."""
        output = json.dumps(KEYS | (prints or {}))
        return self.write("keys.sh", f"#!/bin/sh\n{script}\ncat <<'END'\n{output}\nEND\n", stat.S_IRWXU)

    def process(self, script: str, *, prints: dict[str, Any] | None = None) -> None:
        """Write a profile `p` with this credential_process."""
        self.config(f"[profile p]\ncredential_process = {self.program(script, prints=prints)}\n")

    def profiles(self, **more: Any) -> RequesterProfiles:
        return RequesterProfiles(Accounts(self.path), **more)

    def keys(self, name: str = "p", profiles: RequesterProfiles | None = None, **more: Any) -> Credentials:
        return (profiles or self.profiles()).resolve(f"{self.user}@{DOMAIN}", profile(name, **more))


def profile(name: str = "p", **more: Any) -> Profile:
    return Profile(**{"name": name, "config_file": None, "credentials_file": None, "region": "us-east-1", **more})


def shown(credentials: Credentials) -> tuple[str, str, str | None]:
    token = credentials.session_token
    return credentials.access_key_id, credentials.secret_access_key.reveal(), token.reveal() if token else None
