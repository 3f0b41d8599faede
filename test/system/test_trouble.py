"""Faults of the host and the account while annexd runs: it refuses orders, says why, and recovers by itself."""

import json
import re
import resource
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annexd.annex.lease.heartbeat import RECEIPT, log_group_of
from test.cloud import Cloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.cloud.orders import zipped
from test.lease.loading import CODE
from test.replies import accepted
from test.system.site import Site, beat, children
from test.system.tool import condor_annex


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    own_keys = f"AWS_ACCESS_KEY_ID={ACCESS_KEY_ID} AWS_SECRET_ACCESS_KEY={SECRET_ACCESS_KEY}"
    with Site(
        cloud,
        f"""
            ANNEXD_UPDATE_INTERVAL = 2
            ANNEXD_RECONCILE_INTERVAL = 1
            ANNEX_ALLOW_DEFAULT_CREDENTIALS = True
            ANNEXD_ENVIRONMENT = "{own_keys}"
            """,
    ) as site:
        yield site


def log_of_journal(site: Site) -> Path:
    return Path(site.pool.param("ANNEXD_COMMAND_STATE") + "-wal")  # type: ignore[operator]


def limit_files(site: Site, largest: int) -> None:
    """Limit the size of annexd's files to `largest` bytes, as a full disk would."""
    resource.prlimit(site.pid(), resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))


def fill_disk(site: Site) -> None:
    """Fill the disk for the journal; the log, which every HTCondor daemon needs, still has room."""
    while log_of_journal(site).stat().st_size < 2 * len(site.log()) + 100_000:
        site.order()
    limit_files(site, log_of_journal(site).stat().st_size)


def test_on_a_full_disk_orders_are_refused_with_the_reason_and_taken_again_when_there_is_room(site: Site) -> None:
    fill_disk(site)
    fleets, pid = len(site.fleets()), site.pid()
    command_id = f"test-{uuid.uuid4().hex}"
    reply = site.order(CommandID=command_id)
    assert reply["Result"] == "Failure"
    assert "cannot be written: its disk fails" in reply["ErrorString"]
    site.wait(lambda: (site.ad() or {}).get("AnnexJournalOK") is False, "the ad to show it")
    assert "its disk fails" in site.ad()["AnnexJournalError"]  # type: ignore[index]
    assert len(site.fleets()) == fleets
    limit_files(site, resource.RLIM_INFINITY)
    site.wait(lambda: (site.ad() or {}).get("AnnexJournalOK") is True, "annexd to notice the room by itself")
    assert "The journal can be written again" in site.log()
    accepted(site.order(CommandID=command_id))
    assert len(site.fleets()) == fleets + 1
    assert site.pid() == pid


def test_an_order_that_the_disk_stops_halfway_is_completed_when_there_is_room(site: Site) -> None:
    before = len(site.fleets())
    site.cloud.fault("RequestSpotFleet", "hang", hang_s=60)
    later = site.order_later(CommandID="halfway")
    site.wait(lambda: not site.cloud.faults(), "the order to be in the middle")
    limit_files(site, log_of_journal(site).stat().st_size)
    site.cloud.end_hangs()
    reply = later.reply()
    assert reply is not None
    assert reply["Result"] == "UnknownError"
    assert "cannot be written" in reply["ErrorString"]
    limit_files(site, resource.RLIM_INFINITY)
    site.wait(lambda: len(site.fleets()) == before + 1, "the order to go on by itself")
    accepted(site.order(CommandID="halfway"))


def test_an_unenforced_lease_stops_orders_and_is_reported_in_the_log_and_the_ad(site: Site) -> None:
    fleets = len(site.fleets())
    site.cloud.client("lambda").put_function_concurrency(FunctionName=site.arn, ReservedConcurrentExecutions=0)
    reply = site.order()
    assert (reply["Result"], "its reserved concurrency is 0" in reply["ErrorString"]) == ("Failure", True), reply
    assert len(site.fleets()) == fleets
    site.wait(lambda: "concurrency is 0" in (site.ad() or {}).get("AnnexFunctionFault", ""), "the fault in the ad")
    site.cloud.clear_audit()
    site.wait(lambda: looks(site) > 3, "some more looks")
    said = re.findall(r"ERROR: Reconciliation with the keys of (\S+).* reserved concurrency is 0", site.log())
    assert said
    assert len(said) == len(set(said)), "once for each account, and not at each look"
    site.cloud.client("lambda").delete_function_concurrency(FunctionName=site.arn)
    site.wait(lambda: "AnnexFunctionFault" not in (site.ad() or {"AnnexFunctionFault": 1}), "the fault to go")
    accepted(site.order())


def looks(site: Site) -> int:
    """Return how often annexd has queried AWS for the living fleets."""
    return len(site.cloud.calls("DescribeSpotFleetRequests"))


def test_annexd_ends_a_lease_after_three_failed_runs_and_reports_it(site: Site) -> None:
    other = site.order()
    overdue = accepted(site.order(lease_s=15))
    site.wait(lambda: time.time() > overdue["EndOfLease"], "the end of its lease")
    site.cloud.set_clock_ahead(898)  # beyond 900 s AWS rejects signatures and annexd trusts no clock
    try:
        site.wait(lambda: (site.ad() or {}).get("AnnexEndedOverdue"), "annexd to end it")
    finally:
        site.cloud.set_clock_ahead(0)
    site.wait_until_gone(overdue["BulkRequestID"])
    message = f"{overdue['BulkRequestID']} was overdue, since the lease function did not end it: annexd has ended it"
    assert message in site.log()
    assert other["BulkRequestID"] in [fleet["id"] for fleet in site.fleets()]


