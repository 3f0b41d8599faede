"""The config bundle of an annex: a tarball with which each of its machines configures itself.

    annex.json             the annex that it belongs to: a machine of another annex refuses it
    50-condor-annex.conf   for HTCondor's configuration folder
    annex.token            the annex's own token, for SEC_TOKEN_SYSTEM_DIRECTORY
    ...                    the requester's files, also for the configuration folder

It is built from the order whenever it is needed, and stored only in S3.  The order's step builds the same object each
time.  When the end of the lease is moved, an object with the present end and a new token replaces it: each machine
reads it again, and updates annex.json, the configuration and the token.
"""

import gzip
import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final, Protocol

from annexd.annex.join.machine_config import machine_config
from annexd.annex.lease import lease
from annexd.annex.request.faults import InvalidRequest, joined
from annexd.annex.request.join_config import JoinOrder, digest, renewed_claims
from annexd.annex.request.order import FleetOrder
from annexd.workflow import Json, Refused

MANIFEST: Final = "annex.json"
CONFIG: Final = "50-condor-annex.conf"
TOKEN: Final = "annex.token"  # noqa: S105  a file's name
OURS: Final = frozenset({MANIFEST, CONFIG, TOKEN})
FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")  # HTCondor ignores other names
PASSED_OVER: Final = (".rpmsave", ".rpmnew")  # LOCAL_CONFIG_DIR_EXCLUDE_REGEXP
MOST_FILES: Final = 100
MOST_BYTES: Final = 1024 * 1024  # of all the requester's files together


class BundleSources(Protocol):
    """What annexd's host contributes.  Both methods raise OSError with a message that holds no secret."""

    def sign(self, key_id: str, claims: Json, /) -> str:
        """Return a token with these claims, signed with the pool's key of that name."""

    def read_folder(self, owner: str, path: str, /) -> Mapping[str, bytes]:
        """Return the files in a folder, read with the owner's rights."""


class NoBundleSources:
    """A host without signing keys and folders."""

    def sign(self, key_id: str, _claims: Json, /) -> str:
        raise PermissionError(f"there is no signing key {key_id}")

    def read_folder(self, _owner: str, path: str, /) -> Mapping[str, bytes]:
        raise PermissionError(f"{path} cannot be opened")


def completed(order: FleetOrder, bundle_sources: BundleSources) -> FleetOrder:
    """Add the digests of the requester's files to the order, after checking that its bundle can be built.

    Raises InvalidRequest with every fault.
    """
    join = order.join
    if join is None:
        return order
    faults: list[str] = []
    files: Mapping[str, bytes] = {}
    try:
        files = _files(join, order.target.requester.owner, bundle_sources)
        faults += _faults_of(files, join.config_dir)
    except OSError as error:
        faults.append(f"ConfigDir cannot be used: {error}")
    try:
        _token(join, bundle_sources)
    except OSError as error:
        faults.append(_no_token(error))
    if faults:
        raise InvalidRequest(faults)
    return replace(order, join=replace(join, config_digests={name: digest(files[name]) for name in sorted(files)}))


@dataclass(frozen=True)
class Present:
    """The present end of an annex's lease, which its machines follow."""

    end_s: int
    max_lease_s: int
    cancelled_s: int | None = None
    leaving: tuple[str, ...] = ()  # instances that take no more jobs


def config_bundle(order: FleetOrder, bundle_sources: BundleSources, max_lease_s: int) -> bytes:
    """Build the tarball as ordered.  Raises Refused if that is impossible."""
    join = _join_of(order)
    try:
        files = _files(join, order.target.requester.owner, bundle_sources)
    except OSError as error:
        raise Refused(f"ConfigDir cannot be used: {error}", untouched=True) from error
    if {name: digest(content) for name, content in files.items()} != join.config_digests:
        raise Refused(f"the files of ConfigDir {join.config_dir} have changed since the order", untouched=True)
    own = _own(order, join, Present(order.end_of_lease_s, max_lease_s)) | _token_file(join, bundle_sources)
    return _tarball(own | dict(sorted(files.items())), join.made_at_s)


