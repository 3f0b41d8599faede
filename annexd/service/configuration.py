"""annexd's knobs: read together, checked together, replaced together at reconfig."""

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import htcondor2

from annexd.annex.request.defaults import Defaults
from annexd.daemoncore.config import runtime_config as dynamic
from annexd.daemoncore.config.interfaces import Interfaces
from annexd.daemoncore.config.parameters import Parameters, is_expression, param, use_local_name
from annexd.daemoncore.pool.collector import Publication
from annexd.daemoncore.pool.parent import ParentTimes
from annexd.daemoncore.privileges import root_files

SUBSYSTEM = "ANNEXD"
SUBNET_ID = re.compile(r"subnet-[0-9a-f]{1,17}")
ATTRIBUTE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Limits:
    """How much at once, and how long."""

    max_running_requests: int  # ANNEXD_MAX_RUNNING_REQUESTS
    max_pending_connections: int  # ANNEXD_MAX_PENDING_CONNECTIONS: those that have not authenticated yet
    session_deadline_s: int  # SEC_TCP_SESSION_DEADLINE: from accept to a whole command
    read_timeout_s: int  # SEC_DEFAULT_AUTHENTICATION_TIMEOUT: silence of a peer before its command is there
    shutdown_graceful_s: int  # ANNEXD_SHUTDOWN_TIMEOUT: how long SIGTERM waits for running steps
    max_waiting_requests: int = 500  # ANNEXD_MAX_WAITING_REQUESTS: for one of those to end; more are refused


@dataclass(frozen=True)
class StopExpressions:
    """When one of them is true of our own ad, annexd stops, and condor_master does not start it again."""

    graceful: str | None  # DAEMON_SHUTDOWN
    fast: str | None  # DAEMON_SHUTDOWN_FAST


@dataclass(frozen=True)
class Configuration:
    name: str
    machine: str
    uid_domain: str
    journal: Path
    address_file: Path | None
    shared_port_ad: Path | None
    socket_directory: Path  # DAEMON_SOCKET_DIR
    stop_expressions: StopExpressions
    interfaces: Interfaces
    limits: Limits
    parent_times: ParentTimes
    publication: Publication
    annex: Defaults
    reconcile_interval_s: int  # ANNEXD_RECONCILE_INTERVAL

    def fixed_since(self, start: "Configuration") -> list[str]:
        """What differs from the configuration at start, and only a restart can change."""
        fixed = {
            "ANNEXD_COMMAND_STATE": (start.journal, self.journal),
            "DAEMON_SOCKET_DIR": (start.socket_directory, self.socket_directory),
            "BIND_ALL_INTERFACES": (start.interfaces.bind_all, self.interfaces.bind_all),
            "NETWORK_INTERFACE, with ENABLE_IPV4 and ENABLE_IPV6,": (
                start.interfaces.addresses,
                self.interfaces.addresses,
            ),
        }
        return [
            f"{knob} is {new} now, which needs a restart: {old} stays in use until then"
            for knob, (old, new) in fixed.items()
            if new != old
        ]

    @classmethod
    def read(cls) -> "Configuration":
        """From HTCondor's configuration as it is loaded now.  Raises BadConfiguration with every fault."""
        look_up = Parameters()
        machine = look_up.text("FULL_HOSTNAME")
        journal = look_up.text("ANNEXD_COMMAND_STATE")
        if not journal:
            look_up.faults.append("ANNEXD_COMMAND_STATE must name the journal's file: is config.d/80annexd in place?")
        elif _condor_preen_would_remove(Path(journal), look_up):
            look_up.faults.append(
                f"condor_preen would remove the journal {journal}, since it is in SPOOL: add "
                f"{Path(journal).name}* to VALID_SPOOL_FILES"
            )
        configuration = cls(
            name=daemon_name(look_up.text("ANNEXD_NAME"), machine),
            machine=machine,
            uid_domain=look_up.text("UID_DOMAIN", machine),
            journal=Path(journal),
            address_file=_path("ANNEXD_ADDRESS_FILE"),
            shared_port_ad=_path("SHARED_PORT_DAEMON_AD_FILE"),
            socket_directory=_socket_directory(look_up),
            stop_expressions=StopExpressions(
                _expression(look_up, "DAEMON_SHUTDOWN"), _expression(look_up, "DAEMON_SHUTDOWN_FAST")
            ),
            interfaces=Interfaces.read(look_up),
            limits=_limits(look_up),
            parent_times=ParentTimes(
                look_up.integer(
                    "ANNEXD_NOT_RESPONDING_TIMEOUT",
                    look_up.integer("NOT_RESPONDING_TIMEOUT", 3600, minimum=1),
                    minimum=1,
                ),
                look_up.integer("PARENT_CHECK_FIRST_INTERVAL", 15, minimum=1),
                look_up.integer("PARENT_CHECK_INTERVAL", 120, minimum=1),
            ),
            publication=Publication(
                look_up.words("COLLECTOR_HOST"),
                look_up.integer(
                    "ANNEXD_UPDATE_INTERVAL", look_up.integer("UPDATE_INTERVAL", 300, minimum=1), minimum=1
                ),
                _published_expressions(look_up),
            ),
            annex=_annex_defaults(look_up),
            reconcile_interval_s=look_up.integer("ANNEXD_RECONCILE_INTERVAL", 3600, minimum=1),
        )
        look_up.check()
        return configuration