def test_a_lease_function_that_was_changed_by_hand_is_warned_of_in_the_log_and_the_ad(site: Site) -> None:
    functions = site.cloud.client("lambda")
    changed = CODE.read_text() + "# changed\n"
    functions.update_function_code(FunctionName=site.arn, ZipFile=zipped(changed))
    beat(site.cloud, site.arn)
    site.wait(lambda: (site.ad() or {}).get("AnnexFunctionWarning"), "a warning in the ad")
    message = f"the lease function {site.arn} differs from lambda/lease.py of this annexd"
    assert message in (site.ad() or {})["AnnexFunctionWarning"]
    assert f"WARNING: {message}" in site.log()
    assert message in site.order()["Warning"]
    functions.update_function_code(FunctionName=site.arn, ZipFile=zipped(CODE.read_text()))
    beat(site.cloud, site.arn)
    site.wait(lambda: "AnnexFunctionWarning" not in (site.ad() or {"AnnexFunctionWarning": 1}), "it to go")


def test_a_receipt_with_lone_surrogates_does_not_end_annexd_and_is_reported(site: Site) -> None:
    """A lone surrogate ends a process that passes it to HTCondor's bindings."""
    pid, logs, group = site.pid(), site.cloud.client("logs"), log_group_of(site.arn)
    beat(site.cloud, site.arn)
    event = logs.filter_log_events(logGroupName=group, filterPattern=RECEIPT)["events"][-1]
    forged = json.loads(event["message"]) | {
        "at": int(time.time()),
        "complete": False,
        "error_texts": ['half \ud800 a "character"\\ \x00\n'],
    }
    logs.create_log_stream(logGroupName=group, logStreamName="forged")
    logs.put_log_events(
        logGroupName=group,
        logStreamName="forged",
        logEvents=[{"timestamp": int(time.time() * 1000), "message": json.dumps(forged)}],
    )
    site.wait(lambda: "half \ufffd" in (site.ad() or {}).get("AnnexFunctionFault", ""), "the fault in the ad")
    assert "could not see all fleets and instances, half" in site.log()
    site.wait(lambda: site.order()["Result"] == "Failure", "annexd to forget the receipt before")
    assert "could not see all fleets and instances, half" in site.order()["ErrorString"]
    logs.delete_log_stream(logGroupName=group, logStreamName="forged")
    site.wait(lambda: "AnnexFunctionFault" not in (site.ad() or {"AnnexFunctionFault": 1}), "it to go")
    assert site.pid() == pid


def test_the_status_says_when_the_lease_function_saw_an_annex_last(site: Site) -> None:
    annex_id, ordered_s = str(site.order(AnnexName="seen")["AnnexID"]), time.time()

    def heartbeat_ad() -> dict[str, Any]:
        done = condor_annex(site, "-status", "-json", annex_id)
        return dict(json.loads(done.stdout)[0]) if done.returncode == 0 else {}

    site.wait(lambda: heartbeat_ad().get("SeenTime"), "annexd to look at it")
    assert heartbeat_ad()["EnforcerSeenTime"] is None, "no run since it was ordered"
    site.wait(lambda: time.time() > ordered_s + 1, "the next second, since ticks have whole ones")
    beat(site.cloud, site.arn)
    site.wait(lambda: (heartbeat_ad()["EnforcerSeenTime"] or 0) > ordered_s, "annexd to hear that it was seen")


def test_an_annexd_on_an_empty_disk_finds_what_there_is(site: Site) -> None:
    reply = site.order(AnnexName="found")
    fleets, pid = len(site.fleets()), site.pid()
    site.pool.tool("condor_off", "-daemon", "annexd")
    site.wait_for_end(pid)
    for file in log_of_journal(site).parent.glob("annexd_command_state*"):
        file.unlink()
    site.pool.tool("condor_on", "-daemon", "annexd")
    site.wait(lambda: (site.ad() or {}).get("AnnexFleets") == fleets, f"{fleets} fleets in the ad")
    assert (site.ad() or {})["AnnexRequests"] == 0
    assert len(site.fleets()) == fleets
    cancel = {"Command": "CA_CANCEL_ANNEX", "RequestVersion": 1, "Annex": reply["AnnexID"]}
    [(cancelled, _code)] = site.send(cancel)
    assert (cancelled or {})["Result"] == "Success", cancelled
    assert len(site.fleets()) == fleets - 1


def test_annexds_own_keys_of_aws_go_to_none_of_its_children(site: Site) -> None:
    assert SECRET_ACCESS_KEY in Path(f"/proc/{site.pid()}/environ").read_text()
    found = children(site.pid())
    assert found, "the one that speaks to condor_master"
    assert not any(SECRET_ACCESS_KEY in Path(f"/proc/{child}/environ").read_text() for child in found)


def test_why_a_fleet_starts_nothing_is_in_status_and_the_ad_and_once_in_the_log(site: Site) -> None:
    site.cloud.behave(fleet_trouble="role")
    reply = site.order()
    site.cloud.behave(fleet_trouble="")
    assert reply["Result"] == "Success"
    site.wait(lambda: (site.ad() or {}).get("AnnexTroubled"), "the trouble in the ad")
    [annex] = json.loads(condor_annex(site, "-status", str(reply["AnnexID"]), "-json").stdout)
    assert "iamFleetRoleInvalid" in annex["Trouble"]
    assert "-check-setup" in annex["Trouble"]
    site.cloud.clear_audit()
    site.wait(lambda: looks(site) > 3, "some more looks")
    assert len(re.findall(rf"ERROR: annex {reply['AnnexID']} of .*iamFleetRoleInvalid", site.log())) == 1
