"""A shell in a pseudo-terminal, driven by typed input."""

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

WAIT_S = 60.0
PROMPT = re.compile(r"[$%] (\x1b\[\?2004h)?$")  # of bash and of zsh, which then turns bracketed paste on


def type_at(shell: Sequence[str], line: str, expected: str, *, env: Mapping[str, str], cwd: Path | None = None) -> str:
    """Type `line` at a shell's prompt; return the screen once it shows `expected`."""
    ours, theirs = pty.openpty()
    started = subprocess.Popen(shell, env=env, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        screen = _read_until(ours, PROMPT, "")
        os.write(ours, line.encode())
        return _read_until(ours, re.compile(re.escape(expected)), screen)
    finally:
        os.close(ours)
        started.kill()
        started.wait()


def _read_until(terminal: int, pattern: re.Pattern[str], screen: str) -> str:
    deadline = time.monotonic() + WAIT_S
    while not pattern.search(screen):
        readable, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert readable, f"waited {WAIT_S} s for {pattern.pattern!r}, and the terminal shows {screen!r}"
        screen += os.read(terminal, 4096).decode(errors="replace")
    return screen
