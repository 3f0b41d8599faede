"""A lease is extended within its limits and while somebody waits for it, or not at all; the reply has its end."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from annexd.annex.change import change_lease
from annexd.annex.index import AnnexIndex
from annexd.annex.lease.lease import TAG_CANCELLED, TAG_LEASE_END, end_in_tag, utc
from annexd.annex.reply import ReplyAd
from annexd.annex.steps.change_checks import LONGEST_WAIT_S
from annexd.workflow import Engine
from test.annex.ads import OWNER
from test.annex.site import BYSTANDER, PACE, Site, wait_for

HOUR_S = 3600


def end_s(site: Site, fleet_id: object) -> int | None:
    """Return the end in the fleet's tag."""
    ec2 = site.cloud.client("ec2", BYSTANDER)
    [seen] = ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[str(fleet_id)])["SpotFleetRequestConfigs"]
    return end_in_tag({tag["Key"]: tag["Value"] for tag in seen["Tags"]}[TAG_LEASE_END])


def tag(site: Site, fleet_id: object, key: str, moment_s: float) -> None:
    ec2 = site.cloud.client("ec2", BYSTANDER)
    ec2.create_tags(Resources=[str(fleet_id)], Tags=[{"Key": key, "Value": utc(moment_s)}])


def extend(site: Site, engine: Engine, annex_id: object) -> ReplyAd:
    ad = {"Command": "CA_CHANGE_LEASE", "RequestVersion": 1, "Annex": annex_id, "LeaseExtension": HOUR_S}
    return change_lease(ad, OWNER, AnnexIndex(engine), site.step_context(), site.defaults, site.now_s())


def test_extensions_that_come_at_once_do_not_together_pass_the_longest_lease(site: Site) -> None:
    site.defaults = replace(site.defaults, max_lease_s=int(2.5 * HOUR_S))
    ordered = site.order()
    journal = site.journal()
    engine = site.engine(journal)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: extend(site, engine, ordered["AnnexID"]), range(4)))
    journal.close()
    assert sorted(str(each["Result"]) for each in answers) == 3 * ["InvalidRequest"] + ["Success"]
    assert end_s(site, ordered["BulkRequestID"]) == int(str(ordered["EndOfLease"])) + HOUR_S
    assert all("ANNEX_MAX_LEASE" in str(each["ErrorString"]) for each in answers if each["Result"] != "Success")


def test_an_extension_counts_from_an_end_that_was_moved_by_hand_and_stays_within_the_longest_lease(site: Site) -> None:
    site.defaults = replace(site.defaults, max_lease_s=int(2.5 * HOUR_S))
    ordered = site.order()
    tag(site, ordered["BulkRequestID"], TAG_LEASE_END, time.time() + 2 * HOUR_S)
    answer = site.change(str(ordered["AnnexID"]), LeaseExtension=HOUR_S)
    assert answer["Result"] == "InvalidRequest", answer


def test_an_annex_that_lives_beyond_the_end_that_the_journal_knows_can_be_cancelled(site: Site) -> None:
    """Its end was moved by hand, or by an annexd whose journal was lost."""
    ordered = site.order(EndOfLease=int(time.time()) + 40)
    tag(site, ordered["BulkRequestID"], TAG_LEASE_END, time.time() + HOUR_S)
    site.away_s = 60
    assert site.cancel(str(ordered["AnnexID"]))["Result"] == "Success"
    site.check_nothing_left()


def test_an_annex_that_is_gone_after_its_end_is_over(site: Site) -> None:
    ordered = site.order(EndOfLease=int(time.time()) + 15)
    wait_for(lambda: site.now_s() > int(str(ordered["EndOfLease"])), "the end of its lease")
    site.beat()
    site.check_nothing_left()
    for answer in (site.cancel(str(ordered["AnnexID"])), site.change(str(ordered["AnnexID"]), LeaseExtension=HOUR_S)):
        assert answer["Result"] == "InvalidState"
        assert "is over: its lease ended at" in str(answer["ErrorString"])


def test_an_extension_that_annexd_was_away_for_is_not_made_when_nobody_waits_for_it(site: Site) -> None:
    ordered = site.order()
    journal = site.journal()
    engine = site.engine(journal)
    engine.pause()  # annexd ends as soon as the request is in its journal
    assert extend(site, engine, ordered["AnnexID"])["Result"] == "UnknownError"
    journal.close()
    site.away_s = LONGEST_WAIT_S + 60
    [(result, error)] = site.restart()
    assert (result, "try again" in error) == ("Failure", True), error
    assert end_s(site, ordered["BulkRequestID"]) == ordered["EndOfLease"]


def test_the_answer_to_an_extension_that_was_refused_in_its_middle_says_the_end_that_stands(site: Site) -> None:
    """It is cancelled by hand after annexd has read the lease and before it writes the tag."""
    ordered = site.order()
    site.cloud.fault("CreateTags", "internal", times=10_000, matching="annex-lease-end")
    patient = replace(PACE, cap_s=1.0)
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(site.change, str(ordered["AnnexID"]), pace=patient, LeaseExtension=HOUR_S)
        wait_for(lambda: "CreateTags" in site.operations(), "the first try")
        tag(site, ordered["BulkRequestID"], TAG_CANCELLED, time.time())
        answer = begun.result()
    assert answer["Result"] == "InvalidState", answer
    assert answer["EndOfLease"] == ordered["EndOfLease"]


def test_a_failed_extension_is_taken_back_even_if_its_machines_cannot_be_informed(joined: Site) -> None:
    ordered = joined.order()
    assert ordered["Result"] == "Success", ordered
    joined.cloud.fault("PutObject", "internal", times=10_000)
    answer = joined.change(str(ordered["AnnexID"]), LeaseExtension=HOUR_S)
    assert answer["Result"] == "Failure"
    assert end_s(joined, ordered["BulkRequestID"]) == ordered["EndOfLease"]
    joined.cloud.clear_faults()
    assert [result for result, _ in joined.restart()] == ["Failure"]
