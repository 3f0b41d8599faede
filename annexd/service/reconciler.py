"""Reconcile every account in which something of annexd's lives, at start and at intervals, and report violations.

This runs in its own threads and never delays an order.  Accounts are reconciled concurrently, each with its own
time-out.  A fault at one account, internal errors included, is reported for that account and does not affect others.
The accounts come from the journal; the account of annexd's own keys is added if it lends them.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.fleet.capacity_news import FleetCapacity
from annexd.annex.fleet.trouble import Trouble
from annexd.annex.index import AnnexIndex
from annexd.annex.living import Living
from annexd.annex.reconcile import LOOK_S, Report, reconcile
from annexd.annex.request.account_target import AccountTarget, own_target
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.order import FleetOrder, Order
from annexd.annex.status import NEVER_S, Snapshot
from annexd.annex.steps import StepContext
from annexd.annex.usage_recorder import UsageRecorder
from annexd.daemoncore import log
from annexd.daemoncore.threads import in_thread
from annexd.service.configuration import Configuration
from annexd.service.runtime_watch import today
from annexd.workflow import SUCCESS, JournalError, Refused, Retry

LEARN_S: Final = 10.0  # between two searches of the journal for new accounts
AT_ONCE: Final = 8  # accounts reconciled concurrently
LOOK_TIMEOUT_S: Final = LOOK_S + 60.0  # calls to endpoints end within LOOK_S: what takes longer hangs elsewhere
MIN_LOGGED_SKEW_S: Final = 30
MAX_HEARTBEATS: Final = 32  # accounts and regions in the ad; the oldest of all is always included
LEASE_FUNCTION: Final = re.compile(r"arn:[a-z-]+:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):")
LONGEST_FAULT: Final = 2000  # characters of a log line


@dataclass(frozen=True)
class EarlyLooks:
    """Looks soon after a fleet was requested: faults that prevent it from starting instances appear within minutes.

    The first comes when AWS shows the first events, up to 30 s late (EC2 API reference,
    DescribeSpotFleetRequestHistory); then, and around each change and each end, one look a minute shows what runs.
    """

    after_s: tuple[float, ...] = (35.0,)
    pause_s: float = 15.0  # between two looks at one account, however many fleets were requested there
    attended_s: float = 60.0  # between two looks while something changes there

    def is_due(self, requested_s: Iterable[float], began_s: float, now_s: float) -> bool:
        """Return whether an early look has become due since the last look began."""
        return any(began_s < each_s + after_s <= now_s for each_s in requested_s for after_s in self.after_s)


class Reconciler:
    """Reconciles all accounts; `changed` is called after each change of `status`.

    `learn` gets the reports about capacity from the histories that a look reads.
    """

    def __init__(
        self,
        context: StepContext,
        access: KeyFiles,
        index: AnnexIndex,
        defaults: Defaults,
        interval_s: int,
        changed: Callable[[], None],
        early: EarlyLooks = EarlyLooks(),
        learn: Callable[[AccountTarget, Sequence[FleetCapacity]], None] = lambda _target, _found: None,
    ) -> None:
        self._learn_capacity = learn
        self._context, self._early = context, early
        self._interval_s, self._defaults = interval_s, defaults
        self._access, self._index, self._engine, self._changed = access, index, index.engine, changed
        self._living, self.usage = Living(index.engine), UsageRecorder(index)
        self._targets: dict[str, AccountTarget] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._semaphore = asyncio.Semaphore(AT_ONCE)
        self._looked_s: dict[str, float] = {}  # monotonic
        self._began_s: dict[str, float] = {}  # start of the same look, since the epoch
        self._requested_s: Mapping[str, list[float]] = {}  # when the newest fleets were requested
        self._attended: Set[str] = frozenset()  # accounts in which something changes
        self._logged: dict[str, str] = {}  # the troubles already logged, by fleet ID
        self._reports: dict[str, Report] = {}
        self._looks: dict[str, Snapshot] = {}
        self._faults: dict[str, str] = {}
        self._warnings: dict[str, str] = {}  # of their lease functions
        self._ended = 0
        self._newest_s = 0
        self._logged_skew_s = 0
        self._last_fault = ""

    def status(self) -> Mapping[str, int | str]:
        """Return attributes of the daemon's ad: what runs in all accounts, and the faults of the newest looks."""
        reports = self._reports.values()
        found = {
            "AnnexFleets": {each for report in reports for each in report.fleets},
            "AnnexInstances": {each for report in reports for each in report.instances},
            "AnnexOverdue": {each for report in reports for each in report.overdue},
        }
        of_function = {
            "AnnexFunctionWarning": next(iter(self._warnings.values()), None),
            "AnnexFunctionFault": next((each.enforcer.fault for each in reports if each.enforcer.fault), None),
        }
        heartbeats_s = [int(each.enforcer.receipt.at_s) for each in reports if each.enforcer.receipt]
        return {
            **{name: message for name, message in of_function.items() if message},
            **({"AnnexFunctionTime": min(heartbeats_s)} if heartbeats_s else {}),
            **self._heartbeats(),
            **{name: len(each) for name, each in found.items()},
            "AnnexEndedOverdue": self._ended,
            "AnnexTroubled": len({each for look in self._looks.values() for each in look.troubles}),
            "AnnexReconcileFaults": len(self._faults),
            "AnnexReconcileTime": self._newest_s,
            "AnnexClockSkew": self._access.skew_s,
            "AnnexThrottledAccounts": self._access.throttled_accounts,
        }

    def _heartbeats(self) -> dict[str, int]:
        """Return the newest run of each lease function, by its account and region; the names are those of an ARN."""
        found: dict[str, int] = {}
        for key, report in sorted(self._reports.items()):
            if report.enforcer.receipt and (arn := LEASE_FUNCTION.match(self._targets[key].lease_function_arn)):
                name = f"AnnexFunctionTime_{arn['account']}_{arn['region'].replace('-', '_')}"
                found[name] = max(found.get(name, 0), int(report.enforcer.receipt.at_s))
        return dict(list(found.items())[:MAX_HEARTBEATS])

    def looks(self) -> dict[str, Snapshot]:
        """Return the newest look at each account.  Thread-safe."""
        return dict(self._looks)

    def targets(self) -> dict[str, AccountTarget]:
        """Return the reconciled accounts, by their keys."""
        return dict(self._targets)

    def reconfigure(self, settings: Configuration) -> None:
        self._interval_s, self._defaults = settings.reconcile_interval_s, settings.annex

    async def run(self) -> None:
        """Start each look that is due, until cancelled."""
        try:
            while True:
                await self._learn()
                for key in self._targets:
                    if self._is_due(key):
                        self._looking[key] = asyncio.create_task(self._look(key))
                await asyncio.sleep(min(LEARN_S, self._interval_s, self._early.pause_s))
        finally:
            for task in self._looking.values():
                task.cancel()

    def _is_due(self, key: str) -> bool:
        under_way = key in self._looking and not self._looking[key].done()
        if under_way or key not in self._looked_s:
            return not under_way
        passed_s = time.monotonic() - self._looked_s[key]
        if passed_s >= (min(self._interval_s, self._early.attended_s) if key in self._attended else self._interval_s):
            return True
        began_s = self._began_s.get(key, 0.0)
        return passed_s >= self._early.pause_s and self._early.is_due(
            self._requested_s.get(key, ()), began_s, time.time()
        )

    async def _learn(self) -> None:
        """Add the accounts in which something lives and annexd's own; forget the others."""
        try:
            living, self._requested_s, self._attended = await in_thread(self._read_journal)
        except JournalError:
            return  # JournalMonitor reports it
        except Exception as error:  # noqa: BLE001  the edge of this task: known accounts are still reconciled
            self._log_once(f"Reconciliation: internal error: {type(error).__name__}: {error}")
            return
        own = own_target(self._defaults)
        if own is not None:
            living[own.key] = own
        for key in self._targets.keys() - living.keys():
            if not self._alive_at(key):
                self._forget(key)
        self._targets.update(living)

    def _read_journal(self) -> tuple[dict[str, AccountTarget], dict[str, list[float]], Set[str]]:
        now_s, living = time.time(), self._living
        return living.targets(now_s), living.fleets_asked_s(now_s), living.attended(now_s)

    def _alive_at(self, key: str) -> bool:
        """Return whether the newest look found something there."""
        report = self._reports.get(key)
        return report is not None and bool(report.fleets or report.instances or report.annexes)

    def _forget(self, key: str) -> None:
        for known in (
            self._targets,
            self._looking,
            self._looked_s,
            self._began_s,
            self._reports,
            self._looks,
            self._faults,
            self._warnings,
        ):
            known.pop(key, None)
        self._changed()

    async def _look(self, key: str) -> None:
        """Reconcile one account; a look that hangs delays no other account."""
        async with self._semaphore:
            work = asyncio.create_task(self._guarded_look(key, self._targets[key]))
            await asyncio.wait({work}, timeout=LOOK_TIMEOUT_S)
        if not work.done():
            self._report_unseen(key, f"not finished after {LOOK_TIMEOUT_S:.0f} s")
            self._changed()
        await work  # only then may the next look begin: a hung look costs one thread, not one an hour
        self._looked_s[key], self._newest_s = time.monotonic(), int(time.time())
        self._log_skew()
        self._changed()

    async def _guarded_look(self, key: str, target: AccountTarget) -> None:
        self._began_s[key] = began_s = time.time()
        try:
            await self._look_at(key, target, began_s)
        except (Retry, Refused, JournalError) as error:
            self._report_unseen(key, str(error))
        except Exception as error:  # noqa: BLE001  the edge of one account's work: the others continue
            self._report_unseen(key, f"internal error: {type(error).__name__}: {error}")

    def _report_unseen(self, key: str, fault: str) -> None:
        """Record a failed look: -status still shows the last successful one, with its time and this fault."""
        self._log_faults(key, fault)
        if key in self._targets:
            self._looks[key] = replace(self._looks.get(key, Snapshot(NEVER_S, {})), fault=fault[:LONGEST_FAULT])

    async def _look_at(self, key: str, target: AccountTarget, began_s: float) -> None:
        report = await in_thread(
            lambda: reconcile(self._context, target, self._busy, self._index.cancelled_ends, today())
        )
        if key not in self._targets:
            return  # forgotten meanwhile
        self._reports[key] = report
        self._learn_capacity(target, report.capacity)
        await in_thread(lambda: self.usage.record(key, report.launches, began_s))
        texts = await in_thread(lambda: self._messages_of(report.troubles))
        troubles = {fleet_id: report.troubles[fleet_id] for fleet_id in texts}
        self._looks[key] = Snapshot(began_s, {annex.annex_id: annex for annex in report.annexes}, troubles=troubles)
        self._log_troubles({fleet_id: each for fleet_id, each in texts.items() if each})
        self._ended += len(report.ended)
        for message in report.ended:
            log.always(f"Reconciliation: {message}")
        self._log_faults(
            key, "; ".join((*report.faults, report.enforcer.fault) if report.enforcer.fault else report.faults)
        )
        self._log_warning(key, report.enforcer.warning)

    def _messages_of(self, troubles: Mapping[str, Trouble]) -> dict[str, str]:
        """Return log messages by fleet ID; "" for fleets that are not in the journal.

        Fleets that annexd itself ended are omitted: those of failed orders and of cancelled annexes.
        """
        messages = {}
        for fleet_id, trouble in troubles.items():
            state = self._index.order_of(fleet_id)
            if state is None:
                messages[fleet_id] = ""
            elif state.finished and state.finished[0] == SUCCESS:
                order = state.order_as(FleetOrder)
                if order is not None and self._index.cancellation(order.annex_id) is None:
                    messages[fleet_id] = f"annex {order.annex_id} of {state.owner} ({fleet_id}): {trouble.text}"
        return messages

    def _log_troubles(self, troubles: dict[str, str]) -> None:
        """Log each fleet's trouble once, until it changes by more than a number; several keys may see one fleet."""
        for fleet_id, message in troubles.items():
            if _kind(message) != _kind(self._logged.get(fleet_id, "")):
                log.error(message)
        alive = {each for report in self._reports.values() for each in (*report.fleets, *report.troubles)}
        self._logged = {each: message for each, message in (self._logged | troubles).items() if each in alive}

    def _log_warning(self, key: str, message: str) -> None:
        """Log the lease function's warning once, until it changes."""
        if message and message != self._warnings.get(key):
            log.always(f"WARNING: {message}")
        self._warnings.pop(key, None)
        if message:
            self._warnings[key] = message

    def _busy(self) -> set[str]:
        return {order.annex_id for order in self._engine.unfinished_orders(Order)}

    def _log_faults(self, key: str, faults: str) -> None:
        """Log faults once, until they change by more than a number, such as an age."""
        target, faults = self._targets.get(key), faults[:LONGEST_FAULT]
        if target is None:
            return
        if faults and _kind(self._faults.get(key, "")) != _kind(faults):
            owner = target.requester.owner or "annexd itself"
            log.error(f"Reconciliation with the keys of {owner}: {faults}; will retry every {self._interval_s} s")
        self._faults.pop(key, None)
        if faults:
            self._faults[key] = faults

    def _log_once(self, message: str) -> None:
        if message != self._last_fault:
            log.error(message[:LONGEST_FAULT])
        self._last_fault = message

    def _log_skew(self) -> None:
        skew_s = self._access.skew_s
        if abs(skew_s) >= MIN_LOGGED_SKEW_S and abs(skew_s - self._logged_skew_s) >= MIN_LOGGED_SKEW_S:
            log.error(
                f"The clock of this host is {abs(skew_s)} s {'behind' if skew_s > 0 else 'ahead of'} that of AWS, "
                "by which leases end; set it"
            )
            self._logged_skew_s = skew_s


def _kind(faults: str) -> str:
    return re.sub(r"\d+", "0", faults)
