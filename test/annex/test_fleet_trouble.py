"""Users whose order starts nothing see why: AWS's message, its meaning, and the next step."""

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import pytest

from annexd.annex.fleet.advice import ADVICE, CONSOLE, advice
from annexd.annex.fleet.trouble import LONGEST_TEXT, MOST_ASKED, SETTLE_S, SHORT_LIFE_S, Trouble
from annexd.annex.lease.lease import utc
from annexd.annex.reconcile import reconcile
from test.annex.clouds import as_new, deployed
from test.annex.fleets import by_hand, fleet, look, tag, target, writes
from test.annex.looks import listed, looked
from test.annex.site import Site, wait_for
from test.annex.strange import BODIES, answering
from test.aws.endpoint import endpoint, relays
from test.cloud.fleet_troubles import TROUBLES, blacklisted

__all__ = ["as_new", "deployed"]  # a cloud of its own: its fleets fail
pytestmark = pytest.mark.usefixtures("as_new")

MEANINGS = {  # by trouble: part of AWS's message, and part of the next step
    "quota": ("Spot Max Instance Count Exceeded", "request a higher quota"),
    "price": ("Spot bid price is less than Spot market price $0.9120", "leave SpotPrice out"),
    "not-offered": ("$-1.0000", "other instance types or zones"),
    "role": ("iamFleetRoleInvalid: The IAM fleet role", "-check-setup"),
    "profile": ("iamInstanceProfile.name is invalid", "instance profile"),
    "image": ("does not exist", "correct ImageId"),
    "subnet": ("subnet-1", "correct them in the file"),
    "group": ("belong to different networks", "correct them in the file"),
    "ebs-key": ("Client error on launch", "grant the key"),
    "control-policy": ("explicit deny", "administrators of the account"),
    "capacity": ("no Spot capacity available", "retries automatically"),
    "no-capacity": ("There is no Spot capacity available", "retries automatically"),
    "invalid": ("DeviceIndex 0", "correct it and order again"),
    "all": ("Several attempts to launch instances have failed", "the EC2 console has the whole history"),
}


def troubled(site: Site, trouble: str, **more: Any) -> Trouble:
    """Request a fleet with this trouble; return what annexd sees of it."""
    site.cloud.behave(fleet_trouble=trouble)
    fleet_id = fleet(site, "annex-1", 1000)
    return look(site, **more).troubles[fleet_id]


def asked(site: Site) -> int:
    return len(site.cloud.calls("DescribeSpotFleetRequestHistory"))


def test_each_trouble_of_the_emulator_has_its_message() -> None:
    assert set(TROUBLES) == {*MEANINGS, "", "silence", "some", "dying", "fleet-quota", "cancelled"}


@pytest.mark.parametrize("trouble", MEANINGS)
def test_the_reason_why_nothing_runs_is_awss_with_the_next_step(site: Site, trouble: str) -> None:
    seen = troubled(site, trouble)
    quoted, step = MEANINGS[trouble]
    assert seen.text.startswith("AWS has started 0 of 2 and is still trying; AWS says: ")
    assert quoted in seen.text
    assert step in seen.text
    assert (seen.has_failed, len(seen.text) <= LONGEST_TEXT) == (False, True)


def test_a_filled_fleet_is_not_in_trouble_and_causes_no_calls(site: Site) -> None:
    fleet(site, "annex-1", 1000)
    site.cloud.clear_audit()
    assert (look(site).troubles, asked(site)) == ({}, 0)


@pytest.mark.parametrize("trouble", ["silence", "some"])
def test_less_than_ordered_without_a_reason_is_reported_after_a_while(site: Site, trouble: str) -> None:
    site.cloud.behave(fleet_trouble=trouble)
    fleet_id = fleet(site, "annex-1", 1000)
    assert look(site).troubles == {}, "AWS needs its time"
    text = look(site, ahead_s=SETTLE_S).troubles[fleet_id].text
    assert text.startswith(f"AWS has started {int(trouble == 'some')} of 2 and is still trying; AWS gives no reason")


def test_an_error_is_reported_before_its_event_is_shown(site: Site) -> None:
    site.cloud.behave(history_late_s=30.0)
    assert "AWS reports an error that is not in its history yet" in troubled(site, "role").text


def test_a_fleet_that_aws_cancels_at_once_has_failed(site: Site) -> None:
    seen = troubled(site, "fleet-quota")
    assert seen.has_failed
    assert "was cancelled before anything was started" in seen.text
    assert "request a higher quota" in seen.text
    assert troubled(site, "cancelled").has_failed


def test_a_request_that_found_nothing_within_its_delay_has_failed(site: Site) -> None:
    site.cloud.behave(fleet_trouble="silence")
    reply = site.order(EndOfLease=int(time.time()) + 3600)
    [config] = [each["config"] for each in site.live_fleets()]
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[reply["BulkRequestID"]], TerminateInstances=False)
    ahead_s = 1.0 + float(config["ValidUntil"]) - time.time()
    seen = look(site, ahead_s=ahead_s).troubles[str(reply["BulkRequestID"])]
    assert (seen.has_failed, "within the provisioning delay, and has stopped trying" in seen.text) == (True, True)


