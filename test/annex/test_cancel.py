"""An annex that its user ends: its lease is over at once, the lease function does the rest, and nothing comes back."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from annexd.annex.bulk_request import bulk_request
from annexd.annex.cancel import cancel_annex
from annexd.annex.lease import tags
from annexd.annex.roll import Roll
from annexd.workflow import Engine, Journal, Pace, State
from test.annex.ads import OWNER
from test.annex.conftest import TEMPLATE
from test.annex.site import PACE, SETTLE_S, Site, wait_for
from test.annex.test_adoption import expiration, fleet, look, writes
from test.cloud import Cloud

BOB = "bob@example.org"
PATIENT = replace(PACE, patience_s=10.0)
IMPATIENT = replace(PACE, patience_s=0.2, stuck_base_s=0.05)


@pytest.fixture(scope="module")
def deployed() -> Iterator[tuple[Cloud, str]]:
    """A cloud of its own: what runs here without a lease stays on its meter."""
    with Cloud(speed=0, termination_s=0.05) as cloud:
        yield cloud, cloud.deploy_template(TEMPLATE)


@pytest.fixture
def annex(site: Site) -> dict[str, Any]:
    """The reply to an order of an hour."""
    reply = site.order(AnnexName="physics")
    assert reply["Result"] == "Success", reply
    site.cloud.clear_audit()
    return dict(reply)


def input_of(site: Site, annex_id: object) -> dict[str, Any]:
    [target] = site.cloud.client("events").list_targets_by_rule(Rule=str(annex_id))["Targets"]
    return dict(json.loads(target["Input"]))


def take_rule_away(site: Site, annex: dict[str, Any]) -> None:
    events = site.cloud.client("events")
    events.remove_targets(Rule=annex["AnnexID"], Ids=[annex["AnnexID"]])
    events.delete_rule(Name=annex["AnnexID"])


def end(site: Site) -> None:
    """A tick, and the time that a run needs after it."""
    site.cloud.tick()
    site.check_nothing_left()


@pytest.mark.parametrize("called", ["AnnexID", "BulkRequestID", "name"])
def test_its_lease_is_over_at_once_and_the_next_tick_ends_it(site: Site, annex: dict[str, Any], called: str) -> None:
    reply = site.cancel("physics" if called == "name" else annex[called])
    assert (reply["Result"], reply["AnnexID"]) == ("Success", annex["AnnexID"]), reply
    assert reply["BulkRequestID"] == annex["BulkRequestID"]
    assert abs(expiration(site, annex["AnnexID"]) - time.time()) < 5
    assert writes(site) == ["PutTargets"], "that is all that annexd does"
    if called == "AnnexID":
        end(site)


@pytest.mark.usefixtures("annex")
def test_nobody_elses_annex_is_touched(site: Site) -> None:
    other = site.order()
    before = input_of(site, other["AnnexID"])
    site.cancel("physics")
    site.cloud.tick()
    assert [fleet["id"] for fleet in site.live_fleets()] == [other["BulkRequestID"]]
    assert input_of(site, other["AnnexID"]) == before


# Who may, and what.


def test_another_user_may_not_cancel_it_unless_he_is_a_super_user(site: Site, annex: dict[str, Any]) -> None:
    assert site.cancel(annex["AnnexID"], BOB)["Result"] == "NotAuthorized"
    assert site.cancel("physics", BOB)["Result"] == "InvalidRequest", "names are each user's own"
    assert writes(site) == []
    site.defaults = replace(site.defaults, super_users=frozenset([BOB]))
    assert site.cancel(annex["AnnexID"], BOB)["Result"] == "Success"


def test_a_name_of_two_annexes_says_which_there_are(site: Site, annex: dict[str, Any]) -> None:
    other = site.order(AnnexName="physics")
    reply = site.cancel("physics")
    assert reply["Result"] == "InvalidRequest"
    for each in (annex, other):
        assert str(each["AnnexID"]) in str(reply["ErrorString"])
    site.cancel(annex["AnnexID"])
    assert site.cancel("physics")["AnnexID"] == other["AnnexID"], "now it is the name of one that lives"


STUCK = replace(PACE, undo_patience_s=0.1, stuck_base_s=60.0)


def stuck_order(site: Site) -> dict[str, Any]:
    """The reply to an order that made its fleet, failed, and cannot end it."""
    site.cloud.fault("CancelSpotFleetRequests", "throttle", times=1000)
    site.cloud.fault("RequestSpotFleet", "reset", times=1, when="after")
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    stuck = site.order(STUCK)
    assert stuck["Result"] == "Failure"
    return dict(stuck)


def test_an_order_that_is_stuck_in_its_undo_is_cancelled_and_tried_at_once(site: Site) -> None:
    stuck = stuck_order(site)
    reply = site.cancel(str(stuck["AnnexID"]), pace=IMPATIENT, CommandID="mine")
    assert reply["Result"] == "UnknownError"
    assert "its order is being undone" in str(reply["ErrorString"])
    site.cloud.clear_faults()
    site.restart()
    assert site.cancel(str(stuck["AnnexID"]), CommandID="mine")["Result"] == "Success"
    site.check_nothing_left()


def test_an_order_that_is_under_way_takes_no_further_step_and_is_undone(site: Site) -> None:
    site.cloud.fault("PutTargets", "hang", hang_s=1.0)
    journal, replies = site.journal(), list[dict[str, Any]]()
    roll = Roll(site.engine(journal))

    def order() -> None:
        reply = bulk_request(site.ad(AnnexName="physics"), OWNER, roll.engine, site.defaults, site.now_s(),
                             supplies=site.supplies)
        replies.append(dict(reply))

    ordering = threading.Thread(target=order)
    ordering.start()
    wait_for(lambda: bool(roll.called("physics", OWNER)) and not site.cloud.faults(), "the order to be under way")
    ad = {"Command": "CA_CANCEL_ANNEX", "RequestVersion": 1, "Annex": "physics"}
    cancelled = cancel_annex(ad, OWNER, roll, site.world(), site.defaults, site.now_s())
    ordering.join()
    journal.close()
    assert cancelled["Result"] == "Success", cancelled
    assert (replies[0]["Result"], "cancelled by alice" in replies[0]["ErrorString"]) == ("Failure", True)
    assert "RequestSpotFleet" not in site.operations()
    site.check_nothing_left()


def test_who_has_keys_that_work_can_end_what_is_stuck_for_want_of_them(site: Site) -> None:
    stuck = stuck_order(site)
    site.cloud.clear_faults()
    keys, site.keys = site.keys, {}
    annex = str(stuck["AnnexID"])
    assert site.cancel(annex, pace=IMPATIENT)["Result"] == "UnknownError", "accepted, and not given up for a file"
    site.keys = {f"/backup{path}": content for path, content in keys.items()}
    site.readers.add(BOB)
    told: dict[str, Any] = {"PublicKeyFile": "/backup/home/alice/public", "SecretKeyFile": "/backup/home/alice/secret"}
    assert site.cancel(annex, BOB, **told)["Result"] == "NotAuthorized"
    site.defaults = replace(site.defaults, super_users=frozenset([BOB]))
    assert site.cancel(annex, BOB, pace=PATIENT, **told)["Result"] == "Success"
    site.check_nothing_left()


def test_a_super_user_gives_up_what_cannot_be_undone_and_hears_what_may_be_left(site: Site) -> None:
    stuck = stuck_order(site)
    annex = str(stuck["AnnexID"])
    assert site.cancel(annex, ForceX=True)["Result"] == "NotAuthorized", "its owner may not"
    site.defaults = replace(site.defaults, super_users=frozenset([BOB]))
    reply = site.cancel(annex, BOB, ForceX=True)
    assert reply["Result"] == "Success"
    for words in (str(stuck["ClientToken"]), f"rule {annex}", "is ended by its lease, at 20"):
        assert words in str(reply["Warning"]), reply
    again = site.cancel(annex, BOB, ForceX=True)
    assert (again["Result"], "is stuck" in str(again["ErrorString"])) == ("InvalidState", True)
    site.cloud.clear_faults()
    assert site.restart() == [], "nothing of it goes on"
    words = str(site.cancel(annex)["ErrorString"])
    assert ("given up by bob@example.org" in words, "all of it is undone" in words) == (True, False), words


def test_what_is_not_stuck_is_not_given_up(site: Site, annex: dict[str, Any]) -> None:
    site.defaults = replace(site.defaults, super_users=frozenset([OWNER]))
    reply = site.cancel(annex["AnnexID"], ForceX=True)
    assert (reply["Result"], "-forcex is for what cannot be undone" in str(reply["ErrorString"])) == (
        "InvalidState", True)


def test_an_order_that_failed_has_nothing_to_cancel(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "denied", times=1000)
    failed = site.order()
    reply = site.cancel(str(failed["AnnexID"]))
    assert (reply["Result"], "all of it is undone" in str(reply["ErrorString"])) == ("InvalidState", True)


def test_an_annex_that_is_over_says_so(site: Site, annex: dict[str, Any]) -> None:
    site.away_s = 3700.0
    reply = site.cancel("physics")
    assert reply["Result"] == "InvalidState"
    assert f"annex {annex['AnnexID']} is over: its lease ended at" in str(reply["ErrorString"])
    assert writes(site) == []


def test_what_nobody_knows_is_not_found(site: Site) -> None:
    reply = site.cancel("annex-1")
    assert reply["Result"] == "InvalidRequest"
    assert "annexd knows no annex annex-1 of yours; with key files" in str(reply["ErrorString"])


@pytest.mark.parametrize(("changes", "words"), [
    ({"annex": None}, "Annex is missing"),
    ({"annex": "x' || true"}, "Annex must be an annex's ID"),
    ({"annex": 5}, "Annex must be a string"),
    ({"Annexx": "x"}, "Annexx is no attribute of CA_CANCEL_ANNEX"),
    ({"RequestVersion": 2}, "RequestVersion must be 1"),
    ({"PublicKeyFile": "/home/alice/public"}, "SecretKeyFile is missing: key files come in pairs"),
    ({"CommandID": "no spaces"}, "CommandID must be"),
])
@pytest.mark.usefixtures("annex")
def test_a_wrong_command_tells_its_faults(site: Site, changes: dict[str, Any], words: str) -> None:
    reply = site.cancel(**{"annex": "physics", **changes})
    assert reply["Result"] == "InvalidRequest"
    assert words in str(reply["ErrorString"])
    assert writes(site) == []


# Twice, and after all kinds of trouble.


def test_cancelling_twice_is_cancelling_once(site: Site, annex: dict[str, Any]) -> None:
    first = site.cancel("physics")
    site.cloud.clear_audit()
    again = site.cancel(annex["AnnexID"])
    assert (again["Result"], again["EndOfLease"]) == ("Success", first["EndOfLease"])
    assert again["Warning"] == "it was cancelled before"
    assert site.operations() == []
    end(site)
    assert site.cancel(annex["AnnexID"])["Result"] == "Success", "and it stays so when it is gone"
    assert site.rules() == set()


class MeetingRoll(Roll):
    """Two that ask for a cancellation have the same answer before either goes on, if they can."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._meeting = threading.Barrier(2)

    def cancellation(self, annex_id: str) -> State | None:
        found = super().cancellation(annex_id)
        with contextlib.suppress(threading.BrokenBarrierError):
            self._meeting.wait(timeout=0.5)
        return found


