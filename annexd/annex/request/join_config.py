"""How the machines of an annex join the pool: the part of the request, and the part of the order.

Each annex has one object in S3, which only its instances may read: where the pool is, whose jobs they run and until
when, and the annex's own token.  The order holds everything that the object is made from except secrets and the
contents of files, so that the same object can be made again: the token's claims instead of the token, and the digest of
each of the requester's files.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from annexd.annex.request.ad_attributes import AdAttributes, fault_of_path
from annexd.annex.request.defaults import DAY_S, Defaults
from annexd.annex.request.faults import InvalidRequest, shown

BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# Characters without a special meaning in a string of a configuration file: no quotes, no `$`, no `\`.
USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}(@[A-Za-z0-9][A-Za-z0-9._:-]{0,250})?")
HOSTS: Final = re.compile(r"[A-Za-z0-9<\[][A-Za-z0-9.:,?&=%+#*_<>\[\] -]*")
MOST_USERS: Final = 50
SCOPES: Final = "condor:/ADVERTISE_MASTER condor:/ADVERTISE_STARTD"  # CCB accepts clients that have either
TOKEN_GRACE_S: Final = (
    300  # after the lease's end: the pool's clock may be slow, and the machine must withdraw its last ad
)
CLOCK_SLACK_S: Final = 60  # hosts reject a token from the future
SHORTEST_DRAIN_S: Final = 10  # a startd checks itself every five seconds
NEED_BUCKET: Final = ("AnnexOwner", "NoOwner", "ConfigDir", "MaxIdleTime")


@dataclass(frozen=True)
class Join:
    """The request's settings, completed with the administrator's defaults."""

    bucket: str
    users: tuple[str, ...] | None  # users whose jobs run there: () means everybody; None, the requester
    idle_s: int | None  # idle time after which a machine shuts itself down
    config_dir: str | None
    collector_host: str
    trust_domain: str
    issuer_key: str
    drain_s: int
    issued_at_s: int


@dataclass(frozen=True)
class TokenClaims:
    """The claims of the annex's token, with the names of a JSON Web Token."""

    iss: str
    sub: str
    jti: str
    iat: int
    exp: int
    scope: str


@dataclass(frozen=True)
class MachineOffer:
    """The START of an administrator's offer, which machines of orders for idle jobs have instead of the owner's."""

    name: str
    start: str  # an expression


@dataclass(frozen=True)
class JoinOrder:
    """The order's part: everything that the annex's object is made from, except secrets and files."""

    bucket: str
    key: str
    users: tuple[str, ...]  # (): everybody's jobs
    idle_s: int | None
    collector_host: str
    drain_s: int
    made_at_s: int
    issuer_key: str
    token_claims: TokenClaims
    config_dir: str | None
    config_digests: Mapping[str, str]  # of the requester's files, by name
    offer: MachineOffer | None = None


def read_join(own: AdAttributes, end_of_lease_s: int, now_s: float, defaults: Defaults) -> Join | None:
    """Return the settings; None without a bucket, or if the request says that its instances do not join."""
    users, idle_s = _users(own), own.seconds("MaxIdleTime", 30 * DAY_S)
    config_dir = own.text("ConfigDir", fault_of_path)
    bucket = own.text("S3Bucket", _fault_of_bucket) or defaults.s3_bucket
    wanted = own.flag("JoinPool", True)
    if bucket is None or not wanted:
        why = "JoinPool is false" if not wanted else "no bucket is configured (S3Bucket, or ANNEX_DEFAULT_S3_BUCKET)"
        given = [name for name in NEED_BUCKET if not own.missing(name)]
        own.faults += [f"{name} is only for instances that join the pool, and {why}" for name in given]
        return None
    own.faults += _faults_of_pool(defaults)
    drain_s = min(defaults.drain_time_s, max(SHORTEST_DRAIN_S, (end_of_lease_s - int(now_s)) // 10))
    return Join(
        bucket,
        users,
        idle_s,
        config_dir,
        defaults.collector_host,
        defaults.trust_domain,
        defaults.issuer_key,
        drain_s,
        int(now_s),
    )


def join_order(join: Join, annex_id: str, owner: str, end_of_lease_s: int) -> JoinOrder:
    """Return the order's part, without the digests of files.

    Raises InvalidRequest for a requester whose name cannot be written in START.
    """
    if join.users is None and not USER.fullmatch(owner):
        raise InvalidRequest([f"START cannot name {shown(owner)}: use AnnexOwner or NoOwner (-owner, -no-owner)"])
    return JoinOrder(
        bucket=join.bucket,
        key=object_key(annex_id),
        users=(owner,) if join.users is None else join.users,
        idle_s=join.idle_s,
        collector_host=join.collector_host,
        drain_s=join.drain_s,
        made_at_s=join.issued_at_s,
        issuer_key=join.issuer_key,
        token_claims=_claims(join, annex_id, end_of_lease_s),
        config_dir=join.config_dir,
        config_digests={},
    )


def object_key(annex_id: str) -> str:
    """Return the key of the object that the lease function deletes and the instances' role may read."""
    return f"annex/{annex_id}.tar.gz"


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def _claims(join: Join, annex_id: str, end_of_lease_s: int) -> TokenClaims:
    return TokenClaims(
        iss=join.trust_domain,
        sub=f"{annex_id}@{join.trust_domain}",
        jti=secrets.token_hex(16),
        iat=join.issued_at_s - CLOCK_SLACK_S,
        exp=end_of_lease_s + TOKEN_GRACE_S,
        scope=SCOPES,
    )


def renewed_claims(claims: TokenClaims, end_of_lease_s: int, now_s: float) -> TokenClaims:
    """Return the claims of a new token of the same annex, after the end of its lease was moved."""
    issued_at_s = int(now_s) - CLOCK_SLACK_S
    return replace(claims, jti=secrets.token_hex(16), iat=issued_at_s, exp=end_of_lease_s + TOKEN_GRACE_S)


def _users(own: AdAttributes) -> tuple[str, ...] | None:
    text, everybody = own.text("AnnexOwner", _fault_of_users), own.flag("NoOwner", False)
    if text is not None and everybody:
        own.faults.append("AnnexOwner and NoOwner exclude each other")
    if everybody:
        return ()
    return tuple(_listed(text)) if text is not None else None


def _listed(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _fault_of_users(text: str) -> str | None:
    users = _listed(text)
    if 0 < len(users) <= MOST_USERS and all(map(USER.fullmatch, users)):
        return None
    return f"must be up to {MOST_USERS} users, like alice or alice@example.org, not {shown(text)}"


def fault_of_name(text: str) -> str | None:
    if NAME.fullmatch(text):
        return None
    return f"must be 1 to 63 letters, digits and . _ -, beginning with a letter or digit, not {shown(text)}"


def _fault_of_bucket(text: str) -> str | None:
    return None if BUCKET.fullmatch(text) else f"must be the name of an S3 bucket, not {shown(text)}"


def _faults_of_pool(defaults: Defaults) -> list[str]:
    """Return the configuration's faults, reported to the requester because this request needs the settings."""
    faults = []
    if not HOSTS.fullmatch(defaults.collector_host):
        faults.append(
            f"annexd's ANNEX_COLLECTOR_HOST (or COLLECTOR_HOST) must say where instances find the pool, "
            f"not {shown(defaults.collector_host)}"
        )
    if not USER.fullmatch(f"annex@{defaults.trust_domain}"):
        faults.append(f"annexd's TRUST_DOMAIN must be a name, not {shown(defaults.trust_domain)}")
    return faults
