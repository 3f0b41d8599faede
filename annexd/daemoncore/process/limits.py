"""Resource limits of the process, and the environment of its children: enough descriptors, no keys in core files."""

import contextlib
import os
import resource
from collections.abc import Mapping

from annexd.daemoncore import log
from annexd.daemoncore.config.parameters import Parameters
from annexd.daemoncore.privileges import ROOT
from annexd.daemoncore.program import knob

AWS_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def for_child(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the daemon's own AWS keys: no child calls AWS."""
    return {name: value for name, value in environment.items() if name not in AWS_SECRETS}


def raise_limits() -> None:
    """Raise the hard limit of descriptors to the configured number, while the process is still root."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _descriptors(Parameters())
    if os.geteuid() == ROOT and hard != resource.RLIM_INFINITY and wanted > hard:
        with contextlib.suppress(OSError, ValueError):  # above fs.nr_open; set_limits reports the shortfall
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))


def set_limits() -> None:
    """Set soft limits by MAX_FILE_DESCRIPTORS, the daemon's own first, and <SUBSYSTEM>_CREATE_CORE_FILES.

    CREATE_CORE_FILES is true by default (param_info.in), but the daemon's core files would hold session keys and AWS
    keys, so it has its own knob, which is false by default.  Raises BadConfiguration.
    """
    look_up = Parameters()
    descriptors = _descriptors(look_up)
    wants_core = look_up.boolean(knob("CREATE_CORE_FILES"), False)
    look_up.check()
    if descriptors:
        _set_soft(resource.RLIMIT_NOFILE, descriptors)
    _set_soft(resource.RLIMIT_CORE, resource.RLIM_INFINITY if wants_core else 0)


def _descriptors(look_up: Parameters) -> int:
    """Return the configured number of descriptors; 0 keeps the inherited limit."""
    return look_up.own_integer("MAX_FILE_DESCRIPTORS", 0)


def _set_soft(kind: int, wanted: int) -> None:
    """Set the soft limit, at most to the hard one."""
    _, hard = resource.getrlimit(kind)
    reachable = hard if wanted == resource.RLIM_INFINITY else wanted
    soft = reachable if hard == resource.RLIM_INFINITY else min(reachable, hard)
    resource.setrlimit(kind, (soft, hard))
    if soft != wanted and wanted != resource.RLIM_INFINITY:
        log.always(f"WARNING: MAX_FILE_DESCRIPTORS is {wanted}, but the hard limit is {soft}")
