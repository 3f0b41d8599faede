"""A thousand living annexes and ten thousand machines in the collector: the cost of -status, -wait, ads and polls.

The annexes are ordered one by one from a real annexd under condor_master; HTCondor's bindings send the machines' ads to
a real collector.  Measurements begin when annexd has seen both.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from subprocess import DEVNULL, Popen
from typing import Any

from test.bench.daemons import cpu_s
from test.bench.measure import children
from test.cloud import Cloud
from test.cloud.buckets import limit_of
from test.pool import PoolError
from test.replies import accepted
from test.system.site import Site
from test.system.tool import CONDOR_ANNEX

MACHINES_EACH = 10
AT_ONCE = 50  # orders of one client process
ATTRIBUTES = 150  # of a slot's ad, about as many as a real startd's
AIM_S, AIM_SHARE, AIM_RATE = 1.0, 0.05, 0.5
FRESH_S = 11.0  # after which annexd queries the collector again
SEEN_WITHIN_S = 180.0
ADVERTISE = """
import classad2, htcondor2, json, sys
annexes, each, attributes = json.load(sys.stdin)
filler = {f"Attribute{number}": f"value {number} of a machine" for number in range(attributes)}
collector = htcondor2.Collector()
for annex in annexes:
    names = [f"i-{annex[-12:]}{number:04x}@ip-10-0-0-1" for number in range(each)]
    common = {"Machine": "ip-10-0-0-1", "AnnexID": annex, "MyAddress": "<127.0.0.1:9>"}
    masters = [{**common, "MyType": "DaemonMaster", "Name": name} for name in names]
    slots = [{**filler, **common, "MyType": "Machine", "Name": f"slot1@{name}", "State": state}
             for number, name in enumerate(names) for state in [("Claimed", "Unclaimed")[number % 2]]]
    for command, ads in (("UPDATE_MASTER_AD", masters), ("UPDATE_STARTD_AD", slots)):
        collector.advertise([classad2.ClassAd(ad) for ad in ads], command, True)
"""


@dataclass(frozen=True)
class Use:
    """The use of some seconds: CPU time of annexd and its children, and calls to EC2 as (seconds, operation, call)."""

    seconds: float
    own_s: float
    children_s: float
    calls: Sequence[tuple[float, str, Mapping[str, Any]]]

    @property
    def share(self) -> float:
        """Return the share of one core."""
        return (self.own_s + self.children_s) / self.seconds

    def __str__(self) -> str:
        own, others = (100 * spent_s / self.seconds for spent_s in (self.own_s, self.children_s))
        return f"{100 * self.share:.1f} % of a core (annexd {own:.1f}, its children {others:.1f})"


@dataclass(frozen=True)
class Rate:
    """The rate of one operation: its part of EC2's published rate, and the most that it takes out of the bucket."""

    operation: str
    calls: int
    of_rate: float
    of_burst: float

    def __str__(self) -> str:
        return (
            f"{self.operation:34}{self.calls:5} calls, {100 * self.of_rate:5.1f} % of its published rate, "
            f"{100 * self.of_burst:3.0f} % of the bucket at most"
        )


class Scale:
    """A site with this many living annexes, and their machines in its pool."""

    def __init__(self, site: Site, annexes: int, machines_each: int = MACHINES_EACH) -> None:
        self.site, self.machines_each = site, machines_each
        self.annexes = [annex_id for first in range(0, annexes, AT_ONCE) for annex_id in self._ordered(first, annexes)]
        self.advertise()

    def _ordered(self, first: int, annexes: int) -> Iterator[str]:
        request = self.site.request(TargetCapacity=self.machines_each)
        request["LaunchSpecifications"] = request["LaunchSpecifications"][:1]
        numbers = range(first, min(first + AT_ONCE, annexes))
        replies = self.site.send(*({**request, "AnnexName": f"scale-{number}"} for number in numbers))
        yield from (str(accepted(reply)["AnnexID"]) for reply, _code in replies)

    def advertise(self) -> None:
        reported = json.dumps([self.annexes, self.machines_each, ATTRIBUTES])
        done = self.site.pool.run(sys.executable, "-c", ADVERTISE, stdin=reported, timeout_s=300.0)
        if done.returncode != 0:
            raise PoolError(done.stderr)

    def wait_until_seen(self) -> None:
        """Wait until annexd has seen all machines, in the pool and in AWS."""
        self.site.wait(lambda: all(map(self._is_seen, self.status())), "all machines in -status", SEEN_WITHIN_S)

    def _is_seen(self, annex: Mapping[str, Any]) -> bool:
        return (annex["Joined"], annex["Running"]) == (self.machines_each, self.machines_each)

    def status(self) -> list[dict[str, Any]]:
        done = self.site.pool.run(CONDOR_ANNEX, "-status", "-json")
        if done.returncode != 0:
            raise PoolError(done.stderr)
        return list(json.loads(done.stdout))

    def command_s(self, *arguments: str) -> tuple[float, str]:
        began_s = time.monotonic()
        done = self.site.pool.run(CONDOR_ANNEX, *arguments)
        if done.returncode != 0:
            raise PoolError(done.stderr)
        return time.monotonic() - began_s, done.stdout

    def use_of(self, work: Callable[[], object]) -> Use:
        pid = self.site.pid()
        self.site.cloud.clear_audit()
        began_s, own_s, others_s = time.monotonic(), cpu_s(pid), _children_s(pid)
        work()
        seconds, own_s, others_s = time.monotonic() - began_s, cpu_s(pid) - own_s, _children_s(pid) - others_s
        calls = [
            (each["time"], each["operation"], each["params"])
            for each in self.site.cloud.audit()
            if each["kind"] == "call" and each["service"] == "ec2"
        ]
        return Use(seconds, own_s, others_s, calls)