def present_config_bundle(order: FleetOrder, bundle_sources: BundleSources, present: Present, now_s: float) -> bytes:
    """Build the tarball with the present end and a new token; that of a cancelled annex has neither token nor files.

    The requester's files are taken as they are now: only machines that boot later read them, and a user who has edited
    them can still extend the annex.  Raises Refused if they, or the signing key, cannot be used.
    """
    join = _join_of(order)
    members = _own(order, join, present)
    if present.cancelled_s is None:
        claims = renewed_claims(join.token_claims, present.end_s, now_s)
        members |= _token_file(replace(join, token_claims=claims), bundle_sources)
        members |= _present_files(join, order.target.requester.owner, bundle_sources)
    return _tarball(members, int(now_s))


def _join_of(order: FleetOrder) -> JoinOrder:
    if order.join is None:
        raise ValueError(f"annex {order.annex_id} does not join a pool")
    return order.join


def _own(order: FleetOrder, join: JoinOrder, present: Present) -> dict[str, bytes]:
    """Build the configuration and annex.json, from which a machine computes the end as annexd and the function do."""
    moved = {lease.TAG_LEASE_END: lease.utc(present.end_s)}
    if present.cancelled_s is not None:
        moved[lease.TAG_CANCELLED] = lease.utc(present.cancelled_s)
    manifest = {
        "AnnexID": order.annex_id,
        "AnnexName": order.shown_name,
        "ClientToken": order.client_token,
        "Tags": moved,
        "MaxLease": present.max_lease_s,
        "LeaseEnd": present.end_s,
        "Pool": join.collector_host,
    }
    config = machine_config(join, order.annex_id, order.shown_name, present.end_s, present.leaving)
    return {MANIFEST: (json.dumps(manifest, indent=1) + "\n").encode(), CONFIG: config.encode()}


def _token_file(join: JoinOrder, bundle_sources: BundleSources) -> dict[str, bytes]:
    try:
        return {TOKEN: f"{_token(join, bundle_sources)}\n".encode()}
    except OSError as error:
        raise Refused(_no_token(error), untouched=True) from error


def _present_files(join: JoinOrder, owner: str, bundle_sources: BundleSources) -> dict[str, bytes]:
    try:
        files = _files(join, owner, bundle_sources)
    except OSError as error:
        message = f"ConfigDir, with the configuration of this annex's machines, can no longer be used: {error}"
        raise Refused(message, untouched=True) from error
    if faults := _faults_of(files, join.config_dir):
        raise Refused(joined(faults), untouched=True)
    return dict(sorted(files.items()))


def _tarball(members: Mapping[str, bytes], made_at_s: int) -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=made_at_s) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(content), 0o600, made_at_s
            entry.uname = entry.gname = "root"
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _files(join: JoinOrder, owner: str, bundle_sources: BundleSources) -> Mapping[str, bytes]:
    return bundle_sources.read_folder(owner, join.config_dir) if join.config_dir is not None else {}


def _token(join: JoinOrder, bundle_sources: BundleSources) -> str:
    return bundle_sources.sign(join.issuer_key, asdict(join.token_claims))


def _no_token(error: OSError) -> str:
    return (
        f"annexd cannot make the instances' token: {error}; see SEC_TOKEN_POOL_SIGNING_KEY_FILE and "
        "SEC_TOKEN_ISSUER_KEY, or order with JoinPool = false (-no-join)"
    )


def _faults_of(files: Mapping[str, bytes], path: str | None) -> list[str]:
    faults = [f"{name!r} {fault}" for name in sorted(files) if (fault := _fault_of_name(name))]
    if len(files) > MOST_FILES:
        faults.append(f"there are {len(files)} files, the limit is {MOST_FILES}")
    if (size := sum(map(len, files.values()))) > MOST_BYTES:
        faults.append(f"the files have {size} bytes, the limit is {MOST_BYTES}")
    return [f"ConfigDir {path}: {joined(faults)}"] if faults else []


def _fault_of_name(name: str) -> str | None:
    if name in OURS:
        return "is annexd's own name"
    if not FILE_NAME.fullmatch(name) or name.endswith(PASSED_OVER):
        return "is not a name of a configuration file that HTCondor reads: letters, digits, and . _ + - after the first"
    return None
