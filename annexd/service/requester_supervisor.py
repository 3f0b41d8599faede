"""Run one job with the requester's rights, and leave no process of it behind.

annexd runs this file stand-alone (`main`), with a pipe whose other end it keeps.  The supervisor forks a worker that
becomes the requester, reads its answer, and kills every process that the worker has started: as the reaper of its
descendants (prctl(2), PR_SET_CHILD_SUBREAPER) it inherits those that would otherwise continue as daemons.  The
supervisor has annexd's rights, so that the requester cannot stop or kill it; it runs none of the requester's programs
and does not parse the answer.  If annexd exits, the pipe closes and the supervisor still kills the processes.
"""

import ctypes
import json
import os
import resource
import runpy
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
ROOT = 0
KILL_S = 5.0  # for killing all processes; annexd waits longer than this
LOOK_S = 0.01  # between two looks for remaining processes
MAX_ANSWER = 65536  # bytes: the capacity of a pipe without a reader
CPU_S = 60  # for each process of the requester
MAX_DESCRIPTORS = 256
STANDALONE = "requester_standalone.py"
LATE = "no answer within {:g} s from its credential_process, from SSO or from STS"


def main(life: int) -> None:
    """Read the request; print the worker's answer, or a fault.  `life` is a pipe that closes when annexd exits."""
    request: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    _become_reaper()
    answers, answering = os.pipe()
    if os.fork() == 0:
        os.close(answers)
        os.close(life)
        _run_worker(request, answering)
    os.close(answering)
    answer = _answer(answers, life, time.monotonic() + request["timeout_s"])
    _kill_children(time.monotonic() + KILL_S)
    sys.stdout.buffer.write(
        json.dumps({"fault": LATE.format(request["timeout_s"])}).encode() if answer is None else answer
    )


def _become_reaper() -> None:
    if os.getuid() == ROOT:
        os.setresuid(ROOT, ROOT, ROOT)  # HTCondor's user, annexd's effective one, cannot kill the requester's processes
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _answer(pipe: int, life: int, deadline_s: float) -> bytes | None:
    """Return the worker's answer; None if it is late or too large, or if annexd has exited."""
    answer = b""
    while len(answer) <= MAX_ANSWER and (left_s := deadline_s - time.monotonic()) > 0:
        ready, _, _ = select.select([pipe, life], [], [], left_s)
        if pipe in ready:
            part = os.read(pipe, MAX_ANSWER)
            if not part:
                return answer
            answer += part
        elif life in ready:
            return None
    return None


def _kill_children(deadline_s: float) -> None:
    """Kill children until none is left: orphans of each one that ends become children of the supervisor.

    Only children are killed: their process IDs cannot be reused before the supervisor has waited for them.
    """
    while time.monotonic() < deadline_s:
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            return
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_S)


def _children() -> list[int]:
    return [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == os.getpid()]


def _parent(stat: Path) -> int:
    """Return the parent's ID from /proc/PID/stat, where the name may contain anything (proc(5)); 0 if it is gone."""
    try:
        return int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


# In the worker.


def _run_worker(request: dict[str, Any], answering: int) -> NoReturn:
    """Run the job with the requester's rights and environment, and nothing of annexd's."""
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        _limit()
        _close_standard_streams()
        if os.getuid() == ROOT:
            become = runpy.run_path(str(Path(__file__).with_name(STANDALONE)))["become"]
            become(request["uid"], request["groups"])
        os.environ.clear()
        os.environ.update(request["environment"])
        with suppress(OSError):
            os.chdir(request["environment"]["HOME"])
        sys.path[:] = request["path"]
        os.write(answering, json.dumps(_answer_of_program(request)).encode())
    finally:
        os._exit(0)


def _answer_of_program(request: dict[str, Any]) -> Any:
    try:
        return runpy.run_path(request["program"])["answer"](request)
    except OSError as error:
        return {"fault": f"{request['environment']['USER']} cannot read annexd's own programs: {error}"}


def _limit() -> None:
    """Limit the requester's resources; if memory runs out, the kernel kills this process rather than annexd."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(MAX_DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _close_standard_streams() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.close(nothing)
