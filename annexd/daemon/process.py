"""What the kernel allows this process: descriptors for many connections, and no core file full of keys."""

import resource

from annexd.daemon import log
from annexd.daemon.parameters import Parameters


def set_limits() -> None:
    """By ANNEXD_MAX_FILE_DESCRIPTORS, else MAX_FILE_DESCRIPTORS, and ANNEXD_CREATE_CORE_FILES.  Raises
    BadConfiguration.

    CREATE_CORE_FILES is true by default (param_info.in), and our core files would hold session keys and AWS keys: so
    annexd has a knob of its own, which is false by default.
    """
    look_up = Parameters()
    descriptors = look_up.integer("ANNEXD_MAX_FILE_DESCRIPTORS", look_up.integer("MAX_FILE_DESCRIPTORS", 0))
    wants_core = look_up.boolean("ANNEXD_CREATE_CORE_FILES", False)
    look_up.check()
    if descriptors:
        _set_soft(resource.RLIMIT_NOFILE, descriptors)
    _set_soft(resource.RLIMIT_CORE, resource.RLIM_INFINITY if wants_core else 0)


def _set_soft(kind: int, wanted: int) -> None:
    """The soft limit, as far as the hard one reaches."""
    _, hard = resource.getrlimit(kind)
    reachable = hard if wanted == resource.RLIM_INFINITY else wanted
    soft = reachable if hard == resource.RLIM_INFINITY else min(reachable, hard)
    resource.setrlimit(kind, (soft, hard))
    if soft != wanted and wanted != resource.RLIM_INFINITY:
        log.always(f"WARNING: of the {wanted} file descriptors of MAX_FILE_DESCRIPTORS only {soft} can be had")
