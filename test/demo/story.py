"""Print the demo's steps, and run its commands exactly as shown."""

import shlex
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from test.pool import Pool

TOOL = Path(sysconfig.get_path("scripts")) / "condor_annex"
JOB = """executable = /bin/sh
transfer_executable = false
arguments = "-c 'echo This is job $(Cluster).$(Process), and I ran on $(my_name).'"
my_name = $$(Name)
output = {output}.out
error = {output}.err
log = {output}.log
should_transfer_files = yes
request_memory = 32
request_disk = 10M
queue
"""
BOLD, DIM, GREEN, PLAIN = ("\033[1m", "\033[2m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("", "", "", "")


class DemoFailed(Exception):
    """A step of the demo did not have the promised result; the message shows the actual one."""


class Story:
    """Prints each step with the seconds since the start; `tool` is the command that runs as condor_annex."""

    def __init__(self, tool: Sequence[str]) -> None:
        self._began_s, self._tool, self._is_interrupted = time.monotonic(), tool, False

    def interrupt(self, *_: object) -> None:
        """Handle Ctrl-C.  Python loses what is raised in a finalizer, so the next line raises it again."""
        self._is_interrupted = True
        raise KeyboardInterrupt

    def say(self, text: str) -> None:
        """Print a line with the time; raise KeyboardInterrupt after Ctrl-C."""
        if self._is_interrupted:
            raise KeyboardInterrupt
        print(f"{DIM}{time.monotonic() - self._began_s:5.1f} s{PLAIN}  {BOLD}{text}{PLAIN}", flush=True)

    def show(self, text: str) -> None:
        for line in text.rstrip().splitlines():
            print(f"         {line}", flush=True)

    def annex(
        self, pool: Pool, *arguments: str, env: Mapping[str, str] | None = None, last: int = 0, timeout_s: float = 60.0
    ) -> str:
        """Run condor_annex; show only the `last` lines of its progress, or all if `last` is 0."""
        self.show(f"$ {shlex.join(['condor_annex', *arguments])}")
        return self._run(pool, [*self._tool, *arguments], env, last, timeout_s)

    def ask(self, pool: Pool, *arguments: str) -> str:
        """Run condor_annex without showing it; return its standard output."""
        return pool.run(*self._tool, *arguments).stdout

    def run(self, pool: Pool, *command: str) -> str:
        """Run a command as a user would, and show it with its output; return its standard output."""
        self.show(f"$ {shlex.join([Path(command[0]).name, *command[1:]])}")
        return self._run(pool, command)

    def _run(
        self,
        pool: Pool,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        last: int = 0,
        timeout_s: float = 60.0,
    ) -> str:
        done = pool.run(*command, env=env, timeout_s=timeout_s)
        lines = done.stderr.splitlines()
        lines = ["...", *lines[-last:]] if 0 < last < len(lines) else lines
        self.show("\n".join(f"{DIM}{line}{PLAIN}" for line in lines))
        self.show(done.stdout)
        if done.returncode != 0:
            raise DemoFailed(
                f"{Path(command[0]).name} ended with status {done.returncode}; annexd's log:\n"
                f"{pool.log('ANNEXD')[-3000:]}"
            )
        return done.stdout.strip()


def wait_until(condition: Callable[[], object], what: str, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise DemoFailed(f"waited {timeout_s} s for {what}")
        time.sleep(0.2)
