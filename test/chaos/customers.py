"""Those who order, and cancel: each asks until it has an answer, and later again; a killed client is started again."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from test.chaos.house import House

LEASE_S = (15.0, 40.0)
PAUSE_S = (0.0, 1.5)
ASKS_AGAIN = 0.4  # of those that have their answer


@dataclass
class Order:
    """One CommandID and every answer to it."""

    command_id: str
    ad: dict[str, Any]
    replies: list[dict[str, Any]] = field(default_factory=list)
    clients: int = 0  # that were started for it
    faults: list[str] = field(default_factory=list)  # clients that ended by themselves without an answer
    cancellation: Order | None = None  # its own command


class Customer:
    """A thread that orders, one annex after another, until it is told to stop, and `cancels` so many of them."""

    def __init__(self, house: House, name: str, dice: random.Random, cancels: float) -> None:
        self.orders: list[Order] = []
        self._cancels = cancels
        self._house, self._name, self._dice = house, name, dice
        self._client: subprocess.Popen[str] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let it place no further order; it still waits for the answer to its last one."""
        self._stop.set()

    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def kill_client(self) -> bool:
        """kill -9 of the client that waits now; whether there was one."""
        client = self._client
        if client is None or client.poll() is not None:
            return False
        client.send_signal(signal.SIGKILL)
        return True

    def _run(self) -> None:
        while not self._stop.wait(self._dice.uniform(*PAUSE_S)):
            end_s = int(time.time() + self._dice.uniform(*LEASE_S))
            command_id = f"{self._name}-{len(self.orders)}"
            order = Order(command_id, self._house.ad(command_id, end_s, self._dice.randint(1, 3)))
            self.orders.append(order)
            self._ask(order)
            if self._dice.random() < ASKS_AGAIN:
                self._ask(order)
            if order.replies and order.replies[0]["Result"] == "Success" and self._dice.random() < self._cancels:
                command_id = f"{command_id}-ends"
                ad = self._house.cancel_ad(command_id, str(order.replies[0]["AnnexID"]))
                order.cancellation = Order(command_id, ad)
                self._ask(order.cancellation)

    def _ask(self, order: Order) -> None:
        while not order.faults:
            order.clients += 1
            self._client = client = self._house.start_client(order.ad)
            said, complained = client.communicate()
            if said.strip():
                order.replies.append(json.loads(said))
                return
            if client.returncode != -signal.SIGKILL:
                order.faults.append(f"status {client.returncode}: {complained[-500:]}")
