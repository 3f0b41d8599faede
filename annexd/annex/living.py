"""Find the accounts to reconcile: those in which something of this annexd lives, or may live.

The journal names an account by the keys and endpoints of each order.  An order that failed and is undone leaves nothing
there, nor does one whose lease ended long ago: such keys may no longer exist, and a report about them each hour would
help nobody.
"""

from typing import Final

from annexd.annex.request.account_target import AccountTarget
from annexd.annex.request.order import FleetOrder, GrowOrder, Order
from annexd.annex.steps.request_fleet import RequestFleet
from annexd.workflow import Engine, State

YOUNG_S: Final = 900.0  # after the request, a fleet may be examined early
ATTENTION_S: Final = 900.0  # around a lease's end, and after a command that changes something
LIVES_ON_S: Final = 7 * 86400.0  # after a lease's end: for so long a lease function that does nothing may go unnoticed


class Living:
    """Reads the new part of the journal at each query, and remembers only what lives.  Not thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seq = 0
        self._orders: dict[str, tuple[AccountTarget, float]] = {}  # by command ID: where, and when its lease ends
        self._leased: set[str] = set()  # those that were carried out, and are not over
        self._commanded_s: dict[str, float] = {}  # when the newest command was seen, by AccountTarget.key
        # Orders whose fleets are young or not requested yet, by command ID: their account, and the time of the fleet's
        # request once it is final.
        self._young: dict[str, tuple[str, float | None]] = {}

    def targets(self, now_s: float) -> dict[str, AccountTarget]:
        """Return the targets of living annexes by AccountTarget.key.  Raises JournalError."""
        self._seq, accepted = self._engine.accepted(self._seq)
        for state in accepted:
            self._learn(state, now_s)
        self._forget(now_s)
        return {target.key: target for target, _ in self._orders.values()}

    def attended(self, now_s: float) -> set[str]:
        """Return the accounts, as AccountTarget.key, in which something changes, has just changed or ends soon.

        After a start every living account is one of them, since nothing is known about the time in between.
        """
        commanded = {key for key, at_s in self._commanded_s.items() if abs(now_s - at_s) <= ATTENTION_S}
        ending = {target.key for target, end_s in self._orders.values() if abs(now_s - end_s) <= ATTENTION_S}
        return commanded | ending

    def fleets_asked_s(self, now_s: float) -> dict[str, list[float]]:
        """Return when the young fleets were requested, by AccountTarget.key; of those that `targets` has read."""
        asked: dict[str, list[float]] = {}
        for command_id, (key, known_s) in list(self._young.items()):
            asked_s = self._asked_s(command_id, key) if known_s is None else known_s
            if asked_s:
                asked.setdefault(key, []).append(asked_s)
            is_over = asked_s or self._young[command_id][1] is not None
            if asked_s + YOUNG_S < now_s and is_over:
                del self._young[command_id]
        return asked

    def _asked_s(self, command_id: str, key: str) -> float:
        """Return when the order's fleet was requested, or 0; remember it once the order is finished."""
        state = self._engine.state(command_id)
        asked_s = state.step(RequestFleet.name).asked_at_s
        if state.finished:
            self._young[command_id] = key, asked_s
        return asked_s

    def _learn(self, state: State, now_s: float) -> None:
        order = state.order_as(Order)
        if order is None:
            return
        self._orders[state.command_id] = order.target, order.end_of_lease_s
        self._commanded_s[order.target.key] = now_s
        fleet = order.further if isinstance(order, GrowOrder) else order
        if isinstance(fleet, FleetOrder) and fleet.valid_until_s + YOUNG_S > now_s:
            self._young[state.command_id] = order.target.key, None

    def _forget(self, now_s: float) -> None:
        finished = self._orders.keys() - set(self._engine.unfinished())
        for command_id in finished:
            over = now_s > self._orders[command_id][1] + LIVES_ON_S
            if over or (command_id not in self._leased and self._engine.state(command_id).is_undone):
                del self._orders[command_id]
        self._leased = finished & self._orders.keys()
        living = {target.key for target, _ in self._orders.values()}
        self._commanded_s = {key: at_s for key, at_s in self._commanded_s.items() if key in living}
