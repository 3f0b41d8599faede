"""Disk failures that the kernel injects, in this process only."""

import contextlib
import ctypes
import os
import platform
import resource
import struct
from collections.abc import Iterator
from pathlib import Path

SYNC_CALLS = {"x86_64": (74, 75), "aarch64": (82, 83)}  # fsync, fdatasync
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2  # linux/prctl.h, linux/seccomp.h
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
ALLOW, ERRNO_EIO = 0x7FFF0000, 0x00050005  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | EIO


@contextlib.contextmanager
def full(path: Path) -> Iterator[None]:
    """Let no file of this process grow beyond the size of this one meanwhile, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fail_every_sync() -> None:
    """Make every later fsync of this process fail: the disk may have the bytes, but does not confirm them."""
    fsync, fdatasync = SYNC_CALLS[platform.machine()]
    program = [
        (LOAD_NUMBER, 0, 0, 0),
        (JUMP_IF_EQUAL, 2, 0, fsync),
        (JUMP_IF_EQUAL, 1, 0, fdatasync),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, ERRNO_EIO),
    ]
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code)
    head = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
