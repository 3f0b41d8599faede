"""A real HTCondor machine follows a moved end of lease through the object that annexd writes to S3."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from annexd.annex.join.config_bundle import Present, config_bundle, present_config_bundle
from annexd.annex.request.order import FleetOrder, new_order
from annexd.annex.request.request import BulkRequest
from test.annex.ads import bulk_request_ad
from test.annex.joining import BundleSources, defaults
from test.annex.orders import join_of
from test.cloud import Cloud
from test.instance.account import BUCKET, EVERY_ANNEX, Account, policy
from test.pool import Pool
from test.pool.pool import DOMAIN
from test.system.annexes import POOL, image

LEASE_S, MAX_LEASE_S = 3600, 30 * 86400
EVERY_S = 4  # the machine's polling interval, instead of some four minutes


@dataclass(frozen=True)
class Site:
    """A pool with one machine of an annex that boots for real."""

    pool: Pool
    cloud: Cloud
    account: Account
    bundle_sources: BundleSources
    order: FleetOrder

    def move(self, end_s: int, cancelled_s: int | None = None) -> None:
        reported = Present(end_s, MAX_LEASE_S, cancelled_s)
        self.account.put(
            join_of(self.order).key, present_config_bundle(self.order, self.bundle_sources, reported, time.time())
        )

    def ends(self, kind: str) -> list[str]:
        """Return the lease's end in the machine's ads."""
        return self.pool.tool("condor_status", kind, "-constraint", "IsAnnex", "-af", "LeaseEnd").stdout.split()

    def wait(self, true: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + 90
        while not true():
            assert time.monotonic() < deadline_s, f"no sign of {what}; {self.logs()}"
            time.sleep(0.2)

    def logs(self) -> str:
        machines = (self.pool.directory / "machines").glob("*")
        files = [each / name for each in machines for name in ("boot.log", "condor-annex-ec2.log", "log/MasterLog")]
        return "\n".join(f"--- {each}\n{each.read_text(errors='replace')[-2000:]}" for each in files if each.exists())


@pytest.fixture
def site() -> Iterator[Site]:
    pool = Pool(POOL, daemons=("MASTER", "COLLECTOR", "SHARED_PORT"))
    boot = replace(image(pool, 1), options=("--patience=30", f"--every={EVERY_S}"))
    with Cloud(speed=0, termination_s=0.5, enforce_iam=True, boot=boot) as cloud, pool:
        account, bundle_sources = Account(cloud), BundleSources()
        bundle_sources.key = (pool.directory / "passwords.d" / "POOL").read_bytes()
        order = ordered(pool)
        account.put(join_of(order).key, config_bundle(order, bundle_sources, MAX_LEASE_S))
        account.instance(account.profile(policy(EVERY_ANNEX)), order.annex_id)
        yield Site(pool, cloud, account, bundle_sources, order)


def ordered(pool: Pool) -> FleetOrder:
    now_s = time.time()
    given = defaults(s3_bucket=BUCKET, collector_host=pool.collector, trust_domain=DOMAIN)
    return new_order(BulkRequest.from_ad(bulk_request_ad(now_s), now_s, given), f"alice@{DOMAIN}")


def token_file(site: Site) -> Path:
    [machine] = (site.pool.directory / "machines").glob("i-*")
    return machine / "tokens.d" / "annex.token"


def test_startd_and_master_go_by_the_moved_end_and_a_cancelled_machine_drains_and_turns_itself_off(site: Site) -> None:
    ordered_s = site.order.end_of_lease_s
    for kind in ("-startd", "-master"):
        site.wait(lambda kind=kind: site.ends(kind) == [str(ordered_s)], f"a machine in {kind}")  # type: ignore[misc]
    first_token = token_file(site).read_text()
    for moved_s in (ordered_s + 7200, ordered_s - 1800):
        site.move(moved_s)
        for kind in ("-startd", "-master"):
            site.wait(
                lambda kind=kind, moved_s=moved_s: site.ends(kind) == [str(moved_s)],  # type: ignore[misc]
                f"the moved end in {kind}",
            )
    assert token_file(site).read_text() != first_token
    now_s = int(time.time())
    site.move(now_s, cancelled_s=now_s)
    site.wait(lambda: site.cloud.running_instances() == [], "the end of the machine")
