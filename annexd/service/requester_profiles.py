"""Resolve requesters' profiles in children with the requester's rights: see requester_supervisor and profile_worker.

A child reads the files each time, so that changes to them take effect.  Keys obtained from a role, SSO or a program are
cached in memory until shortly before they expire, as long as the files are unchanged: obtaining them takes seconds, and
AWS throttles requests for sessions.
"""

import json
import os
import pwd
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.request.defaults import Defaults
from annexd.annex.request.key_source import NoKeys, Profile
from annexd.aws import Credentials, SecretKey
from annexd.service import profile_worker, requester_supervisor
from annexd.service.requester_files import RequesterFiles, groups_of, is_self
from annexd.service.requester_slots import Slot, Slots, kill

RESOLVE_TIMEOUT_S: Final = 30.0  # for SSO, STS and the requester's program together
SUPERVISOR_TIMEOUT_S: Final = 10.0  # in addition, for the supervisor to kill remaining processes
RENEW_S: Final = 300.0  # keys that expire sooner are renewed: a step of an order takes 120 s
KEEP_S: Final = 60.0  # for keys from a program that gives no expiry
MAX_KEPT: Final = 256
LONGEST: Final = 2000  # characters of a fault
AT_ONCE: Final = 4  # children of one user
SLOTS: Final = Slots(at_once=AT_ONCE, slow_s=RESOLVE_TIMEOUT_S + SUPERVISOR_TIMEOUT_S, max_slow=1, wait_s=0.0)
PATH: Final = "/usr/local/bin:/usr/bin:/bin"
SUPERVISOR: Final = "import runpy, sys; runpy.run_path(sys.argv[1])['main'](int(sys.argv[2]))"
# A child gets only annexd's settings of proxies, certificate authorities and time zone from its environment.
PASSED: Final = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TZ",
)


@dataclass(frozen=True)
class _CachedKeys:
    credentials: Credentials
    digest: str
    until_s: float


class RequesterProfiles:
    """Resolves and caches profiles.

    `may_run`: whether profiles may run programs.  `urls`: endpoints by botocore's service names, if not AWS's own.
    """

    def __init__(
        self,
        files: RequesterFiles,
        *,
        may_run: bool = True,
        urls: Mapping[str, str] | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._files, self._may_run, self._urls, self._now_s = files, may_run, dict(urls or {}), now_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, Profile, bool], _CachedKeys] = OrderedDict()

    def reconfigure(self, defaults: Defaults) -> None:
        self._may_run = defaults.allow_credential_process

    def resolve(self, owner: str, profile: Profile) -> Credentials:
        """Return the keys of a profile of `owner` (user@domain).  Raises NoKeys or CannotRead."""
        account = self._files.account(owner)
        is_self(account, f"profile {profile.name}")
        key = account.pw_uid, profile, self._may_run
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept.until_s <= self._now_s():
                kept = None
        answer = _answer_of(account, self._request(account, profile, kept.digest if kept else ""))
        if kept is not None and answer.get("digest") == kept.digest:
            return kept.credentials
        credentials = _credentials(answer)
        if credentials.expires_at_s is not None and credentials.expires_at_s <= self._now_s():
            raise NoKeys("its keys have expired: log in again or renew them")
        if isinstance(digest := answer.get("digest"), str):
            self._keep(key, digest, credentials)
        return credentials

    def forget(self, credentials: Credentials) -> None:
        """Drop cached credentials that AWS reports as expired."""
        with self._lock:
            for key in [key for key, kept in self._kept.items() if kept.credentials == credentials]:
                del self._kept[key]

    def _keep(self, key: tuple[int, Profile, bool], digest: str, credentials: Credentials) -> None:
        now_s = self._now_s()
        until_s = now_s + KEEP_S if credentials.expires_at_s is None else credentials.expires_at_s - RENEW_S
        with self._lock:
            self._kept[key] = _CachedKeys(credentials, digest, until_s)
            self._kept.move_to_end(key)
            for old in [old for old, kept in self._kept.items() if kept.until_s <= now_s]:
                del self._kept[old]
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)

    def _request(self, account: pwd.struct_passwd, profile: Profile, known: str) -> dict[str, Any]:
        return {
            "uid": account.pw_uid,
            "groups": groups_of(account),
            "environment": _environment(account, profile),
            "path": [each for each in sys.path if os.path.isabs(each)],
            "program": profile_worker.__file__,
            "timeout_s": RESOLVE_TIMEOUT_S,
            "profile": profile.name,
            "region": profile.region,
            "urls": {**self._urls, "sts": profile.sts_url},
            "may_run": self._may_run,
            "known": known,
        }


