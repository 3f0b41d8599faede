"""The client of matching_worker: start it, send it batches, and validate everything that it returns.

Everything here blocks, so it belongs in a thread.  An instance lives for one call of Matcher.match: between calls no
process exists, so nothing that one call leaves in memory can disturb the next.
"""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from signal import SIGABRT, SIGKILL, SIGPROF, SIGSEGV, Signals
from typing import IO, Any, Final, Self

from annexd.demand.packing import Resources

# The daemon's own folders of modules, and no others.
WORKER: Final = """\
import sys
sys.path[:] = sys.argv[1:]
from annexd.demand.matching_worker import main
main()
"""
READY: Final = "ready\n"
KEPT: Final = ("LD_LIBRARY_PATH", "TZ")  # the rest of the environment contains secrets, and is not needed
SILENT_S: Final = 20.0  # the supervisor ends each batch after 10 s
MAX_NEEDED: Final = 2**50
MAX_TEXT: Final = 300  # characters of a misfit or fault
MAX_PAIR_BYTES: Final = 16 + 6 * MAX_TEXT  # JSON escapes a character with six
READ_BYTES: Final = 65536


@dataclass(frozen=True)
class Question:
    """A job's ad, and the machines to compare it with, by their index."""

    text: str
    machines: Sequence[int]


@dataclass(frozen=True)
class Pair:
    """Whether both Requirements hold, and the reason against this machine, even if only the job's size."""

    matches: bool
    misfit: str | None


@dataclass(frozen=True)
class JobAnswer:
    """The needs of a job, and a pair for each machine of the question; or why there is no result."""

    needs: Resources
    pairs: tuple[Pair, ...]
    fault: str | None = None


class MatchingFailed(Exception):
    """No process can be started to evaluate ads; the text says why."""


class Rubbish(ValueError):
    """The worker wrote invalid output."""


class MatchingProcess:
    """A worker for some machines, started when it is needed.  Use as a context manager."""

    def __init__(self, machines: Sequence[str]) -> None:
        self._machines = json.dumps(machines)
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def ask(self, questions: Sequence[Question], cpu_s: float) -> tuple[list[JobAnswer], str | None]:
        """Return the results of the first questions, and what ended the worker at the next one, if any is missing.

        Raises MatchingFailed.
        """
        jobs = json.dumps([[each.text, each.machines] for each in questions])
        child = self._running()
        batch = f'{{"machines": {self._machines}, "jobs": {jobs}, "cpu_s": {cpu_s}}}\n'.encode()
        reader = AnswerReader(questions)
        try:
            status = _exchange(child, batch, reader)
        except (ValueError, OSError, EOFError) as fault:
            self._kill()
            return reader.answers, str(fault)
        return reader.answers, None if len(reader.answers) == len(questions) else _word(status, cpu_s)

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._child is None:
            try:
                self._child = _start()
                said = _first_line(self._child)
            except OSError as error:
                said = str(error)
            if said != READY:
                self._kill()
                raise MatchingFailed(f"the process that evaluates job ads does not start: {said[-MAX_TEXT:]}")
        assert self._child  # noqa: S101 - see above
        return self._child

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()  # the evaluator dies with it
            child.wait()
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe:
                    pipe.close()


def _exchange(child: "subprocess.Popen[bytes]", batch: bytes, reader: "AnswerReader") -> int:
    """Send a batch, and read its results and its status.  Raises ValueError, OSError, EOFError."""
    assert child.stdin and child.stdout and child.stderr  # noqa: S101, PT018 - pipes: see _running
    deadline_s = time.monotonic() + SILENT_S
    _write(child.stdin, batch, deadline_s)
    status = b""
    while not status.endswith(b"\n"):
        for pipe in _ready(select.POLLIN, deadline_s, child.stdout, child.stderr):
            part = _read(pipe)
            if not part:
                raise EOFError("the process that evaluates it died")
            if pipe is child.stdout:
                reader.add(part)
            else:
                status += part
    while part := _read(child.stdout):  # the output of the evaluator before it ended
        reader.add(part)
    return int(status)


def _start() -> "subprocess.Popen[bytes]":
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", WORKER, *(folder for folder in sys.path if os.path.isabs(folder))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(os.environ),
        cwd="/",
        bufsize=0,
    )
    for pipe in (child.stdin, child.stdout, child.stderr):
        assert pipe  # noqa: S101
        os.set_blocking(pipe.fileno(), False)
    return child


