"""A fault at one account is that account's: the others are looked at, and their annexes live as long as they should."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.fleet.account_target import target_of
from annexd.annex.fleet.living import LIVES_ON_S, Living
from annexd.annex.fleet.reconcile import OVERDUE_S
from annexd.annex.index import AnnexIndex
from annexd.annex.steps import StepContext
from annexd.aws import ClientCache
from annexd.service.reconciler import Reconciler
from annexd.workflow import Engine, Journal, Json, Kind
from test.annex.ads import OWNER
from test.annex.site import Site
from test.aws.endpoint import drips, endpoint, relays, says
from test.cloud.keys import OTHER_KEY
from test.service.reconciling import until

HANGING = 7  # one less than are looked at side by side


@pytest.fixture
def journal(site: Site) -> Iterator[Journal]:
    """With an annex of alice's, whose lease has an hour to go."""
    assert site.order()["Result"] == "Success"
    journal = site.journal()
    yield journal
    journal.close()


def ordered(site: Site, journal: Journal, name: str, url: str, **changes: Any) -> Json:
    """An order that is accepted, and at whose endpoints something else answers."""
    endpoints = {
        "region": "us-east-1",
        "ec2_url": url,
        "lambda_url": url,
        "s3_url": "",
        "sts_url": site.cloud.url,
        "logs_url": url,
    } | changes
    order = {
        "annex_id": name,
        "owner": OWNER,
        "endpoints": endpoints,
        "lease_function_arn": site.arn,
        "public_key_file": "/home/alice/public",
        "secret_key_file": "/home/alice/secret",
        "end_of_lease_s": int(time.time()) + 7200,
        "join": None,
    }
    journal.append(name, "", Kind.ACCEPTED, {"owner": OWNER, "order": order})
    return order


def alices(engine: Engine) -> str:
    """The key of the account in which her annex is."""
    return next(target_of(state.order or {}).key for state in engine.accepted()[1] if "config" in (state.order or {}))


def reconciled(site: Site, journal: Journal, faults: int, looks: int = 1) -> Mapping[str, int | str]:
    """The status once alice's account was looked at so often, and so many accounts are at fault."""

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


def test_endpoints_that_never_end_their_answers_keep_no_other_account_waiting(site: Site, journal: Journal) -> None:
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
def test_an_endpoint_that_answers_nonsense_is_a_fault_of_its_account_only(
    site: Site, journal: Journal, answer: bytes
) -> None:
    with endpoint(says(answer)) as url:
        ordered(site, journal, "annex-1", url)
        status = reconciled(site, journal, faults=1, looks=2)
    assert (status["AnnexFleets"], status["AnnexEndedOverdue"]) == (1, 0)


@pytest.mark.parametrize(
    "changes", [{"ec2_url": "http://under_score"}, {"of_tomorrow": "x"}, {"region": ""}, {"logs_url": 7}]
)
def test_endpoints_that_cannot_be_used_are_a_fault_of_their_account_only(
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
def test_a_date_of_an_endpoint_that_a_user_names_ends_nobody_elses_annex(
    site: Site, journal: Journal, date: str
) -> None:
    with endpoint(relays(site.cloud.url, date)) as url:
        ordered(site, journal, "annex-1", site.cloud.url, lambda_url=url, logs_url=url)
        status = reconciled(site, journal, faults=0, looks=3)
    assert (status["AnnexFleets"], status["AnnexEndedOverdue"], status["AnnexOverdue"]) == (1, 0, 0)
    assert abs(int(status["AnnexClockSkew"])) <= 3
    assert len(site.live_fleets()) == 1


def test_keys_of_another_account_are_a_fault_and_nothing_there_is_believed_gone(site: Site, journal: Journal) -> None:
    site.keys["/home/bob/public"] = OTHER_KEY.encode()
    order = ordered(site, journal, "annex-1", site.cloud.url)
    bobs = order | {"public_key_file": "/home/bob/public", "annex_id": "annex-2"}
    journal.append("annex-2", "", Kind.ACCEPTED, {"owner": OWNER, "order": bobs})
    status = reconciled(site, journal, faults=1, looks=2)
    assert (status["AnnexFleets"], status["AnnexEndedOverdue"]) == (1, 0)


def test_a_fault_of_annexd_at_one_account_is_that_accounts_only(site: Site, journal: Journal) -> None:
    """Such as a host without a passwd entry for a requester whom it once knew."""
    order = ordered(site, journal, "annex-1", site.cloud.url)
    bobs = order | {"public_key_file": "/home/bob/public", "annex_id": "annex-2"}
    journal.append("annex-2", "", Kind.ACCEPTED, {"owner": OWNER, "order": bobs})
    site.broken_paths.add("/home/bob/public")
    assert reconciled(site, journal, faults=1, looks=2)["AnnexFleets"] == 1


# The promise, where the lease function does not keep it.


def test_a_lease_that_nobody_ends_is_ended_by_annexd_after_three_runs_and_reported(
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
    return next(int(state.order["end_of_lease_s"]) for state in engine.accepted()[1] if state.order)


def test_the_oldest_heartbeat_of_all_accounts_is_in_the_ad(site: Site, journal: Journal) -> None:
    status = reconciled(site, journal, faults=0)
    assert 0 <= time.time() - int(status["AnnexFunctionTime"]) < 60
    assert "AnnexFunctionFault" not in status


# Which accounts are looked at.


def finished(journal: Journal, name: str, result: str) -> None:
    journal.append(name, "", Kind.FINISHED, {"result": result, "error": ""})


def urls(living: Living, now_s: float | None = None) -> list[str]:
    targets = living.targets(time.time() if now_s is None else now_s).values()
    return sorted(target.order["endpoints"]["ec2_url"] for target in targets)


def test_an_account_is_looked_at_while_something_lives_there_and_forgotten_after(site: Site, journal: Journal) -> None:
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


def test_an_order_that_failed_is_no_fault_of_the_next_annexd(site: Site, journal: Journal) -> None:
    ordered(site, journal, "annex-1", "http://127.0.0.1:1")
    finished(journal, "annex-1", "Failure")
    assert reconciled(site, journal, faults=0, looks=2)["AnnexReconcileFaults"] == 0


@pytest.mark.parametrize("order", [{}, {"endpoints": None}, {"owner": 5, "endpoints": {}}, {"join": 7}])
def test_an_order_of_another_version_keeps_no_account_from_being_looked_at(
    site: Site, journal: Journal, order: Json
) -> None:
    journal.append("annex-1", "", Kind.ACCEPTED, {"owner": OWNER, "order": order})
    assert urls(Living(site.engine(journal)))[-1] == site.cloud.url