def _environment(account: pwd.struct_passwd, profile: Profile) -> dict[str, str]:
    """Return a login environment of the account; endpoint_url in its files is ignored, it is for its own tools."""
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    return {
        **{name: text for name, text in passed.items() if "@" not in text},  # a proxy's password is the site's
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "AWS_CONFIG_FILE": profile.config_file or os.path.join(account.pw_dir, ".aws/config"),
        "AWS_SHARED_CREDENTIALS_FILE": profile.credentials_file or os.path.join(account.pw_dir, ".aws/credentials"),
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _answer_of(account: pwd.struct_passwd, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the child's answer, which the requester may have forged.  Raises NoKeys."""
    with SLOTS.take(account.pw_uid) as slot:
        if slot is None:
            raise NoKeys(f"annexd is already resolving {AT_ONCE} profiles of {account.pw_name}", transient=True)
        output = _supervisor_output(slot, json.dumps(request).encode())
    try:
        answer = json.loads(output)
    except (ValueError, RecursionError) as error:
        raise NoKeys("the process that resolves it exited without an answer") from error
    if not isinstance(answer, dict):
        raise NoKeys("the process that resolves it exited without an answer")
    return answer


def _supervisor_output(slot: Slot, request: bytes) -> bytes:
    """Return the output of a supervisor, which runs with annexd's own rights: see requester_supervisor."""
    life, living = os.pipe()  # the supervisor sees it close when this process exits
    try:
        slot.child = child = subprocess.Popen(
            [sys.executable, "-I", "-c", SUPERVISOR, requester_supervisor.__file__, str(life)],
            cwd="/",
            env={},
            umask=0o077,
            pass_fds=[life],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            return child.communicate(request, timeout=RESOLVE_TIMEOUT_S + SUPERVISOR_TIMEOUT_S)[0]
        except subprocess.TimeoutExpired:
            kill(child)
            return b""
    except (OSError, ValueError) as error:
        raise NoKeys(f"failed to start a process for it: {error}", transient=True) from error
    finally:
        os.close(life)
        os.close(living)


def _credentials(answer: Mapping[str, Any]) -> Credentials:
    """Parse the worker's answer.  Raises NoKeys."""
    if isinstance(fault := answer.get("fault"), str):
        raise NoKeys(_one_line(fault), transient=answer.get("transient") is True)
    key_id, secret, token, expires_at_s = (
        answer.get(name) for name in ("access_key_id", "secret_access_key", "session_token", "expires_at_s")
    )
    if not _is_key(key_id) or not _is_key(secret) or not (token in (None, "") or _is_key(token)):
        raise NoKeys("its keys do not have the form of AWS keys")
    expiry_s = float(expires_at_s) if isinstance(expires_at_s, int | float) and 1 < expires_at_s < 2**53 else None
    return Credentials(str(key_id), SecretKey(str(secret)), SecretKey(str(token)) if token else None, expiry_s)


def _is_key(value: object) -> bool:
    """Return whether the value is one word of ASCII, safe in an HTTP header."""
    return isinstance(value, str) and bool(value) and value.isascii() and value.isprintable() and " " not in value


def _one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:LONGEST]
