"""Evaluate what users wrote, in a process that may die of it: see matching.

Requirements are programs of strangers.  They may recurse until the stack overflows, concatenate strings until memory
runs out, or have a regular expression search for hours.  So annexd starts a supervisor (`main`), which forks an
evaluator for each batch of jobs.  The supervisor has annexd's rights, parses and evaluates nothing, and kills the
evaluator in time.  The evaluator has no rights to root's or annexd's files, can open no file and start no process, and
has little memory; the kernel kills it as soon as one job has used its CPU time.

A batch is a JSON object on one line, `{"machines": [text], "jobs": [[text, [index of a machine]]], "cpu_s": number}`.
The evaluator writes a line for each job to standard output, `{"job": index, "needs": [cpus, MiB, KiB, GPUs], "pairs":
[[matches, text or null]]}` or `{"job": index, "fault": text}`.  Once it is gone, the supervisor writes its exit status
to standard error, where the evaluator cannot write.
"""

import ctypes
import json
import math
import os
import pwd
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn

import classad2

from annexd.condor import bindings
from annexd.condor.values import Unsafe
from annexd.demand.clauses import clauses, shown

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
PR_SET_DUMPABLE: Final = 4
PR_SET_NO_NEW_PRIVS: Final = 38
ROOT: Final = 0
NOBODY: Final = "nobody"
NOBODY_ID: Final = 65534  # if there is no such account
BATCH_S: Final = 10.0  # elapsed time for a batch: it takes tenths of a second on an idle machine
MEMORY_BYTES: Final = 128 * 1024 * 1024  # beyond that of Python and the bindings
STACK_BYTES: Final = 8 * 1024 * 1024
MAX_NEEDED: Final = 2**50
MAX_EXPANSIONS: Final = 8  # from Requirements to START to WithinResourceLimits, and so on
RESOURCES: Final = (("RequestCpus", "Cpus", 1), ("RequestMemory", "Memory", 0), ("RequestDisk", "Disk", 0))
GPUS: Final = ("RequestGPUs", "GPUs", 0)

_libc = ctypes.CDLL(None, use_errno=True)


class UnusableAd(Exception):
    """An ad that cannot be evaluated; the text says why, worded for a job's ad."""


# The supervisor.


def main() -> None:
    """Run an evaluator for each line of standard input, until it ends."""
    if os.getuid() == ROOT:
        os.setresuid(ROOT, ROOT, ROOT)  # to kill evaluators, which have another user
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    memory_bytes, supervisor = _own_bytes() + MEMORY_BYTES, os.getpid()
    _write(2, b"ready\n")
    while line := sys.stdin.buffer.readline():
        evaluator = os.fork()
        if evaluator == 0:
            os.close(2)
            _run_evaluator(line, memory_bytes, supervisor)
        _write(2, b"%d\n" % _status_of(evaluator, time.monotonic() + BATCH_S))


def _status_of(evaluator: int, deadline_s: float) -> int:
    """Wait for the evaluator, kill it at the deadline, and return its exit status, negative for a signal."""
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, max(deadline_s - time.monotonic(), 0))
        is_late = time.monotonic() >= deadline_s
        if is_late:
            os.kill(evaluator, signal.SIGKILL)
        pid, status = os.waitpid(evaluator, 0 if is_late else os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)


def _own_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _write(descriptor: int, line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[os.write(descriptor, view) :]


# The evaluator.


def _run_evaluator(line: bytes, memory_bytes: int, supervisor: int) -> NoReturn:
    """Answer a batch and exit, with 0 if every job has an answer."""
    status = 1
    try:
        _confine(memory_bytes, supervisor)
        request = json.loads(line)
        evaluator = Evaluator(request["machines"])
        for index, (text, machines) in enumerate(request["jobs"]):
            signal.setitimer(signal.ITIMER_PROF, request["cpu_s"])
            answer = {"job": index, **evaluator.answer(text, machines)}
            _write(1, json.dumps(answer).encode() + b"\n")
        status = 0
    except MemoryError:
        os.abort()  # as the bindings do
    finally:
        os._exit(status)


def _confine(memory_bytes: int, supervisor: int) -> None:
    """Drop every right that evaluation does not need."""
    if os.getuid() == ROOT:
        uid, gid = _nobody()
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after the change of user, which resets it
    if os.getppid() != supervisor:
        os.kill(os.getpid(), signal.SIGKILL)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_DUMPABLE, 0)  # other processes of the same user cannot trace it
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _limit(resource.RLIMIT_STACK, STACK_BYTES)
    _limit(resource.RLIMIT_AS, memory_bytes)
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        _limit(kind, 0)  # the pipes are open already


def _nobody() -> tuple[int, int]:
    try:
        account = pwd.getpwnam(NOBODY)
    except KeyError:
        return NOBODY_ID, NOBODY_ID
    return account.pw_uid, account.pw_gid


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def _limit(kind: int, wanted: int) -> None:
    _, hard = resource.getrlimit(kind)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (most, most))


