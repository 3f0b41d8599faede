"""A fault at one account affects that account only: the others are reconciled, and their annexes keep their leases."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.index import AnnexIndex
from annexd.annex.living import LIVES_ON_S, Living
from annexd.annex.reconcile import OVERDUE_S
from annexd.annex.request.account_target import AccountTarget, Requester
from annexd.annex.request.key_source import KeySource
from annexd.annex.request.order import FleetOrder, with_requester
from annexd.annex.steps import StepContext
from annexd.aws import ClientCache, Endpoints
from annexd.service.reconciler import Reconciler
from annexd.workflow import Engine, Journal, Json, Kind, to_json
from test.annex.ads import OWNER
from test.annex.orders import fleet_order
from test.annex.site import Site
from test.aws.endpoint import drips, endpoint, relays, says
from test.cloud.keys import OTHER_KEY
from test.replies import accepted
from test.service.reconciling import until

HANGING = 7  # one less than are reconciled concurrently


@pytest.fixture
def journal(site: Site) -> Iterator[Journal]:
    """Yield a journal with an annex of alice whose lease has an hour left."""
    accepted(site.order())
    journal = site.journal()
    yield journal
    journal.close()


def ordered(site: Site, journal: Journal, name: str, url: str, **changes: Any) -> FleetOrder:
    """Append an order that may have created something at this endpoint, with alice's keys."""
    endpoints = Endpoints("us-east-1", url, url, sts_url=site.cloud.url, logs_url=url)
    keys = KeySource("/home/alice/public", "/home/alice/secret")
    target = AccountTarget(Requester(OWNER, None, keys), replace(endpoints, **changes), site.arn)
    order = fleet_order(name, int(time.time()) + 7200, target=target)
    append_accepted(journal, name, order)
    return order


def append_accepted(journal: Journal, name: str, order: FleetOrder) -> None:
    body = {"owner": OWNER, "workflow": "", "order": to_json(order), "asked": ""}
    journal.append(name, "", Kind.ACCEPTED, body)


def alices(engine: Engine) -> str:
    """Return the key of the account of alice's annex."""
    return next(order.target.key for state in engine.accepted()[1] if (order := state.order_as(FleetOrder)) is not None)


def reconciled(site: Site, journal: Journal, faults: int, looks: int = 1) -> Mapping[str, int | str]:
    """Return the status after this many looks at alice's account and with this many faulty accounts."""

    async def lives() -> Mapping[str, int | str]:
        engine = site.engine(journal)
        access = KeyFiles(site.read_as, site.cache, defaults=site.trusting())
        reconciler = Reconciler(
            StepContext(access, site.now_s), access, AnnexIndex(engine), site.defaults, 1, lambda: None
        )
        task, alice, seen = asyncio.create_task(reconciler.run()), alices(engine), set[float]()

        def is_done() -> bool:
            assert not task.done(), task
            seen.update(look.at_s for key, look in reconciler.looks().items() if key == alice)
            return len(seen) >= looks and reconciler.status()["AnnexReconcileFaults"] == faults

        await until(is_done, lambda: f"{looks} looks and {faults} faults: {reconciler.status()}")
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return reconciler.status()

    return asyncio.run(lives())


def test_endpoints_that_never_end_their_answers_delay_no_other_account(site: Site, journal: Journal) -> None:
    gone = threading.Event()
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    with contextlib.ExitStack() as endpoints:
        for number in range(HANGING):
            url = endpoints.enter_context(endpoint(drips(start, 0.1, gone)))
            ordered(site, journal, f"annex-{number}", url)
        status = reconciled(site, journal, faults=0, looks=2)
        gone.set()
    assert status["AnnexFleets"] == 1


@pytest.mark.parametrize("answer", [b"{}", b"<a/>", b"[" * 100_000, b"null", b"\xff"])
def test_a_nonsense_answer_of_an_endpoint_is_a_fault_of_its_account_only(
    site: Site, journal: Journal, answer: bytes
) -> None:
    with endpoint(says(answer)) as url:
        ordered(site, journal, "annex-1", url)
        status = reconciled(site, journal, faults=1, looks=2)
    assert (status["AnnexFleets"], status["AnnexEndedOverdue"]) == (1, 0)


@pytest.mark.parametrize("changes", [{"ec2_url": "http://under_score"}, {"region": ""}])
def test_unusable_endpoints_are_a_fault_of_their_account_only(
    site: Site, journal: Journal, changes: dict[str, Any]
) -> None:
    ordered(site, journal, "annex-1", site.cloud.url, **changes)
    assert reconciled(site, journal, faults=1, looks=2)["AnnexFleets"] == 1


