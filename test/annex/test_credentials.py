"""Keys that expire, or are replaced, while an order is under way or being undone."""

import threading
from dataclasses import replace

from annexd.annex.bulk_request import bulk_request
from annexd.annex.request.defaults import Defaults
from annexd.aws import ClientCache
from annexd.workflow import RetryPolicy, State
from test.annex.ads import OWNER
from test.annex.site import PACE, Site
from test.cloud.keys import OTHER_KEY
from test.replies import accepted

EXPIRED = {"kind": "error", "code": "ExpiredTokenException", "status": 400, "times": 1000}
IMPATIENT = replace(PACE, cap_s=0.02, undo_patience_s=0.1)


def expire(site: Site, *operations: str, skip: int = 0) -> None:
    for operation in operations:
        site.cloud.fault(operation, skip=skip, **EXPIRED)  # type: ignore[arg-type]


def keys_used(site: Site, operation: str) -> list[str]:
    return [str(call["access_key_id"]) for call in site.cloud.calls(operation)]


def test_keys_that_are_replaced_in_their_files_are_used_from_the_next_call_on(site: Site) -> None:
    def rotate(_: State) -> None:
        site.keys["/home/alice/public"] = b"AKIAROTATED"

    accepted(site.order(accepted=rotate))
    assert keys_used(site, "RequestSpotFleet") == ["AKIAROTATED"]


def test_keys_that_expire_before_the_fleet_leave_the_order_undone_with_the_reason(site: Site) -> None:
    expire(site, "RequestSpotFleet")
    answer = site.order()
    assert answer["Result"] == "Failure"
    assert "the credentials have expired or a clock is wrong (ExpiredTokenException)" in str(answer["ErrorString"])
    assert len(site.cloud.calls("RequestSpotFleet")) == 1, "what is denied is not asked again"
    site.check_nothing_left()


def test_keys_that_expire_during_an_undo_leave_it_stuck_under_its_lease_until_there_are_new_ones(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", when="after")
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    expire(site, "DescribeSpotFleetRequests")
    answer = site.order(IMPATIENT)
    assert answer["Result"] == "Failure"
    assert "could not be undone yet, will retry" in str(answer["ErrorString"])
    assert "have expired" in str(answer["ErrorString"])
    assert len(site.live_fleets()) == 1
    site.check_all_leased()
    site.cloud.clear_faults()
    site.keys["/home/alice/public"] = b"AKIAROTATED"
    site.cloud.clear_audit()
    assert [result for result, _ in site.restart()] == ["Failure"]
    assert set(keys_used(site, "CancelSpotFleetRequests")) == {"AKIAROTATED"}
    site.check_nothing_left()


def test_key_files_that_are_gone_during_an_undo_leave_it_stuck_under_its_lease(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", when="after")
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    expire(site, "DescribeSpotFleetRequests")
    site.order(IMPATIENT)
    keys, site.keys = site.keys, {}
    site.cloud.clear_faults()
    journal = site.journal()
    engine = site.engine(journal, IMPATIENT)
    [command_id] = engine.unfinished()
    outcome = engine.run(command_id)
    assert outcome.retry_at_s is not None
    assert "PublicKeyFile cannot be used: /home/alice/public cannot be opened" in outcome.error
    site.check_all_leased()
    journal.close()
    site.keys = keys
    site.restart()
    site.check_nothing_left()


def test_network_that_is_lost_for_good_is_given_up_at_the_deadline_and_undone_when_it_is_back(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", times=1000)
    answer = site.order(PACE)
    assert answer["Result"] == "Failure"
    assert "got no clear answer" in str(answer["ErrorString"])
    assert "gave up after" in str(answer["ErrorString"])
    site.check_nothing_left()


def test_throttling_that_ends_is_waited_out(site: Site) -> None:
    site.cache = ClientCache()
    site.cloud.fault("RequestSpotFleet", "throttle", times=2)
    accepted(site.order(RetryPolicy()))
    assert len(site.cloud.calls("RequestSpotFleet")) == 3


def test_many_orders_of_a_throttled_account_all_get_through_without_a_storm(site: Site) -> None:
    site.cache = ClientCache()
    site.cloud.fault("RequestSpotFleet", "throttle", times=5)
    journal = site.journal()
    engine, answers = site.engine(journal, RetryPolicy()), []

    def order() -> None:
        answers.append(bulk_request(site.ad(), OWNER, engine, Defaults(), site.now_s())["Result"])

    orders = [threading.Thread(target=order) for _ in range(6)]
    for each in orders:
        each.start()
    for each in orders:
        each.join(timeout=60)
    journal.close()
    assert answers == ["Success"] * 6
    assert len(site.cloud.calls("RequestSpotFleet")) == 11
    site.check_all_leased()


def test_each_kind_of_refusal_has_its_own_words_and_is_asked_once(site: Site) -> None:
    for code, message in {
        "MaxSpotInstanceCountExceeded": "would exceed a quota of the AWS account",
        "InsufficientInstanceCapacity": "found no capacity, try other instance types",
        "UnauthorizedOperation": "was denied to these credentials",
        "InvalidSpotFleetRequestConfig": "was refused by AWS",
    }.items():
        site.clean()
        site.cloud.fault("RequestSpotFleet", "error", code=code, times=1000)
        assert message in str(site.order()["ErrorString"])
        assert len(site.cloud.calls("RequestSpotFleet")) == 1, code


# Keys of another account, in which all of an order seems to be gone.


def other_account(site: Site) -> None:
    site.keys["/home/alice/public"] = OTHER_KEY.encode()


def test_keys_that_become_another_accounts_during_an_undo_leave_it_stuck_until_the_right_ones_are_back(
    site: Site,
) -> None:
    site.cloud.fault("RequestSpotFleet", "reset", when="after")
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    expire(site, "DescribeSpotFleetRequests")
    site.order(IMPATIENT)
    keys = dict(site.keys)
    other_account(site)
    site.cloud.clear_faults()
    journal = site.journal()
    engine = site.engine(journal, IMPATIENT)
    [command_id] = engine.unfinished()
    outcome = engine.run(command_id)
    journal.close()
    assert outcome.retry_at_s is not None, "what another account does not have is not gone"
    assert "belong to AWS account 210987654321, but the order belongs to account 123456789012" in outcome.error
    assert len(site.live_fleets()) == 1
    site.check_all_leased()
    site.keys = keys
    assert [result for result, _ in site.restart()] == ["Failure"]
    site.check_nothing_left()


def test_an_order_with_keys_of_another_account_than_its_lease_function_makes_nothing(site: Site) -> None:
    other_account(site)
    answer = site.order()
    assert answer["Result"] == "Failure"
    assert "belong to AWS account 210987654321, but the order belongs to account 123456789012" in str(
        answer["ErrorString"]
    )
    assert site.operations() == []


def test_a_cancellation_with_keys_of_another_account_ends_nothing_and_is_not_believed_done(site: Site) -> None:
    annex = str(site.order()["AnnexID"])
    keys = dict(site.keys)
    other_account(site)
    answer = site.cancel(annex, pace=IMPATIENT)
    assert answer["Result"] != "Success"
    assert "belong to AWS account 210987654321" in str(answer["ErrorString"])
    site.check_all_leased()
    site.keys = keys
