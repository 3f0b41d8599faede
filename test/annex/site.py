"""A site with the core of annexd and the emulated AWS: a real journal and real HTTP, but no daemon around them."""

import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from annexd.annex.bulk_request import bulk_request
from annexd.annex.cancel import cancel_annex
from annexd.annex.change import change_lease
from annexd.annex.commands import CommandContext
from annexd.annex.fleet.access import KeyFiles
from annexd.annex.index import AnnexIndex
from annexd.annex.lease.heartbeat import newest_receipt
from annexd.annex.lease.identifiers import read_leased_token
from annexd.annex.quote.quote import quote_annex
from annexd.annex.reply import ReplyAd
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.join_config import MachineOffer
from annexd.annex.reservations import Reservations, Rules
from annexd.annex.resize import resize_annex
from annexd.annex.steps import StepContext, annex_steps
from annexd.annex.workflows import index_of
from annexd.aws import ClientCache
from annexd.workflow import Engine, Journal, RetryPolicy, State
from test.annex.ads import OWNER, bulk_request_ad
from test.annex.joining import BundleSources
from test.cloud import Cloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.workflow.store import Crash, CrashingJournal

KEYS = {"/home/alice/public": ACCESS_KEY_ID.encode(), "/home/alice/secret": SECRET_ACCESS_KEY.encode()}
PACE = RetryPolicy(
    base_s=0.01, cap_s=0.1, forward_deadline_s=60.0, undo_patience_s=60.0, stuck_base_s=0.05, stuck_cap_s=0.2
)
SETTLE_S = 0.6
BYSTANDER = "AKIAEMULATEDTESTS000"  # its calls are not annexd's
READ_TIMEOUT_S = 60.0  # a busy host responds late
HANG_TIMEOUT_S = 1.0  # for tests in which the response never comes
RECENT_S = 120.0


