"""What the kernel allows this process, and what its children see: room for connections; no keys in core files."""

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
    """Without AWS keys that the daemon may have been given for itself: no child calls AWS."""
    return {name: value for name, value in environment.items() if name not in AWS_SECRETS}


def raise_limits() -> None:
    """What only root may, before the daemon becomes HTCondor's user: room for the descriptors that are configured."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _descriptors(Parameters())
    if os.geteuid() == ROOT and hard != resource.RLIM_INFINITY and wanted > hard:
        with contextlib.suppress(OSError, ValueError):  # fs.nr_open is the end; set_limits says what could not be had
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))


def set_limits() -> None:
    """By MAX_FILE_DESCRIPTORS, the daemon's own first, and <SUBSYSTEM>_CREATE_CORE_FILES: at start and at reconfig.
    Raises BadConfiguration.

    CREATE_CORE_FILES is true by default (param_info.in), and our core files would hold session keys and AWS keys: so
    the daemon has a knob of its own, which is false by default.
    """
    look_up = Parameters()
    descriptors = _descriptors(look_up)
    wants_core = look_up.boolean(knob("CREATE_CORE_FILES"), False)
    look_up.check()
    if descriptors:
        _set_soft(resource.RLIMIT_NOFILE, descriptors)
    _set_soft(resource.RLIMIT_CORE, resource.RLIM_INFINITY if wants_core else 0)


def _descriptors(look_up: Parameters) -> int:
    """0: as many as were inherited."""
    return look_up.own_integer("MAX_FILE_DESCRIPTORS", 0)


def _set_soft(kind: int, wanted: int) -> None:
    """The soft limit, as far as the hard one reaches."""
    _, hard = resource.getrlimit(kind)
    reachable = hard if wanted == resource.RLIM_INFINITY else wanted
    soft = reachable if hard == resource.RLIM_INFINITY else min(reachable, hard)
    resource.setrlimit(kind, (soft, hard))
    if soft != wanted and wanted != resource.RLIM_INFINITY:
        log.always(f"WARNING: of the {wanted} file descriptors of MAX_FILE_DESCRIPTORS only {soft} can be had")