def test_machines_that_leave_for_lack_of_work_are_not_reported_as_trouble(site: Site) -> None:
    """A one-time request replaces nothing.  The test dates the launches in the history some minutes back."""
    fleet(site, "annex-1", 1000)
    began = datetime.fromtimestamp(time.time() - SHORT_LIFE_S - 60, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def earlier(item: re.Match[bytes]) -> bytes:
        return re.sub(rb"20[-0-9T:.]+Z", began.encode(), item[0]) if b">launched<" in item[0] else item[0]

    def rewritten(answer: bytes) -> bytes:
        is_history = b"DescribeSpotFleetRequestHistoryResponse" in answer
        return re.sub(rb"<item>.*?</item>", earlier, answer, flags=re.DOTALL) if is_history else answer

    for left in (1, 0):
        by_hand(site).terminate_instances(InstanceIds=[site.cloud.running_instances()[0]["id"]])
        with endpoint(relays(site.cloud.url, formatdate(usegmt=True), rewritten=rewritten)) as url:
            assert reconcile(site.step_context(), target(site, url), frozenset).troubles == {}, left
    assert asked(site)


def test_instances_that_die_at_once_are_reported(site: Site) -> None:
    """This happens if their volumes are encrypted with a key that Spot may not use; the history has no error then."""
    text = troubled(site, "dying").text
    assert text.startswith("AWS has started 2 instances, each of which ended within minutes; ")
    assert "AWSServiceRoleForEC2Spot may not use its key" in text


def test_instances_that_somebody_ended_with_their_fleet_are_not_reported_as_trouble(site: Site) -> None:
    fleet_id = fleet(site, "annex-1", 1000)
    by_hand(site).cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet_id], TerminateInstances=True)
    wait_for(lambda: site.cloud.running_instances() == [], "its instances to be gone")
    assert look(site).troubles == {}


@pytest.mark.parametrize("kind", ["cancelled", "over", "busy"])
def test_a_fleet_whose_annex_is_over_cancelled_or_busy_is_not_reported_as_trouble(site: Site, kind: str) -> None:
    site.cloud.behave(fleet_trouble="role")
    fleet_id = fleet(site, "annex-1", 1000 if kind != "over" else -10)
    if kind == "cancelled":
        tag(site, fleet_id, cancelled=utc(time.time()))
    assert look(site, busy={"annex-1"} if kind == "busy" else frozenset()).troubles == {}


def test_a_reason_is_shown_once_for_all_zones_and_the_summary_only_without_one(site: Site) -> None:
    text = troubled(site, "image").text
    assert (text.count("does not exist;"), text.count("Several attempts")) == (1, 0)


# EC2's limits, and strange responses.


def test_the_histories_of_the_newest_fleets_only_are_asked_for_within_ec2s_limits(site: Site) -> None:
    site.cloud.behave(fleet_trouble="role")
    for number in range(MOST_ASKED + 5):
        fleet(site, f"annex-{number}", 1000)
    site.cloud.behave(ec2_limits=1.0)
    site.cloud.clear_audit()
    report = look(site)
    texts = [each.text for each in report.troubles.values()]
    assert (len(texts), asked(site), report.faults) == (MOST_ASKED + 5, MOST_ASKED, ())
    assert sum("newest fleets of an account" in each for each in texts) == 5


def test_without_the_right_the_look_goes_on_and_says_which_right_is_missing(site: Site) -> None:
    site.cloud.behave(fleet_trouble="role")
    fleet_id = fleet(site, "annex-1", 1000)
    site.cloud.fault("DescribeSpotFleetRequestHistory", "denied")
    report = look(site)
    assert report.fleets == {fleet_id}
    assert "annexd cannot read why: DescribeSpotFleetRequestHistory was denied" in report.troubles[fleet_id].text


def test_a_throttled_question_ends_the_questions_and_not_the_look(site: Site) -> None:
    site.cloud.behave(fleet_trouble="role")
    fleets = {fleet(site, "annex-1", 1000), fleet(site, "annex-2", 1000)}
    site.cloud.fault("DescribeSpotFleetRequestHistory", "throttle", times=10)
    site.cloud.clear_audit()
    report = look(site)
    assert (set(report.fleets), set(report.troubles), asked(site)) == (fleets, fleets, 1)
    assert all(
        "annexd cannot read why: DescribeSpotFleetRequestHistory was throttled" in each.text
        for each in report.troubles.values()
    )
    site.cloud.clear_faults()