def _condor_preen_would_remove(journal: Path, look_up: Parameters) -> bool:
    """Whether the journal, or what SQLite keeps beside it, is in SPOOL and not among the files that belong there.

    condor_preen looks at the first name below SPOOL, with `*` in its lists (check_spool_dir in condor_tools/preen.cpp).
    """
    spool = Path(look_up.text("SPOOL"))
    if not journal.is_relative_to(spool):
        return False
    first = journal.relative_to(spool).parts[0]
    kept = (*look_up.words("VALID_SPOOL_FILES"), *look_up.words("SYSTEM_VALID_SPOOL_FILES"))
    names = [f"{first}{suffix}" for suffix in ("", "-wal", "-shm")] if journal.parent == spool else [first]
    return not all(any(_matches(name, pattern) for pattern in kept) for name in names)


def _matches(name: str, pattern: str) -> bool:
    """Compare as condor_preen does: `*` stands for anything, and nothing else does."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))


def daemon_name(configured: str, machine: str) -> str:
    """As HTCondor builds a daemon's name: always somebody@some.host."""
    if "@" in configured:
        return configured
    return f"{configured or 'annexd'}@{machine}"


def load(local_name: str | None = None) -> None:
    """(Re)load HTCondor's configuration, as the ANNEXD subsystem, or this one of several annexds, sees it."""
    htcondor2.set_subsystem(SUBSYSTEM, htcondor2.SubsystemType.Daemon)
    with root_files():  # a configuration may be root's alone
        htcondor2.reload_config()
    use_local_name(local_name)
    dynamic.apply()


def _limits(look_up: Parameters) -> Limits:
    return Limits(
        max_running_requests=look_up.integer("ANNEXD_MAX_RUNNING_REQUESTS", 32, minimum=1),
        max_waiting_requests=look_up.integer("ANNEXD_MAX_WAITING_REQUESTS", 500),
        max_pending_connections=look_up.integer("ANNEXD_MAX_PENDING_CONNECTIONS", 500, minimum=1),
        session_deadline_s=look_up.integer("SEC_TCP_SESSION_DEADLINE", 120, minimum=1),
        read_timeout_s=look_up.integer("SEC_DEFAULT_AUTHENTICATION_TIMEOUT", 20, minimum=1),
        shutdown_graceful_s=look_up.integer("ANNEXD_SHUTDOWN_TIMEOUT", 60),
    )