def _first_line(child: "subprocess.Popen[bytes]") -> str:
    """Return the supervisor's ready line, or its error instead."""
    assert child.stderr  # noqa: S101 - a pipe
    deadline_s, said = time.monotonic() + SILENT_S, b""
    while not said.endswith(READY.encode()) and _ready(select.POLLIN, deadline_s, child.stderr):
        part = _read(child.stderr)
        if not part:
            break
        said += part
    return said.decode(errors="replace")


class AnswerReader:
    """Reads bytes as they arrive, and keeps the valid answers, which come in the order of the questions."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._questions = questions
        self.answers: list[JobAnswer] = []
        self._rest = b""

    def add(self, part: bytes) -> None:
        """Parse further bytes.  Raises Rubbish."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            if len(self.answers) == len(self._questions):
                raise Rubbish("the worker answers more than it was asked")
            self._add_line(line)
        if len(self._rest) > self._most_bytes():
            raise Rubbish("the worker's answer is too long")

    def _most_bytes(self) -> int:
        machines = max((len(each.machines) for each in self._questions), default=0)
        return READ_BYTES + MAX_PAIR_BYTES * machines

    def _add_line(self, line: bytes) -> None:
        index = len(self.answers)
        try:
            self.answers.append(validated(json.loads(line), index, len(self._questions[index].machines)))
        except (ValueError, RecursionError) as error:
            raise Rubbish("the worker's answer is invalid") from error


def validated(answer: Any, index: int, machines: int) -> JobAnswer:
    """Return an answer that has exactly what was requested.  Raises Rubbish."""
    _require(isinstance(answer, dict) and answer.get("job") == index and type(answer["job"]) is int)
    if "fault" in answer:
        _require(answer.keys() == {"job", "fault"})
        return JobAnswer(Resources(0, 0), (), _text(answer["fault"]))
    _require(answer.keys() == {"job", "needs", "pairs"})
    needs, pairs = answer["needs"], answer["pairs"]
    _require(isinstance(needs, list) and len(needs) == 4)
    _require(all(type(each) is int and 0 <= each <= MAX_NEEDED for each in needs))
    _require(isinstance(pairs, list) and len(pairs) == machines)
    return JobAnswer(Resources(*needs), tuple(map(_pair, pairs)))


def _pair(pair: Any) -> Pair:
    _require(isinstance(pair, list) and len(pair) == 2)
    matches, misfit = pair
    _require(isinstance(matches, bool) and (matches or misfit is not None))
    return _shared(matches, None if misfit is None else _text(misfit))


@lru_cache(10_000)
def _shared(matches: bool, misfit: str | None) -> Pair:
    """Return one object for equal pairs: few differ, and 40,000 more objects would slow down the garbage collector."""
    return Pair(matches, misfit)


def _text(text: Any) -> str:
    _require(isinstance(text, str) and len(text) <= MAX_TEXT)
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def _require(is_valid: bool) -> None:
    if not is_valid:
        raise Rubbish


def _environment(whole: Mapping[str, str]) -> dict[str, str]:
    """Return the worker's environment: without a configuration, so that it loads no libraries of ClassAd functions."""
    return {"CONDOR_CONFIG": "ONLY_ENV", **{name: whole[name] for name in KEPT if name in whole}}


def _word(status: int, cpu_s: float) -> str:
    """Return how the evaluation of a job ended."""
    if status == -SIGPROF:
        return f"evaluating it takes more than {cpu_s:g} s"
    if status == -SIGSEGV:
        return "evaluating it recurses too deeply"
    if status == -SIGABRT:
        return "evaluating it takes too much memory"
    if status == -SIGKILL:
        return "evaluating it does not end"
    return f"evaluating it ended by {Signals(-status).name}" if -status in set(Signals) else "evaluating it failed"


def _ready(event: int, deadline_s: float, *pipes: IO[bytes]) -> list[IO[bytes]]:
    """Wait for pipes, and return those that are ready.  Raises TimeoutError."""
    poll = select.poll()
    for pipe in pipes:
        poll.register(pipe, event)
    found = {descriptor for descriptor, _ in poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000)}
    if not found:
        raise TimeoutError("the process that evaluates it does not answer")
    return [pipe for pipe in pipes if pipe.fileno() in found]


def _read(pipe: IO[bytes]) -> bytes:
    """Return the available bytes; empty at the end, or if nothing is waiting."""
    try:
        return os.read(pipe.fileno(), READ_BYTES)
    except BlockingIOError:
        return b""


def _write(pipe: IO[bytes], batch: bytes, deadline_s: float) -> None:
    view = memoryview(batch)
    while view:
        _ready(select.POLLOUT, deadline_s, pipe)
        view = view[os.write(pipe.fileno(), view) :]
