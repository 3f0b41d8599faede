"""Settings of every HTCondor daemon: read, checked and replaced together."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import htcondor2

from annexd.daemoncore.config import runtime_config
from annexd.daemoncore.config.interfaces import Interfaces
from annexd.daemoncore.config.parameters import Parameters, is_expression, param, use_local_name
from annexd.daemoncore.pool.collector import Publication
from annexd.daemoncore.pool.parent import ParentTimes
from annexd.daemoncore.privileges import root_files
from annexd.daemoncore.program import current, knob

ATTRIBUTE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits on connections that have not sent their command."""

    max_pending: int  # <SUBSYSTEM>_MAX_PENDING_CONNECTIONS
    session_deadline_s: int  # SEC_TCP_SESSION_DEADLINE: from accept to a complete command
    read_timeout_s: int  # SEC_DEFAULT_AUTHENTICATION_TIMEOUT: silence of a peer before its command is complete


@dataclass(frozen=True)
class StopExpressions:
    """If one is true in the daemon's own ad, the daemon stops and condor_master does not restart it."""

    graceful: str | None  # DAEMON_SHUTDOWN
    fast: str | None  # DAEMON_SHUTDOWN_FAST


@dataclass(frozen=True, kw_only=True)
class DaemonSettings:
    """Settings of a daemon; a daemon with its own knobs extends this class and `read`."""

    name: str  # <SUBSYSTEM>_NAME
    machine: str  # FULL_HOSTNAME
    uid_domain: str
    address_file: Path | None  # <SUBSYSTEM>_ADDRESS_FILE
    shared_port_ad: Path | None  # SHARED_PORT_DAEMON_AD_FILE
    socket_directory: Path  # DAEMON_SOCKET_DIR
    stop_expressions: StopExpressions
    interfaces: Interfaces
    connections: ConnectionLimits
    shutdown_graceful_s: int  # <SUBSYSTEM>_SHUTDOWN_TIMEOUT: how long a graceful shutdown waits for running work
    parent_times: ParentTimes
    publication: Publication

    @classmethod
    def read(cls, look_up: Parameters) -> Self:
        """Read the loaded configuration; `look_up` collects every fault."""
        return cls(**common_settings(look_up))

    def fixed_since(self, start: Self) -> list[str]:
        """Return a warning for each changed knob that takes effect only at a restart."""
        return [
            f"changing {knob} to {new} requires a restart; {old} stays in use until then"
            for knob, (old, new) in self.fixed_pairs(start).items()
            if new != old
        ]

    def fixed_pairs(self, start: Self) -> dict[str, tuple[object, object]]:
        """Return the knobs that take effect only at a restart, with their values at start and now."""
        old, new = start.interfaces, self.interfaces
        return {
            "DAEMON_SOCKET_DIR": (start.socket_directory, self.socket_directory),
            "BIND_ALL_INTERFACES": (old.bind_all, new.bind_all),
            "NETWORK_INTERFACE (with ENABLE_IPV4, ENABLE_IPV6)": (old.addresses, new.addresses),
        }


def load(local_name: str | None = None) -> None:
    """(Re)load HTCondor's configuration for this daemon's subsystem and local name."""
    htcondor2.set_subsystem(current().subsystem, htcondor2.SubsystemType.Daemon)
    with root_files():  # configuration files may be readable by root only
        htcondor2.reload_config()
    use_local_name(local_name)
    runtime_config.apply()


def common_settings(look_up: Parameters) -> dict[str, Any]:
    """Return the fields of DaemonSettings."""
    machine = look_up.text("FULL_HOSTNAME")
    return {
        "name": daemon_name(look_up.text(knob("NAME")), machine),
        "machine": machine,
        "uid_domain": look_up.text("UID_DOMAIN", machine),
        "address_file": look_up.path(knob("ADDRESS_FILE")),
        "shared_port_ad": look_up.path("SHARED_PORT_DAEMON_AD_FILE"),
        "socket_directory": _socket_directory(look_up),
        "stop_expressions": StopExpressions(
            _expression(look_up, "DAEMON_SHUTDOWN"), _expression(look_up, "DAEMON_SHUTDOWN_FAST")
        ),
        "interfaces": Interfaces.read(look_up),
        "connections": ConnectionLimits(
            look_up.integer(knob("MAX_PENDING_CONNECTIONS"), 500, minimum=1),
            look_up.integer("SEC_TCP_SESSION_DEADLINE", 120, minimum=1),
            look_up.integer("SEC_DEFAULT_AUTHENTICATION_TIMEOUT", 20, minimum=1),
        ),
        "shutdown_graceful_s": look_up.integer(knob("SHUTDOWN_TIMEOUT"), 60),
        "parent_times": ParentTimes(
            look_up.own_integer("NOT_RESPONDING_TIMEOUT", 3600, minimum=1),
            look_up.integer("PARENT_CHECK_FIRST_INTERVAL", 15, minimum=1),
            look_up.integer("PARENT_CHECK_INTERVAL", 120, minimum=1),
        ),
        "publication": Publication(
            look_up.words("COLLECTOR_HOST"),
            look_up.own_integer("UPDATE_INTERVAL", 300, minimum=1),
            _published_expressions(look_up),
        ),
    }


def daemon_name(configured: str, machine: str) -> str:
    """Build a daemon's name as HTCondor does: always name@host."""
    if "@" in configured:
        return configured
    return f"{configured or current().subsystem.lower()}@{machine}"


def _socket_directory(look_up: Parameters) -> Path:
    configured = look_up.text("DAEMON_SOCKET_DIR", "auto")
    return Path(look_up.text("LOCK"), "daemon_sock") if configured == "auto" else Path(configured)


def _expression(look_up: Parameters, name: str) -> str | None:
    text = param(name)
    if text is not None and not is_expression(text):
        look_up.faults.append(f'{name} must be a ClassAd expression, not "{text}"')
    return text


def _published_expressions(look_up: Parameters) -> Mapping[str, str]:
    """Read the attributes named by <SUBSYSTEM>_ATTRS and similar knobs: attribute name -> expression text."""
    attributes, expressions = knob("ATTRS"), knob("EXPRS")
    names = (*look_up.words(attributes), *look_up.words(expressions), *look_up.words(f"SYSTEM_{attributes}"))
    found: dict[str, str] = {}
    for name in names:
        text = param(name)
        if text is None:
            continue
        if ATTRIBUTE_NAME.fullmatch(name) and is_expression(text):
            found[name] = text
        else:
            look_up.faults.append(f'{name}, named by {attributes}, must be a ClassAd expression, not "{text}"')
    return found
