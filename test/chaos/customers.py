"""The customers, who order and cancel.

Each repeats a request until it has a reply, and may repeat it later; a killed client is started again.

Half of the orders are typed: real condor_annex processes place them.  Each must end with the ID of its fleet, the
reason for a failure, the command that queries the outcome, or a message that nothing was sent.
"""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from annexd.tool.errors import CLOUD_FAILED, COMMUNICATION, NOT_AUTHORIZED, NOT_FOUND, OK, REFUSED
from test.chaos.site import ChaosSite

LEASE_S = (15.0, 40.0)
LONG_LEASE_S = (140.0, 160.0)  # for a moved end, which annexd moves no later than 120 s before it
EXTENSION_S, SHORT_S = 20, 15
PAUSE_S = (0.0, 1.5)
ASKS_AGAIN = 0.4  # of the customers that have their reply
TYPED = 0.5  # of all orders
PATIENCE_S = 120  # of condor_annex
RESULTS = {OK: "Success", CLOUD_FAILED: "Failure", REFUSED: "InvalidRequest"}  # by the status of condor_annex
UNANSWERED = {COMMUNICATION, NOT_FOUND, NOT_AUTHORIZED}  # NOT_AUTHORIZED: from an annexd that is just starting
ANNEX = re.compile(r"\bannex (annex-[0-9a-f]{20})\b")


@dataclass
class Order:
    """One CommandID and every reply to it."""

    command_id: str
    ad: dict[str, Any]
    replies: list[dict[str, Any]] = field(default_factory=list)
    clients: int = 0  # the number started for it
    faults: list[str] = field(default_factory=list)  # of clients that ended by themselves without a reply
    cancellation: Order | None = None  # a separate command
    change: Order | None = None  # likewise
    typed: tuple[str, ...] | None = None  # the arguments of the condor_annex that places the order
    ends: Counter[str] = field(default_factory=Counter)  # how the processes of condor_annex ended


@dataclass(frozen=True)
class Habits:
    """The shares of all annexes that are cancelled, extended and shortened."""

    cancels: float
    extends: float
    shortens: float

    def choose(self, dice: random.Random) -> str:
        shares = {"cancel": self.cancels, "extend": self.extends, "shorten": self.shortens}
        [chosen] = dice.choices([*shares, ""], [*shares.values(), 1 - sum(shares.values())])
        return chosen


class Customer:
    """A thread that orders one annex after another until stop(), and cancels or moves some by its habits."""

    def __init__(self, site: ChaosSite, name: str, dice: random.Random, habits: Habits) -> None:
        self.orders: list[Order] = []
        self._habits = habits
        self._site, self._name, self._dice = site, name, dice
        self._client: subprocess.Popen[str] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Place no further order; the thread still waits for the reply to its last one."""
        self._stop.set()

    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def kill_client(self) -> bool:
        """Kill the waiting client with kill -9; return whether there was one."""
        client = self._client
        if client is None or client.poll() is not None:
            return False
        client.send_signal(signal.SIGKILL)
        return True

    def _run(self) -> None:
        while not self._stop.wait(self._dice.uniform(*PAUSE_S)):
            then = self._habits.choose(self._dice)
            lease_s = int(self._dice.uniform(*(LONG_LEASE_S if then in ("extend", "shorten") else LEASE_S)))
            command_id, capacity = f"{self._name}-{len(self.orders)}", self._dice.randint(1, 3)
            order = Order(command_id, self._site.ad(command_id, int(time.time()) + lease_s, capacity))
            if self._dice.random() < TYPED:
                order.typed = (
                    "-lease-duration",
                    str(lease_s),
                    "-count",
                    str(capacity),
                    "-timeout",
                    str(PATIENCE_S),
                    "-command-id",
                    command_id,
                )
            self.orders.append(order)
            self._ask(order)
            if self._dice.random() < ASKS_AGAIN:
                self._ask(order)
            if order.replies and order.replies[0]["Result"] == "Success":
                self._go_on(order, then, str(order.replies[0]["AnnexID"]))

    def _go_on(self, order: Order, then: str, annex_id: str) -> None:
        command_id = f"{order.command_id}-{then}"
        if then == "cancel":
            order.cancellation = Order(command_id, self._site.cancel_ad(command_id, annex_id))
            self._ask(order.cancellation)
        elif then:
            sooner = {"EndOfLease": int(time.time()) + SHORT_S, "Now": True}
            change = {"LeaseExtension": EXTENSION_S} if then == "extend" else sooner
            order.change = Order(command_id, self._site.change_ad(command_id, annex_id, change))
            self._ask(order.change)

    def _ask(self, order: Order) -> None:
        answers = len(order.replies)
        while not order.faults and len(order.replies) == answers:
            order.clients += 1
            if order.typed:
                self._type(order, order.typed)
            else:
                self._send(order)

    def _send(self, order: Order) -> None:
        self._client = client = self._site.start_client(order.ad)
        said, complained = client.communicate()
        if said.strip():
            order.replies.append(json.loads(said))
        elif client.returncode != -signal.SIGKILL:
            order.faults.append(f"status {client.returncode}: {complained[-500:]}")

    def _type(self, order: Order, arguments: tuple[str, ...]) -> None:
        is_known = self._site.has_accepted(order.command_id)
        self._client = client = self._site.start_condor_annex(arguments)
        said, complained = client.communicate()
        how = _end_of(client.returncode, complained, order.command_id)
        order.ends[how] += 1
        if how == "answered":
            annex = ANNEX.search(complained)
            facts = {"BulkRequestID": said.strip() or None, "AnnexID": annex[1] if annex else None}
            order.replies.append({"Result": RESULTS[client.returncode], **facts})
        elif how == "wrong" or (how == "sent nothing" and not is_known and self._site.has_accepted(order.command_id)):
            order.faults.append(f"condor_annex ended with {client.returncode}, {how}: {complained[-500:]}")


def _end_of(status: int, complained: str, command_id: str) -> str:
    """Return how a condor_annex ended, as a short phrase.

    Its lease begins when condor_annex starts.  If annexd was down until too little of the lease was left, it ends
    too late, and the next condor_annex has a new end of lease.
    """
    if status == REFUSED and ("ANNEX_MIN_LEASE" in complained or "in the past" in complained):
        return "too late"
    if status in RESULTS:
        return "answered"
    if status == -signal.SIGKILL:
        return "killed"
    if status == COMMUNICATION and f"-command-id {command_id}" in complained:
        return "shown how to ask"
    return "sent nothing" if status in UNANSWERED else "wrong"