def test_two_who_cancel_at_once_share_one_cancellation(site: Site, annex: dict[str, Any]) -> None:
    journal = site.journal()
    roll = MeetingRoll(site.engine(journal))
    ad = {"Command": "CA_CANCEL_ANNEX", "RequestVersion": 1, "Annex": annex["AnnexID"]}
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(cancel_annex, ad, OWNER, roll, site.world(), site.defaults, site.now_s())
                 for _ in range(2)]
    replies = [one.result() for one in asked]
    journal.close()
    assert [reply["Result"] for reply in replies] == ["Success", "Success"]
    assert len({reply["CommandID"] for reply in replies}) == 1, replies
    end(site)


def test_the_same_command_gets_the_same_answer_and_no_other_commands(site: Site, annex: dict[str, Any]) -> None:
    first = site.cancel("physics", CommandID="mine")
    assert site.cancel("physics", CommandID="mine") == first
    other = site.cancel("anything", CommandID="mine")
    assert (other["Result"], "other options" in str(other["ErrorString"])) == ("InvalidRequest", True)
    assert site.cancel("physics", BOB, CommandID="mine")["Result"] == "NotAuthorized"
    for reply in (site.cancel("physics", CommandID=annex["CommandID"]), site.order(CommandID="mine")):
        assert (reply["Result"], "is that of another command" in str(reply["ErrorString"])) == ("InvalidRequest", True)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_that_is_lost_is_asked_for_again(site: Site, annex: dict[str, Any], when: str) -> None:
    site.cloud.fault("PutTargets", "reset", times=2, when=when)
    assert site.cancel("physics")["Result"] == "Success"
    assert expiration(site, annex["AnnexID"]) <= time.time()


