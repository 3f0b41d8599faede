"""SEC_* and ALLOW_*: the configuration that decides who may do what, read as HTCondor's SecMan reads it."""

import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from annexd.authorization import FAMILY, PARENT, AuthorizationPolicy
from annexd.cedar.commands import Command
from annexd.cedar.context import ServerContext
from annexd.cedar.levels import Level
from annexd.cedar.policy import SecurityPolicy, Want
from annexd.cedar.secret import Secret
from annexd.cedar.session import SessionCache
from annexd.cedar.signing_key import POOL, signing_secret
from annexd.daemon.parameters import Parameters, param
from annexd.daemon.server import Security

FALL_BACK = dict.fromkeys((Level.ADVERTISE_STARTD, Level.ADVERTISE_SCHEDD, Level.ADVERTISE_MASTER), "DAEMON")
# Only the first letter counts (SecMan::sec_alpha_to_sec_req); Y and T stand for YES and TRUE, F for FALSE.
WANTS = {"R": Want.REQUIRED, "Y": Want.REQUIRED, "T": Want.REQUIRED, "P": Want.PREFERRED, "O": Want.OPTIONAL,
         "F": Want.NEVER, "N": Want.NEVER}
METHODS = {"FS": "FS", "IDTOKENS": "IDTOKENS", "IDTOKEN": "IDTOKENS", "TOKENS": "IDTOKENS", "TOKEN": "IDTOKENS"}
CIPHERS = ("AES",)
MAX_KEY_BYTES = 65536
NO_REVOCATION = ("IDTOKENS is not offered: SEC_TOKEN_REVOCATION_EXPR is set, and annexd cannot evaluate it; "
                 "unset it for ANNEXD, or let clients use FS")


@dataclass(frozen=True)
class SigningKeys:
    """Where the keys are that sign tokens; read anew for each token, so that a new key counts at once."""

    pool_file: Path | None
    directory: Path | None
    pool_is_password: bool

    @classmethod
    def read(cls, look_up: Parameters) -> "SigningKeys":
        pool, directory = param("SEC_TOKEN_POOL_SIGNING_KEY_FILE"), param("SEC_PASSWORD_DIRECTORY")
        return cls(Path(pool) if pool else None, Path(directory) if directory else None,
                   look_up.boolean("SEC_TOKEN_POOL_SIGNING_KEY_IS_PASSWORD", False))

    def secret(self, key_id: str) -> Secret | None:
        """The secret that verifies tokens of this key id (which the core has made sure is one file name)."""
        path = self._path(key_id)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                content = file.read(MAX_KEY_BYTES)
        except (OSError, ValueError):
            return None
        return signing_secret(key_id, content, pool_key_is_password=self.pool_is_password) if content else None

    def ids(self) -> tuple[str, ...]:
        """The key ids that can be read now, the pool's first, as clients are told."""
        try:
            names = sorted(path.name for path in self.directory.iterdir()) if self.directory else []
        except OSError:
            names = []
        candidates = (POOL, *(name for name in names if name != POOL and not name.startswith(".")))
        return tuple(key_id for key_id in candidates if self.secret(key_id) is not None)

    def _path(self, key_id: str) -> Path | None:
        if key_id == POOL:
            return self.pool_file
        return self.directory / key_id if self.directory else None


def read_security(commands: Mapping[int, Command], sessions: SessionCache, version: str,
                  addresses: tuple[str, ...]) -> tuple[Security, tuple[str, ...]]:
    """The configuration's security, and what its author should hear.  Raises BadConfiguration."""
    look_up = Parameters()
    keys = SigningKeys.read(look_up)
    issuer_keys = keys.ids()
    revocation = param("SEC_TOKEN_REVOCATION_EXPR") or param("SEC_TOKEN_BLACKLIST_EXPR")
    tokens_work = bool(issuer_keys) and revocation is None
    authorization = AuthorizationPolicy.read(param).with_holes(PARENT, FAMILY)
    context = ServerContext(
        version=version,
        policy={level: _policy(look_up, level, tokens_work=tokens_work) for level in Level},
        commands=commands,
        sessions=sessions,
        random=secrets.token_bytes,
        trust_domain=look_up.text("TRUST_DOMAIN", look_up.text("UID_DOMAIN")),
        uid_domain=look_up.text("UID_DOMAIN", socket.getfqdn()),
        issuer_keys=issuer_keys,
        advertised=addresses,
        fs_directory=look_up.text("FS_LOCAL_DIR", "/tmp"),  # noqa: S108 - HTCondor's default; the name is random
        root_to_condor=look_up.boolean("FS_ROOT_TO_CONDOR", True),
        max_token_age_s=look_up.integer("SEC_TOKEN_MAX_AGE", 0))
    look_up.check()
    warnings = authorization.warnings + ((NO_REVOCATION,) if revocation else ())
    return Security(context, authorization, keys.secret), warnings


def _policy(look_up: Parameters, level: Level, *, tokens_work: bool) -> SecurityPolicy:
    default = SecurityPolicy()
    return SecurityPolicy(
        authentication=_want(look_up, level, "AUTHENTICATION", default.authentication),
        encryption=_want(look_up, level, "ENCRYPTION", default.encryption),
        integrity=_want(look_up, level, "INTEGRITY", default.integrity),
        negotiation=_want(look_up, level, "NEGOTIATION", default.negotiation),
        methods=_methods(level, tokens_work=tokens_work),
        crypto_methods=CIPHERS,
        session_duration_s=look_up.integer(_knob(level, "SESSION_DURATION"), default.session_duration_s, minimum=1),
        session_lease_s=look_up.integer(_knob(level, "SESSION_LEASE"), default.session_lease_s))


def _knob(level: Level, setting: str) -> str:
    """The name under which SEC_<level>_<setting> is defined, going down to SEC_DEFAULT_<setting>."""
    names = [f"SEC_{step}_{setting}" for step in (level, FALL_BACK.get(level)) if step]
    return next((name for name in names if param(name) is not None), f"SEC_DEFAULT_{setting}")


def _want(look_up: Parameters, level: Level, setting: str, default: Want) -> Want:
    knob = _knob(level, setting)
    text = param(knob)
    if text is None:
        return default
    if (want := WANTS.get(text.strip()[:1].upper())) is None:
        look_up.faults.append(f'{knob} must be REQUIRED, PREFERRED, OPTIONAL or NEVER, not "{text}"')
        return Want.REQUIRED
    return want


def _methods(level: Level, *, tokens_work: bool) -> tuple[str, ...]:
    """The configured methods that this daemon implements and that can work now, in the configured order."""
    configured = (param(_knob(level, "AUTHENTICATION_METHODS")) or "FS,IDTOKENS").replace(",", " ").split()
    known = dict.fromkeys(METHODS[name.upper()] for name in configured if name.upper() in METHODS)
    return tuple(method for method in known if method != "IDTOKENS" or tokens_work)