def _children_s(pid: int) -> float:
    return sum(cpu_s(each) for each in children(pid))


def rates(use: Use) -> list[Rate]:
    """Return the rates by operation; a bucket is followed call by call, since a burst within the mean may empty it."""
    found = []
    for operation in sorted({operation for _, operation, _ in use.calls}):
        calls = [(at_s, limit_of(operation, asked)) for at_s, each, asked in use.calls if each == operation]
        limit = min(limit for _, limit in calls)
        found.append(
            Rate(
                operation,
                len(calls),
                len(calls) / use.seconds / limit.per_s,
                _deepest([at_s for at_s, _ in calls], limit.per_s) / limit.burst,
            )
        )
    return found


def _deepest(calls_s: Sequence[float], per_s: float) -> float:
    """Return the most tokens that were missing in a bucket that was full before the first call."""
    missing, deepest, before_s = 0.0, 0.0, calls_s[0]
    for at_s in calls_s:
        missing, before_s = max(0.0, missing - (at_s - before_s) * per_s) + 1, at_s
        deepest = max(deepest, missing)
    return deepest


def compare(annexes: int, seconds: float, asked: int) -> None:
    """Raises PoolError."""
    print("", f"{annexes} living annexes, and {annexes * MACHINES_EACH} machines in the collector", sep="\n")
    with Cloud(speed=0) as cloud, Site(cloud) as site:
        began_s = time.monotonic()
        scale = Scale(site, annexes)
        print(f"ordered and advertised in {time.monotonic() - began_s:.0f} s", flush=True)
        scale.wait_until_seen()
        _show_commands(scale, asked)
        _show_use("nobody asks", scale.use_of(lambda: time.sleep(seconds)))
        with ExitStack() as asking:
            for arguments in (("-status", "-watch"), ("-wait", f"joined={MACHINES_EACH + 1}", scale.annexes[0])):
                asking.enter_context(_asking(scale, *arguments))
            _show_use("one -status -watch and one -wait", scale.use_of(lambda: time.sleep(seconds)))


@contextmanager
def _asking(scale: Scale, *arguments: str) -> Iterator[None]:
    """Run a client while the block runs; raises PoolError if the client ends early."""
    with Popen([CONDOR_ANNEX, *arguments], env=scale.site.pool.env, stdout=DEVNULL, stderr=DEVNULL) as process:
        yield
        still = process.poll() is None
        process.kill()
    if not still:
        raise PoolError(f"condor_annex {' '.join(arguments)} ended early")


def _show_commands(scale: Scale, times: int) -> None:
    for arguments in (("-status",), ("-status", scale.annexes[0]), ("-wait", scale.annexes[0])):
        for how, pause_s in (("asks the collector", FRESH_S), ("has just asked it", 0.0)):
            asked = [_asked(scale, arguments, pause_s) for _ in range(times)]
            took_s, client_s, annexd_s = (sorted(each) for each in zip(*asked, strict=True))
            named = " ".join("ANNEX" if each in scale.annexes else each for each in arguments)
            print(
                f"{named:16}{median(took_s):6.2f} s ({took_s[0]:.2f} to {took_s[-1]:.2f}), annexd {how} (aim: under "
                f"{AIM_S:g}); CPU time of the command {median(client_s):.2f} s, of annexd {median(annexd_s):.2f} s",
                flush=True,
            )


def _asked(scale: Scale, arguments: Sequence[str], pause_s: float) -> tuple[float, float, float]:
    """Return the command's wall time, its CPU time, and annexd's."""
    time.sleep(pause_s)
    pid, used = scale.site.pid(), resource.getrusage(resource.RUSAGE_CHILDREN)
    before_s = cpu_s(pid) + _children_s(pid)
    took_s, _ = scale.command_s(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    client_s = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return took_s, client_s, cpu_s(pid) + _children_s(pid) - before_s


def _show_use(what: str, use: Use) -> None:
    print(f"{what}, {use.seconds:.0f} s: {use} (aim: under {100 * AIM_SHARE:g} %)", flush=True)
    for rate in rates(use):
        print(f"    {rate} (aim: under {100 * AIM_RATE:g} %)", flush=True)
