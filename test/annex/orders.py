"""Orders as annexd creates them, for tests that need an order but no request."""

from dataclasses import replace
from typing import Any

from annexd.annex.lease.identifiers import leased_token
from annexd.annex.request.account_target import AccountTarget, Requester
from annexd.annex.request.join_config import JoinOrder
from annexd.annex.request.key_source import KeySource
from annexd.annex.request.order import CancelOrder, ChangeOrder, FleetOrder, Subject
from annexd.aws import Endpoints
from test.annex.ads import ARN, OWNER

NOWHERE_URL = "http://127.0.0.1:1"
KEYS = KeySource("/public", "/secret")


def endpoints(url: str) -> Endpoints:
    return Endpoints("us-east-1", url, url, s3_url=url, sts_url=url, logs_url=url)


def target_at(url: str = NOWHERE_URL, keys: KeySource = KEYS, **changes: Any) -> AccountTarget:
    """Return the account at these endpoints, with alice's keys."""
    requester = replace(Requester(OWNER, None, keys), **changes)
    return AccountTarget(requester, endpoints(url), ARN)


def fleet_order(annex_id: str = "annex-1", end_of_lease_s: int = 1_800_000_000, **changes: Any) -> FleetOrder:
    order = FleetOrder(
        annex_id,
        target_at(),
        end_of_lease_s,
        annex_name=None,
        valid_until_s=end_of_lease_s - 1000,
        client_token=leased_token(annex_id, end_of_lease_s),
        config={"TargetCapacity": 1},
        notes=(),
        join=None,
    )
    return replace(order, **changes)


def join_of(order: FleetOrder) -> JoinOrder:
    assert order.join is not None
    return order.join


def cancel_order(of: FleetOrder, command_id: str | None = None) -> CancelOrder:
    subject = Subject(of.annex_id, (), command_id, of)
    return CancelOrder(of.annex_id, of.target, of.end_of_lease_s, subject, cancelled_by=OWNER, given=None)


def change_order(of: FleetOrder, end_of_lease_s: int, command_id: str = "change-1") -> ChangeOrder:
    """Return a change of an annex whose fleet is fleet-1."""
    return ChangeOrder(
        of.annex_id,
        of.target,
        end_of_lease_s,
        Subject(of.annex_id, ("fleet-1",), None, of),
        command_id=command_id,
        extension_s=None,
        wanted_end_s=end_of_lease_s,
        now=False,
        asked_at_s=0.0,
        longest_s=30 * 86400,
        drain_s=0,
    )