class Evaluator:
    """Compares jobs with the machines of one batch."""

    def __init__(self, machines: Sequence[str]) -> None:
        self._texts = machines
        self._machines: dict[int, Side] = {}

    def answer(self, text: str, machines: Sequence[int]) -> dict[str, Any]:
        try:
            job = Side(text)
            needs = needs_of(job.ad)
            return {"needs": needs, "pairs": [self._pair(job, needs, self._machine(each)) for each in machines]}
        except (UnusableAd, Unsafe) as fault:
            return {"fault": shown(str(fault))}

    def _machine(self, index: int) -> "Side":
        if index not in self._machines:
            self._machines[index] = Side(self._texts[index])
        return self._machines[index]

    @staticmethod
    def _pair(job: "Side", needs: Sequence[int], machine: "Side") -> tuple[bool, str | None]:
        """Return whether both Requirements hold, and the reason against the pair, even if only the job's size."""
        if not job.accepts(machine):
            return False, f"the job requires {job.refusal(machine)}"
        if not machine.accepts(job):
            return False, f"the machine requires {machine.refusal(job)}"
        return True, _too_small(needs, machine.sizes)


class Side:
    """One of two compared ads, whose Requirements are split into clauses if they refuse."""

    def __init__(self, text: str) -> None:
        """Parse an ad.  Raises Unsafe, UnusableAd."""
        try:
            self.ad: Any = bindings.parse_ad(text)
        except classad2.ClassAdException as error:
            raise UnusableAd("the ad is not a ClassAd") from error

    def accepts(self, other: "Side") -> bool:
        """Return whether Requirements are true, with the other ad as TARGET."""
        try:
            return bool(other.ad.matches(self.ad))
        except classad2.ClassAdException:  # beyond the library's own limits: the negotiator sees no match
            return False

    def refusal(self, other: "Side") -> str:
        """Return the first clause of Requirements that is not true."""
        for text, expression in self._clauses:
            if not _holds(expression, self.ad, other.ad):
                return shown(text)
        return shown(self._text("Requirements"))

    @cached_property
    def sizes(self) -> Sequence[int | None]:
        """Return the machine's amount of each resource, None if its ad lacks it."""
        *sizes, gpus = (_number(_value(self.ad, has)) for _, has, _ in (*RESOURCES, GPUS))
        return [*sizes, gpus or 0]

    @cached_property
    def _clauses(self) -> Sequence[tuple[str, bindings.Expression]]:
        if "Requirements" not in self.ad:
            return ()
        texts = self._expanded(self._text("Requirements"), MAX_EXPANSIONS)
        try:
            return [(text, bindings.expression(text)) for text in texts]
        except classad2.ClassAdException:
            return ()  # refusal() shows it as a whole

    def _expanded(self, text: str, times: int) -> list[str]:
        """Split an expression; a clause that is only a name, such as START, is replaced by that attribute's clauses."""
        found: list[str] = []
        for clause in clauses(text):
            name = clause.removeprefix("MY.")
            if times and name.isidentifier() and name in self.ad:
                found += self._expanded(self._text(name), times - 1)
            else:
                found.append(clause)
        return found

    def _text(self, name: str) -> str:
        return str(self.ad.lookup(name)) if name in self.ad else f"{name}, which the ad does not have"


def _holds(expression: bindings.Expression, my: bindings.Ad, target: bindings.Ad) -> bool:
    """Judge as ClassAd.matches does, and the negotiator: a number other than 0 is true, undefined and error are not."""
    try:
        value = expression.eval(my, target)
    except classad2.ClassAdException:
        return False
    return isinstance(value, int | float) and not isinstance(value, classad2.Value) and bool(value)


def _value(ad: Any, name: str) -> Any:
    try:
        return ad.eval(name) if name in ad else classad2.Value.Undefined
    except classad2.ClassAdException:
        return classad2.Value.Error


def needs_of(job: Any) -> list[int]:
    """Return the resources that a job requests: cores, MiB, KiB and GPUs.  Raises UnusableAd."""
    return [_need(job, name, default) for name, _, default in (*RESOURCES, GPUS)]


def _need(job: Any, name: str, default: int) -> int:
    if name not in job or str(job.lookup(name)).lower() == "undefined":
        return default
    value = _value(job, name)
    number = _number(value)
    if number is None:
        raise UnusableAd(f"{name} is {_kind(value)}")
    if number < 0:
        raise UnusableAd(f"{name} is negative ({value})")
    if number > MAX_NEEDED:
        raise UnusableAd(f"{name} is {value}, more than any machine has")
    return number


def _number(value: object) -> int | None:
    """Return a number, rounded up, or None for anything else."""
    if isinstance(value, bool | classad2.Value) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return math.ceil(value)


def _kind(value: object) -> str:
    kinds: Mapping[type, str] = {bool: "a boolean", str: "a string", float: "not finite", list: "a list"}
    if isinstance(value, classad2.Value):
        return value.name.lower() if value is classad2.Value.Undefined else "an error"
    return kinds.get(type(value), "not a number")


def _too_small(needs: Sequence[int], sizes: Sequence[int | None]) -> str | None:
    for (request, name, _), need, size in zip((*RESOURCES, GPUS), needs, sizes, strict=True):
        if size is not None and need > size:
            return f"{request} is {need}, the machine has {name} = {size}"
    return None