@dataclass
class Site:
    """The cloud, the lease function's ARN, and a folder for journals."""

    cloud: Cloud
    arn: str
    home: Path
    cache: ClientCache = field(default_factory=lambda: ClientCache(read_timeout=READ_TIMEOUT_S))
    keys: dict[str, bytes] = field(default_factory=lambda: dict(KEYS))
    defaults: Defaults = field(default_factory=lambda: Defaults(shortest_lease_s=1))  # tests trigger the cloud's ticks
    bundle_sources: BundleSources = field(default_factory=BundleSources)
    broken_paths: set[str] = field(default_factory=set)  # paths at which the reader of key files itself fails
    readers: set[str] = field(default_factory=lambda: {OWNER})  # the users whose files annexd can open here
    asks: dict[str, Any] = field(default_factory=dict)  # attributes of every ad
    patience: float = 1.0  # a factor on annexd's own pauses between two looks
    unleased_s: float = 0.0  # instance-seconds of other tests' fleets, which had no lease on purpose
    rules: Rules = field(default_factory=Rules)  # the budgets
    away_s: float = 0.0  # how far the daemon's clock is ahead of the cloud's, as after time spent dead

    def now_s(self) -> float:
        return time.time() + self.away_s

    def read_as(self, owner: str, path: str) -> bytes:
        if path in self.broken_paths:
            raise RuntimeError(f"a fault in the reader of {path}")
        if owner not in self.readers or path not in self.keys:
            raise PermissionError(f"{path} cannot be opened: Permission denied")
        return self.keys[path]

    def journal(self, kind: type[Journal] = Journal) -> Journal:
        return kind(self.home / "command_state", now_s=self.now_s)

    @contextmanager
    def dying(self, at: int, *, written: bool = True) -> Iterator[None]:
        """Make each daemon die meanwhile at its append `at`, before or, if `written`, after the record is on disk."""
        with self.mortal(at, written=written) as deaths:
            yield
        assert deaths, f"it took fewer than {at} records"

    @contextmanager
    def mortal(self, at: int, *, written: bool) -> Iterator[list[Crash]]:
        """Do the same for a daemon that may finish earlier; yield a list that has its death afterwards, if any."""
        deaths: list[Crash] = []
        self.journal = partial(self._dying_journal, at, written)  # type: ignore[method-assign]
        try:
            yield deaths
        except Crash as death:
            deaths.append(death)
        finally:
            del self.journal

    def unfinished(self) -> int:
        """Return how many workflows the next daemon has to continue."""
        journal = self.journal()
        try:
            return len(journal.unfinished())
        finally:
            journal.close()

    def _dying_journal(self, at: int, written: bool) -> Journal:
        return CrashingJournal(self.home / "command_state", at=at, written=written, now_s=self.now_s)

    def step_context(self) -> StepContext:
        return StepContext(
            KeyFiles(self.read_as, self.cache, defaults=self.trusting()),
            self.now_s,
            SETTLE_S,
            self.bundle_sources,
            pause=lambda seconds: time.sleep(seconds * self.patience),
        )

    def trusting(self) -> Defaults:
        """Return the site's defaults with the cloud as the administrator's endpoints: annexd trusts its clock."""
        url = self.cloud.url
        return replace(self.defaults, ec2_url=url, lambda_url=url, sts_url=url, logs_url=url, ssm_url=url)

    @contextmanager
    def life(self) -> Iterator[CommandContext]:
        """Run one life of a daemon, with the ledger of its journal under the site's budgets."""
        journal = self.journal()
        try:
            index, context = AnnexIndex(self.engine(journal)), self.step_context()
            reservations = Reservations(index, context, self.rules)
            yield CommandContext(index, context, self.bundle_sources, reservations=reservations)
        finally:
            journal.close()

    def reservations(self, index: AnnexIndex) -> Reservations:
        return Reservations(index, self.step_context(), self.rules)

    def engine(self, journal: Journal, pace: RetryPolicy = PACE) -> Engine:
        context = self.step_context()
        engine = Engine(journal, annex_steps(context), pace=pace, now_s=self.now_s)
        index_of(engine, context)
        return engine

    def ad(self, **changes: Any) -> dict[str, Any]:
        urls = dict.fromkeys(("ServiceURL", "LambdaURL", "STSURL", "LogsURL", "SSMURL"), self.cloud.url)
        return bulk_request_ad(self.now_s(), **{"LeaseFunctionARN": self.arn, **urls, **self.asks, **changes})

    def order(
        self,
        pace: RetryPolicy = PACE,
        accepted: Callable[[State], None] = lambda _: None,
        offer: MachineOffer | None = None,
        **changes: Any,
    ) -> ReplyAd:
        """Order an annex in one life of a daemon."""
        journal = self.journal()
        try:
            engine = self.engine(journal, pace)
            return bulk_request(
                self.ad(**changes),
                OWNER,
                engine,
                self.asking() if self.rules.budgets else self.defaults,
                self.now_s(),
                access=self.step_context().access,
                bundle_sources=self.bundle_sources,
                reservations=self.reservations(AnnexIndex(engine)),
                offer=offer,
                accepted=accepted,
            )
        finally:
            journal.close()

    def quote(self, **changes: Any) -> ReplyAd:
        """Return annexd's reply to a quote."""
        ad = self.ad(**{"Command": "CA_QUOTE_ANNEX", **changes})
        if not self.rules.budgets:
            return quote_annex(ad, OWNER, self.step_context(), self.asking(), self.now_s(), self.bundle_sources)
        with self.life() as life:
            return quote_annex(
                ad, OWNER, life.step_context, self.asking(), self.now_s(), self.bundle_sources, life.reservations
            )

    def asking(self) -> Defaults:
        """Return the site's defaults, with the emulated cloud as the endpoints of prices and quotas."""
        url, own = self.cloud.url, self.defaults
        return replace(own, pricing_url=own.pricing_url or url, quotas_url=own.quotas_url or url)

    def cancel(self, annex: str, owner: str = OWNER, *, pace: RetryPolicy = PACE, **changes: Any) -> ReplyAd:
        """Cancel an annex in one life of a daemon."""
        journal = self.journal()
        try:
            ad = {"Command": "CA_CANCEL_ANNEX", "RequestVersion": 1, "Annex": annex, **changes}
            index = AnnexIndex(self.engine(journal, pace))
            return cancel_annex(ad, owner, index, self.step_context(), self.defaults, self.now_s())
        finally:
            journal.close()

    def change(self, annex: str, owner: str = OWNER, *, pace: RetryPolicy = PACE, **changes: Any) -> ReplyAd:
        """Move the end of a lease in one life of a daemon."""
        journal = self.journal()
        try:
            ad = {"Command": "CA_CHANGE_LEASE", "RequestVersion": 1, "Annex": annex, **changes}
            index = AnnexIndex(self.engine(journal, pace))
            reservations = self.reservations(index)
            return change_lease(
                ad, owner, index, self.step_context(), self.defaults, self.now_s(), reservations=reservations
            )
        finally:
            journal.close()

    def resize(
        self,
        annex: str,
        units: object,
        owner: str = OWNER,
        *,
        pace: RetryPolicy = PACE,
        claimed: Set[str] = frozenset(),
        **changes: Any,
    ) -> ReplyAd:
        """Change an annex's size in one life of a daemon."""
        journal = self.journal()
        try:
            ad = {"Command": "CA_RESIZE_ANNEX", "RequestVersion": 1, "Annex": annex, "TargetCapacity": units, **changes}
            index = AnnexIndex(self.engine(journal, pace))
            return resize_annex(
                ad, owner, index, self.step_context(), self.asking(), self.now_s(), claimed,
                reservations=self.reservations(index),
            )  # fmt: skip
        finally:
            journal.close()

    def restart(self) -> list[tuple[str, str]]:
        """Finish all unfinished workflows in another life of a daemon; return the result and error of each."""
        journal = self.journal()
        try:
            engine = self.engine(journal)
            outcomes = []
            for command_id in engine.unfinished():
                while (outcome := engine.run(command_id)).retry_at_s is not None:
                    wait_for(lambda at_s=outcome.retry_at_s: self.now_s() >= at_s, "the next try")  # type: ignore[misc]
                outcomes.append((outcome.result, outcome.error))
            return outcomes
        finally:
            journal.close()

    # The cloud's contents.  The tests share one cloud, so fleets that earlier tests ended are ignored.

    def live_fleets(self) -> list[dict[str, Any]]:
        return [fleet for fleet in self.cloud.fleets() if not str(fleet["state"]).startswith(("cancelled", "deleted"))]

    def operations(self) -> list[str]:
        """Return annexd's operations in order, without GetCallerIdentity, which is called only once in a while."""
        own = {key.decode() for path, key in self.keys.items() if path.endswith("public")} | {ACCESS_KEY_ID}
        calls = [
            each["operation"] for each in self.cloud.audit() if each["kind"] == "call" and each["access_key_id"] in own
        ]
        return [name for name in calls if name != "GetCallerIdentity"]

    def check_nothing_left(self) -> None:
        assert self.live_fleets() == []
        wait_for(lambda: self.cloud.running_instances() == [], f"no instances: {self.cloud.running_instances()}")

    def check_all_leased(self) -> None:
        """Check that nothing is billed without a lease: each live fleet's token has its end, and the rule is on."""
        for fleet in self.live_fleets():
            assert read_leased_token(fleet["config"]["ClientToken"]) is not None
        rule = self.cloud.client("events", BYSTANDER).describe_rule(Name="HTCondorAnnexLease")
        assert rule["State"] == "ENABLED"
        assert self.cloud.meter()["unleased"]["instance_seconds"] == self.unleased_s

    def clean(self) -> None:
        """End what the last test left on purpose, and make sure that the lease function was seen at work."""
        self.cloud.clear_faults()
        ec2 = self.cloud.client("ec2", BYSTANDER)
        fleets = [str(fleet["id"]) for fleet in self.live_fleets()]
        if by_spot_fleet := [each for each in fleets if each.startswith("sfr-")]:
            ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=by_spot_fleet, TerminateInstances=True)
        if by_ec2_fleet := [each for each in fleets if each.startswith("fleet-")]:
            ec2.delete_fleets(FleetIds=by_ec2_fleet, TerminateInstances=True)
        if left := [each["id"] for each in self.cloud.running_instances()]:
            ec2.terminate_instances(InstanceIds=left)
        wait_for(lambda: self.cloud.running_instances() == [], "the last test's instances to be gone")
        self.unleased_s = self.cloud.meter()["unleased"]["instance_seconds"]
        if not self._has_just_worked():
            self.beat()
        self.cloud.clear_audit()

    def _has_just_worked(self) -> bool:
        """Return whether the newest receipt is faultless, and too recent to expire during any test."""
        now_s = time.time()
        receipt = newest_receipt(self.cloud.client("logs", BYSTANDER), self.arn, now_s)
        if receipt is None or not 0 <= now_s - receipt.at_s < RECENT_S:
            return False
        return receipt.is_complete and not (receipt.lacking or receipt.stuck or receipt.error_texts)

    def beat(self) -> None:
        """Run the lease function once by its rule; return when its receipt can be read."""
        began_s = int(time.time())
        assert self.cloud.tick() == 1
        logs = self.cloud.client("logs", BYSTANDER)
        wait_for(
            lambda: (receipt := newest_receipt(logs, self.arn, time.time())) is not None and receipt.at_s >= began_s,
            "the receipt of this run",
        )


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Wait until the condition holds; fail with `what` if it does not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {timeout_s} s for {what}"
        time.sleep(0.01)
