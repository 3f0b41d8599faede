"""The child process that makes network calls with the bindings.

A call into the bindings may block for 20 s, which stalls every other call of its process, and a malformed address
aborts the process (measured with 25.14.1).  So a daemon makes these calls in a child that may be killed at any time.

The worker writes the line READY, reads one JSON object per line, `{"id", "call", ...}`, and writes one per line,
`{"id", "result", "error"}`; error is null if the call was delivered.  The end of standard input ends the process at
once, even during a call.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import htcondor2

from annexd.condor import bindings
from annexd.daemoncore.privileges import become_root_again

READY = "ready"
DC_SET_READY = 60043  # condor_commands.h
AUTOCLUSTERS = range(2**31)
MOST_LOOKS = 20
BETWEEN_LOOKS_S = 0.1
SENT_WITHOUT_REPLY = 3  # _send_generic_payload_command: delivered, and the peer closed without a reply ad


def alive(address: str, pid: int, hang_after_s: int) -> None:
    """Send DC_CHILDALIVE: the parent considers the daemon hung if no further one comes within `hang_after_s`."""
    bindings.send_alive(address, pid, hang_after_s)


def ready(address: str, pid: int, name: str, state: str) -> None:
    """Send DC_SET_READY, which has no reply; htcondor2.set_ready_state would send the pid of this process."""
    ad = {"DaemonPID": pid, "DaemonName": name, "DaemonState": state}
    _reply, code, text = bindings.exchange(address, DC_SET_READY, ad)
    if code not in (0, SENT_WITHOUT_REPLY):
        raise htcondor2.HTCondorException(text)


def advertise(collector: str, command: str, ads: list[str]) -> None:
    bindings.advertise(collector, command, [bindings.parse_ad(ad) for ad in ads])


def advertise_copies(
    collector: str,
    command: str,
    ad: str,
    without: list[str],
    computed: Mapping[str, str],
    defaults: Mapping[str, str],
    copies: list[Mapping[str, str]],
) -> None:
    """Advertise an ad once for each of `copies`, with these expressions in it: see bindings.changed_copy."""
    ads = [bindings.changed_copy(ad, without, each, computed, defaults) for each in copies]
    bindings.advertise(collector, command, ads)


def offline_matches(collector: str, constraint: str, attributes: list[str], limit: int) -> list[list[Any]]:
    """Return these attributes of offline machines, and the matches that negotiators have written into the ad of each: a
    list of pairs, a schedd's address and an autocluster, at most `limit` in total.

    A negotiator responds to queries about a cycle before all its matches are in the collector, so this repeats the
    query until nothing is added.
    """
    found = _offline_matches(collector, constraint, attributes, limit)
    for _ in range(MOST_LOOKS):
        time.sleep(BETWEEN_LOOKS_S)
        before, found = found, _offline_matches(collector, constraint, attributes, limit)
        if found == before:
            break
    return found


def _offline_matches(collector: str, constraint: str, attributes: list[str], limit: int) -> list[list[Any]]:
    found = []
    for ad in bindings.query_kind("Startd", collector, constraint, [*attributes, "OfflineMatches"]):
        records = _records(ad.get("OfflineMatches"))[:limit]
        limit -= len(records)
        found.append([*(bindings.plain(ad.get(name)) for name in attributes), records])
    return found


def _records(matches: object) -> list[tuple[str, int]]:
    found = []
    for each in matches if isinstance(matches, list) else ():
        schedd, autocluster = each.get("Scheduler"), each.get("AutoclusterID")
        if isinstance(schedd, str) and isinstance(autocluster, int) and autocluster in AUTOCLUSTERS:
            found.append((schedd, autocluster))
    return found


def standings(address: str) -> list[list[Any]]:
    """Return for each user in a negotiator's accountant: name, priority factor, ceiling, whether it is a group, and its
    quota.
    """
    names = ("Name", "PriorityFactor", "Ceiling", "IsAccountingGroup", "ConfigQuota")
    return [[bindings.plain(each.get(name)) for name in names] for each in bindings.accounting(address)]


def set_standings(address: str, standings: list[tuple[str, float, int]]) -> None:
    for user, factor, ceiling in standings:
        bindings.set_priority_factor(address, user, factor)
        bindings.set_ceiling(address, user, ceiling)


def query(kind: str, collector: str, constraint: str, attributes: list[str]) -> list[list[Any]]:
    """Return these attributes of each ad of one kind in a collector; null for one without a plain value."""
    ads = bindings.query_kind(kind, collector, constraint, attributes)
    return [[bindings.plain(ad.get(name)) for name in attributes] for ad in ads]


Calls = Mapping[str, Callable[..., Any]]
CALLS: Calls = {
    "alive": alive,
    "ready": ready,
    "advertise": advertise,
    "advertise_copies": advertise_copies,
    "offline_matches": offline_matches,
    "query": query,
    "set_standings": set_standings,
    "standings": standings,
}


def answer(line: str, calls: Calls = CALLS) -> dict[str, Any]:
    request = json.loads(line)
    identity, call = request.pop("id"), request.pop("call")
    try:
        result = calls[call](**request)
    except Exception as error:  # noqa: BLE001 - the edge of the worker: the caller judges every fault
        return {"id": identity, "result": None, "error": str(error) or type(error).__name__}
    return {"id": identity, "result": result, "error": None}


def _read_lines(lines: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)  # the daemon has ended or closed the pipe: nothing here is worth finishing


def main(subsystem: str, calls: Calls = CALLS) -> None:
    become_root_again()
    for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signo, signal.SIG_IGN)  # only the daemon ends this process
    htcondor2.set_subsystem(subsystem, htcondor2.SubsystemType.Daemon)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(lines,), daemon=True).start()
    print(READY, flush=True)
    while True:
        print(json.dumps(answer(lines.get(), calls)), flush=True)