@pytest.mark.parametrize("config", ["[default\nregion", "[default]\ncredential_process = /nonexistent/keys\n"])
def test_a_broken_aws_configuration_of_annexds_own_is_a_fault_of_its_own_account_only(
    site: Site, journal: Journal, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.home / "config").write_text(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(site.home / "config"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    site.cache = ClientCache(read_timeout=5.0)
    site.defaults = replace(site.trusting(), lease_function_arn=site.arn, allow_default_credentials=True)
    assert reconciled(site, journal, faults=1, looks=2)["AnnexFleets"] == 1


@pytest.mark.parametrize("date", ["Sun, 01 Jan 2090 00:00:00 GMT", "Mon, 01 Jan 1990 00:00:00 GMT"])
def test_a_date_from_a_users_endpoint_ends_no_other_users_annex(site: Site, journal: Journal, date: str) -> None:
    with endpoint(relays(site.cloud.url, date)) as url:
        ordered(site, journal, "annex-1", site.cloud.url, lambda_url=url, logs_url=url)
        status = reconciled(site, journal, faults=0, looks=3)
    assert (status["AnnexFleets"], status["AnnexEndedOverdue"], status["AnnexOverdue"]) == (1, 0, 0)
    assert abs(int(status["AnnexClockSkew"])) <= 30
    assert len(site.live_fleets()) == 1


def test_keys_of_another_account_are_a_fault_and_no_annex_is_considered_gone(site: Site, journal: Journal) -> None:
    site.keys["/home/bob/public"] = OTHER_KEY.encode()
    order = ordered(site, journal, "annex-1", site.cloud.url)
    bobs_keys = KeySource("/home/bob/public", "/home/alice/secret")
    bobs = with_requester(order, Requester(OWNER, None, bobs_keys))
    append_accepted(journal, "annex-2", replace(bobs, annex_id="annex-2"))
    status = reconciled(site, journal, faults=1, looks=2)
    assert (status["AnnexFleets"], status["AnnexEndedOverdue"]) == (1, 0)


def test_an_internal_error_at_one_account_affects_that_account_only(site: Site, journal: Journal) -> None:
    """A removed passwd entry of a requester causes such an error."""
    order = ordered(site, journal, "annex-1", site.cloud.url)
    bobs_keys = KeySource("/home/bob/public", "/home/alice/secret")
    bobs = with_requester(order, Requester(OWNER, None, bobs_keys))
    append_accepted(journal, "annex-2", replace(bobs, annex_id="annex-2"))
    site.broken_paths.add("/home/bob/public")
    assert reconciled(site, journal, faults=1, looks=2)["AnnexFleets"] == 1


# The lease function fails.


def test_annexd_ends_and_reports_a_lease_that_three_runs_of_the_function_did_not_end(
    site: Site, journal: Journal
) -> None:
    site.away_s = alices_end_s(site.engine(journal)) + OVERDUE_S + 60 - time.time()
    status = reconciled(site, journal, faults=1, looks=3)
    assert (status["AnnexEndedOverdue"], status["AnnexFleets"], status["AnnexOverdue"]) == (1, 0, 0)
    assert "has not been called by its rule for 30 minutes or more" in str(status["AnnexFunctionFault"])
    assert site.live_fleets() == []


def test_a_lease_that_ended_less_than_three_runs_ago_is_left_to_the_lease_function(
    site: Site, journal: Journal
) -> None:
    site.away_s = alices_end_s(site.engine(journal)) + OVERDUE_S - 60 - time.time()
    status = reconciled(site, journal, faults=1, looks=2)
    assert (status["AnnexEndedOverdue"], status["AnnexFleets"], status["AnnexOverdue"]) == (0, 1, 0)


def alices_end_s(engine: Engine) -> int:
    return next(
        order.end_of_lease_s for state in engine.accepted()[1] if (order := state.order_as(FleetOrder)) is not None
    )


def test_the_oldest_heartbeat_of_all_accounts_is_in_the_ad(site: Site, journal: Journal) -> None:
    status = reconciled(site, journal, faults=0)
    assert 0 <= time.time() - int(status["AnnexFunctionTime"]) < 300
    assert "AnnexFunctionFault" not in status


# The accounts that are reconciled.


def finished(journal: Journal, name: str, result: str) -> None:
    journal.append(name, "", Kind.FINISHED, {"result": result, "error": ""})


def urls(living: Living, now_s: float | None = None) -> list[str]:
    targets = living.targets(time.time() if now_s is None else now_s).values()
    return sorted(target.endpoints.ec2_url for target in targets)


def test_an_account_is_reconciled_while_something_lives_there_and_then_forgotten(site: Site, journal: Journal) -> None:
    living, here = Living(site.engine(journal)), site.cloud.url
    assert urls(living) == [here]
    ordered(site, journal, "annex-1", "http://a")
    ordered(site, journal, "annex-2", "http://b")
    assert urls(living) == [here, "http://a", "http://b"], "both may have made something"
    finished(journal, "annex-1", "Failure")
    finished(journal, "annex-2", "Success")
    assert urls(living) == [here, "http://b"]
    assert urls(living, time.time() + 7200 + LIVES_ON_S - 60) == ["http://b"], "alice's ended an hour before"
    assert urls(living, time.time() + 7200 + LIVES_ON_S + 60) == []
    assert urls(Living(site.engine(journal))) == [here, "http://b"], "after a restart the same"


def test_a_failed_order_leaves_no_fault_for_the_next_annexd(site: Site, journal: Journal) -> None:
    ordered(site, journal, "annex-1", "http://127.0.0.1:1")
    finished(journal, "annex-1", "Failure")
    assert reconciled(site, journal, faults=0, looks=2)["AnnexReconcileFaults"] == 0


@pytest.mark.parametrize("order", [{}, {"endpoints": None}, {"owner": 5, "endpoints": {}}, {"join": 7}])
def test_an_order_of_another_version_prevents_no_account_from_being_reconciled(
    site: Site, journal: Journal, order: Json
) -> None:
    journal.append("annex-1", "", Kind.ACCEPTED, {"owner": OWNER, "workflow": "", "order": order})
    assert urls(Living(site.engine(journal)))[-1] == site.cloud.url