RECORD = (
    "<item><timestamp>2026-11-28T10:00:00.000Z</timestamp><eventType>{}</eventType><eventInformation>{}"
    "</eventInformation></item>"
)
BEYOND = {
    "a description of a megabyte": RECORD.format("error", f"<eventDescription>{'x' * 1_000_000}</eventDescription>"),
    "a sub-type of a megabyte": RECORD.format("error", f"<eventSubType>{'x' * 1_000_000}</eventSubType>"),
    "10,000 different errors": "".join(
        RECORD.format("error", f"<eventSubType>e{i}</eventSubType>") for i in range(10_000)
    ),
    "escape sequences": RECORD.format("error", "<eventDescription>&#10;\u009b2J\u202e</eventDescription>"),
    "no information": RECORD.format("error", ""),
    "no time": "<item><eventType>error</eventType></item>",
    "a time that is none": RECORD.format("error", "").replace("2026-11-28T10:00:00.000Z", "soon"),
    "no type": "<item><timestamp>2026-11-28T10:00:00.000Z</timestamp></item>",
    "an item of text": "<item>x</item>",
}


REPORTED = [*BEYOND][:5]


@pytest.mark.parametrize("body", [*BODIES, *BEYOND])
def test_a_strange_history_is_bounded_and_hides_no_annex(site: Site, body: str) -> None:
    site.cloud.behave(fleet_trouble="role")
    fleet_id = fleet(site, "annex-1", 1000)
    history = (
        BODIES[body]
        if body in BODIES
        else (
            "<DescribeSpotFleetRequestHistoryResponse><historyRecordSet>"
            f"{BEYOND.get(body, '')}</historyRecordSet></DescribeSpotFleetRequestHistoryResponse>"
        ).encode()
    )
    site.cloud.clear_audit()
    answer = answering("DescribeSpotFleetRequestHistory", history)
    with endpoint(relays(site.cloud.url, formatdate(usegmt=True), answer)) as url:
        report = reconcile(site.step_context(), target(site, url), frozenset)
    assert (set(report.fleets), report.faults, writes(site)) == ({fleet_id}, (), [])
    text = report.troubles[fleet_id].text
    assert text.startswith("AWS has started 0 of 2 and is still trying; ")
    assert ("AWS says: " in text) == (body in REPORTED)
    assert text.isprintable()
    assert len(text) <= LONGEST_TEXT


@pytest.mark.parametrize(
    "amount",
    [
        "<fulfilledCapacity>NaN</fulfilledCapacity>",
        "<targetCapacity>-1</targetCapacity>",
        "<targetCapacity>99999999999999999999</targetCapacity>",
    ],
)
def test_an_invalid_capacity_is_not_reported_as_trouble_and_hides_no_annex(site: Site, amount: str) -> None:
    fleet_id = fleet(site, "annex-1", 1000)
    name, met = amount[1:].partition(">")[0], []

    def rewritten(answer: bytes) -> bytes:
        head, middle, tail = answer.partition(f"<{name}>".encode())
        met.append(middle)
        return head + amount.encode() + tail.partition(f"</{name}>".encode())[2] if middle else answer

    with endpoint(relays(site.cloud.url, formatdate(usegmt=True), rewritten=rewritten)) as url:
        report = reconcile(site.step_context(), target(site, url), frozenset)
    assert (set(report.fleets), report.faults, any(met)) == ({fleet_id}, (), True)


def test_every_advice_is_reached_and_what_is_not_known_is_sent_to_the_console() -> None:
    quotes = [f"{sub_type}: {text}" for each in TROUBLES.values() for _, sub_type, text in each.events]
    quotes += [blacklisted("The key pair 'x' does not exist")[0][2], "x: UnauthorizedOperation"]
    assert {advice(each) for each in quotes} >= set(ADVICE.values())
    assert advice("allIsWell: nothing of note") == CONSOLE


# The trouble in -status.


def test_status_shows_why_nothing_runs_and_that_the_order_of_a_failed_fleet_failed(site: Site) -> None:
    site.cloud.behave(fleet_trouble="role")
    site.order()
    site.cloud.behave(fleet_trouble="fleet-quota")
    site.order()
    role, quota = listed(site, looks=looked(site))
    assert (role["State"], quota["State"]) == ("leased", "failed")
    assert "iamFleetRoleInvalid" in role["Trouble"]
    assert "was cancelled before anything was started" in quota["Trouble"]
    assert [each["Trouble"] for each in listed(site)] == [None, None], "before the first look"


def test_status_shows_no_trouble_of_a_cancelled_annex(site: Site) -> None:
    site.cloud.behave(fleet_trouble="role")
    site.order(AnnexName="mine")
    seen = looked(site)
    assert site.cancel("mine")["Result"] == "Success"
    later = {key: replace(each, at_s=time.time()) for key, each in seen.items()}
    [annex] = listed(site, looks=later)
    assert (annex["State"], annex["Trouble"]) == ("cancelled", None)
    assert json.dumps(annex)