def test_what_the_order_asked_for_without_an_answer_has_no_effect_any_more_when_the_lease_is_ended(site: Site) -> None:
    site.cloud.fault("PutTargets", "reset", times=1)
    before_s = time.time()
    annex = site.order()
    reply = site.cancel(str(annex["AnnexID"]), pace=PATIENT)
    assert reply["Result"] == "Success"
    assert time.time() - before_s > SETTLE_S, "what was asked for without an answer may still come"


def test_an_outage_is_waited_for_and_the_client_is_told(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.fault("PutTargets", "internal", times=1000)
    reply = site.cancel("physics", pace=IMPATIENT, CommandID="mine")
    assert reply["Result"] == "UnknownError"
    assert f"annex {annex['AnnexID']} is not cancelled yet, and annexd goes on" in str(reply["ErrorString"])
    site.cloud.clear_faults()
    assert site.restart() == [("Success", "")]
    assert expiration(site, annex["AnnexID"]) <= time.time()
    assert site.cancel("physics", CommandID="mine")["Result"] == "Success"


def test_a_final_no_is_told_and_leaves_the_lease_as_it_was(site: Site, annex: dict[str, Any]) -> None:
    before = input_of(site, annex["AnnexID"])
    site.cloud.fault("PutTargets", "denied", times=1)
    reply = site.cancel("physics")
    assert (reply["Result"], "PutTargets was denied" in str(reply["ErrorString"])) == ("Failure", True)
    assert input_of(site, annex["AnnexID"]) == before
    assert site.cancel("physics")["Result"] == "Success", "and it can be asked for again"


def test_a_lease_that_somebody_took_away_is_made_anew_and_ends_at_once(site: Site, annex: dict[str, Any]) -> None:
    events = site.cloud.client("events")
    events.remove_targets(Rule=annex["AnnexID"], Ids=[annex["AnnexID"]])
    assert site.cancel("physics")["Result"] == "Success"
    assert expiration(site, annex["AnnexID"]) <= time.time()
    end(site)


def test_a_disabled_rule_fires_again(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.client("events").disable_rule(Name=annex["AnnexID"])
    assert site.cancel("physics")["Result"] == "Success"
    end(site)


def test_where_nothing_is_left_of_it_nothing_is_made(site: Site, annex: dict[str, Any]) -> None:
    site.cloud.client("ec2").cancel_spot_fleet_requests(
        SpotFleetRequestIds=[annex["BulkRequestID"]], TerminateInstances=True)
    wait_for(lambda: not look(site).sightings, "the annex to be ended by hand")
    take_rule_away(site, annex)
    site.cloud.clear_audit()
    assert site.cancel("physics")["Result"] == "Success"
    assert writes(site) == []


@pytest.mark.usefixtures("annex")
def test_a_key_file_that_has_moved_can_be_told(site: Site) -> None:
    site.keys = {f"/new{path}": content for path, content in site.keys.items()}
    waiting = site.cancel("physics", pace=IMPATIENT)
    assert (waiting["Result"], "PublicKeyFile cannot be used" in str(waiting["ErrorString"])) == ("UnknownError", True)
    told: dict[str, Any] = {"PublicKeyFile": "/new/home/alice/public", "SecretKeyFile": "/new/home/alice/secret"}
    assert site.cancel("physics", **told)["Result"] == "Success"


# Without the journal, and with reconciliation.


def on_another_disk(site: Site) -> None:
    site.home = site.home / "another"
    site.home.mkdir()
    site.defaults = replace(site.trusting(), lease_function_arn=site.arn)


KEYS: dict[str, Any] = {"PublicKeyFile": "/home/alice/public", "SecretKeyFile": "/home/alice/secret"}


def test_an_annexd_that_lost_its_disk_finds_it_in_the_cloud(site: Site, annex: dict[str, Any]) -> None:
    on_another_disk(site)
    assert site.cancel(annex["AnnexID"])["Result"] == "InvalidRequest", "without keys it can look nowhere"
    assert site.cancel("annex-unknown", **KEYS)["Result"] == "InvalidRequest"
    reply = site.cancel(annex["AnnexID"], pace=PATIENT, **KEYS)
    assert (reply["Result"], reply["AnnexID"]) == ("Success", annex["AnnexID"])
    again = site.cancel(annex["BulkRequestID"], **KEYS)
    assert (again["Result"], again["Warning"]) == ("Success", "it was cancelled before")
    end(site)


def test_what_is_found_in_the_cloud_is_its_owners_and_lives(site: Site, annex: dict[str, Any]) -> None:
    on_another_disk(site)
    its_owner = "Carol <carol@example.org>"
    fleet(site, "annex-1", lease_s=1000, its_tags=tags("annex-1", its_owner, int(time.time()) + 1000))
    assert site.cancel("annex-1", **KEYS)["Result"] == "NotAuthorized"
    site.defaults = replace(site.defaults, super_users=frozenset([OWNER]))
    assert site.cancel("annex-1", pace=IMPATIENT, **KEYS)["Result"] == "UnknownError", "it waits what may be on its way"
    site.cloud.client("ec2").cancel_spot_fleet_requests(
        SpotFleetRequestIds=[annex["BulkRequestID"]], TerminateInstances=True)
    wait_for(lambda: annex["AnnexID"] not in {each.annex_id for each in look(site).sightings}, "its end by hand")
    reply = site.cancel(annex["AnnexID"], **KEYS)
    assert (reply["Result"], "nothing of it runs" in str(reply["ErrorString"])) == ("InvalidState", True)


def test_a_cancelled_lease_that_is_missing_is_made_anew_for_no_longer(site: Site, annex: dict[str, Any]) -> None:
    site.cancel("physics")
    take_rule_away(site, annex)
    assert len(look(site, cancelled=ends(site)).mended) == 1
    assert expiration(site, annex["AnnexID"]) <= time.time() + 1


def test_an_end_that_came_back_is_noticed_and_mended(site: Site, annex: dict[str, Any]) -> None:
    events = site.cloud.client("events")
    [old] = events.list_targets_by_rule(Rule=annex["AnnexID"])["Targets"]
    site.cancel("physics")
    events.put_targets(Rule=annex["AnnexID"], Targets=[old])
    [words] = look(site, cancelled=ends(site)).mended
    assert "was cancelled: its lease ends again" in words
    assert expiration(site, annex["AnnexID"]) <= time.time() + 1
    assert look(site, cancelled=ends(site)).mended == ()


def ends(site: Site) -> dict[str, float]:
    journal: Journal = site.journal()
    try:
        return Roll(site.engine(journal, Pace())).cancelled_ends()
    finally:
        journal.close()


def test_ends_are_known_after_a_restart(site: Site, annex: dict[str, Any]) -> None:
    reply = site.cancel("physics")
    assert ends(site) == {annex["AnnexID"]: reply["EndOfLease"]}