def _annex_defaults(look_up: Parameters) -> Defaults:
    default = Defaults()
    return Defaults(
        ec2_url=look_up.text("ANNEX_DEFAULT_EC2_URL", default.ec2_url),
        lambda_url=look_up.text("ANNEX_DEFAULT_LAMBDA_URL", default.lambda_url),
        s3_url=look_up.text("ANNEX_DEFAULT_S3_URL", default.s3_url),
        sts_url=look_up.text("ANNEX_DEFAULT_STS_URL", default.sts_url),
        logs_url=look_up.text("ANNEX_DEFAULT_LOGS_URL", default.logs_url),
        lease_function_arn=param("ANNEX_DEFAULT_LEASE_FUNCTION_ARN"),
        s3_bucket=param("ANNEX_DEFAULT_S3_BUCKET"),
        instance_profile_arn=param("ANNEX_DEFAULT_INSTANCE_PROFILE_ARN"),
        security_group_id=param("ANNEX_DEFAULT_SECURITY_GROUP_ID"),
        subnet_ids=_subnets(look_up),
        fleet_role_arn=param("ANNEX_DEFAULT_FLEET_ROLE_ARN"),
        collector_host=look_up.text("ANNEX_COLLECTOR_HOST", look_up.text("COLLECTOR_HOST")),
        trust_domain=look_up.text("TRUST_DOMAIN", look_up.text("UID_DOMAIN")),
        uid_domain=look_up.text("UID_DOMAIN", look_up.text("FULL_HOSTNAME")),
        issuer_key=look_up.text("SEC_TOKEN_ISSUER_KEY", default.issuer_key),
        drain_time_s=look_up.integer("ANNEX_DRAIN_TIME", default.drain_time_s, minimum=1),
        provisioning_delay_s=look_up.integer("ANNEX_PROVISIONING_DELAY", default.provisioning_delay_s, minimum=1),
        max_lease_s=look_up.integer("ANNEX_MAX_LEASE", default.max_lease_s, minimum=1),
        shortest_lease_s=look_up.integer("ANNEX_MIN_LEASE", default.shortest_lease_s, minimum=1),
        max_target_capacity=look_up.integer("ANNEX_MAX_TARGET_CAPACITY", default.max_target_capacity, minimum=1),
        super_users=_super_users(look_up),
        allow_default_credentials=look_up.boolean("ANNEX_ALLOW_DEFAULT_CREDENTIALS", False),
        allow_credential_process=look_up.boolean("ANNEX_ALLOW_CREDENTIAL_PROCESS", True),
    )


def _subnets(look_up: Parameters) -> tuple[str, ...]:
    """-setup writes `default` for the default VPC: a local name without the knob would get the first region's."""
    named = [each for each in look_up.words("ANNEX_DEFAULT_SUBNET_IDS") if each.lower() != "default"]
    if wrong := [each for each in named if not SUBNET_ID.fullmatch(each)]:
        look_up.faults.append(f"ANNEX_DEFAULT_SUBNET_IDS must be IDs of subnets, or `default`, not {', '.join(wrong)}")
    return tuple(named)


def _super_users(look_up: Parameters) -> frozenset[str]:
    """The schedd's own: who may remove others' jobs may cancel others' annexes, too."""
    domain = look_up.text("UID_DOMAIN", look_up.text("FULL_HOSTNAME"))
    names = look_up.words("QUEUE_SUPER_USERS")
    return frozenset(name if "@" in name else f"{name}@{domain}" for name in names)


def _path(name: str) -> Path | None:
    text = param(name)
    return Path(text) if text else None


def _socket_directory(look_up: Parameters) -> Path:
    configured = look_up.text("DAEMON_SOCKET_DIR", "auto")
    return Path(look_up.text("LOCK"), "daemon_sock") if configured == "auto" else Path(configured)


def _expression(look_up: Parameters, name: str) -> str | None:
    text = param(name)
    if text is not None and not is_expression(text):
        look_up.faults.append(f'{name} is no ClassAd expression: "{text}"')
    return text


def _published_expressions(look_up: Parameters) -> Mapping[str, str]:
    names = (*look_up.words("ANNEXD_ATTRS"), *look_up.words("ANNEXD_EXPRS"), *look_up.words("SYSTEM_ANNEXD_ATTRS"))
    found: dict[str, str] = {}
    for name in names:
        text = param(name)
        if text is None:
            continue
        if ATTRIBUTE_NAME.fullmatch(name) and is_expression(text):
            found[name] = text
        else:
            look_up.faults.append(f'{name}, which ANNEXD_ATTRS names, is no ClassAd expression: "{text}"')
    return found
