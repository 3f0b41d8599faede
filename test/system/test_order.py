"""Orders end to end: real bindings, real daemons, and an emulated cloud with injected faults."""

import base64
import getpass
import json
import time
import uuid
from pathlib import Path
from typing import Any

from test.pool import DOMAIN
from test.replies import accepted
from test.system.site import REQUEST, Site, children


def command_id() -> str:
    return f"test-{uuid.uuid4().hex}"


def test_the_reply_names_what_was_made_and_the_cloud_has_it(site: Site) -> None:
    reply = site.order()
    assert reply["Result"] == "Success"
    assert reply["RequestVersion"] == 1
    [fleet] = [fleet for fleet in site.fleets() if fleet["id"] == reply["BulkRequestID"]]
    assert fleet["config"]["ClientToken"] == reply["ClientToken"]
    assert reply["ClientToken"].rpartition("_")[0] == f"{reply['AnnexID']}_{reply['EndOfLease']}"
    assert reply["EndOfLease"] > time.time()


def test_the_log_says_by_which_token_an_order_was_given_also_in_a_session_used_again(site: Site) -> None:
    user = f"{getpass.getuser()}@{DOMAIN}"
    token = site.pool.token(user, "-authz", "READ", "-authz", "ADMINISTRATOR")
    env = _with_token(site.pool.directory / "scoped", token)
    replies = [reply for reply, _ in site.send(site.request(), site.request(), env=env)]
    for reply in replies:
        assert reply is not None
        [line] = [
            line for line in site.log().splitlines() if f"Accepted request {reply['CommandID']} from {user} at " in line
        ]
        facts = f"token {_claims(token)['jti']} of {DOMAIN} for {user} with condor:/READ condor:/ADMINISTRATOR"
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(reply["EndOfLease"])))
        units = json.loads(REQUEST.read_text())["TargetCapacity"]
        what = f"order of {units} units for annex {reply['AnnexID']}, until {end}"
        assert line.endswith(f": {what}; by IDTOKENS, {facts}"), line
    assert token.rpartition(".")[2] not in site.log()


def test_at_full_debug_each_step_is_a_line(site: Site) -> None:
    with site.logged("Reconfigured"):
        site.pool.configure("ANNEXD_DEBUG = D_FULLDEBUG")
    command_id = site.order()["CommandID"]
    lines = [line.partition(f" request {command_id}: ")[2] for line in site.log().splitlines()]
    steps = ("check_lease_function", "request_fleet")
    kept = [line for line in lines if line.startswith(("accepted", "finished", *steps))]
    assert kept == ["accepted", *(f"{step} {kind}" for step in steps for kind in ("intent", "done")), "finished"]


def _with_token(folder: Path, token: str) -> dict[str, str]:
    folder.mkdir(mode=0o700)
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text(token + "\n")
    return {"_CONDOR_SEC_TOKEN_DIRECTORY": str(folder), "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS"}


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def test_the_lease_function_is_seen_at_work_before_anything_costs_money(site: Site) -> None:
    site.order()
    site.wait_for_look()
    operations = calls_of_an_order(site)
    while "DescribeSpotFleetRequests" in operations:  # annexd inspected earlier annexes meanwhile
        operations = calls_of_an_order(site)
    assert [name for name in operations if name != "GetCallerIdentity"] in (
        ["GetFunction", "FilterLogEvents", "RequestSpotFleet"],
        ["GetFunction", "RequestSpotFleet"],
    )


def calls_of_an_order(site: Site) -> list[str]:
    site.cloud.clear_audit()
    site.order()
    return [call["operation"] for call in site.cloud.audit() if call["kind"] == "call"]


def test_a_second_request_with_the_same_command_id_makes_no_second_fleet_and_gets_the_same_answer(site: Site) -> None:
    ad = site.request(CommandID=command_id())
    before = len(site.fleets())
    [(first, _), (second, _)] = site.send(ad, ad)
    assert first is not None
    assert second == first
    assert len(site.fleets()) == before + 1


def test_all_faults_of_a_request_come_at_once_in_the_words_of_the_ad_and_cost_nothing(site: Site) -> None:
    fleets = len(site.fleets())
    reply = site.order(lease_s=-40, TargetCapacity="many", SpotPrize="0.1", PublicKeyFile="keys/access")
    assert reply["Result"] == "InvalidRequest"
    for message in (
        'TargetCapacity must be a positive integer, not "many"',
        "EndOfLease is 4",
        "s in the past",
        "SpotPrize",
        "PublicKeyFile",
    ):
        assert message in reply["ErrorString"]
    assert len(site.fleets()) == fleets


def test_a_refused_fleet_leaves_nothing_and_the_reason_is_reported(site: Site) -> None:
    fleets = len(site.fleets())
    site.cloud.fault("RequestSpotFleet", "error", code="MaxSpotFleetRequestCountExceeded")
    reply = site.order()
    assert reply["Result"] == "Failure"
    assert "MaxSpotFleetRequestCountExceeded" in reply["ErrorString"]
    assert len(site.fleets()) == fleets


def test_an_answer_that_was_lost_after_the_effect_makes_no_second_fleet(site: Site) -> None:
    before = len(site.fleets())
    site.cloud.fault("RequestSpotFleet", "reset", when="after", times=3)
    reply = site.order()
    assert reply["Result"] == "Success"
    assert len(site.fleets()) == before + 1


def test_several_requests_at_once_do_not_wait_for_each_other(site: Site) -> None:
    site.cloud.fault("RequestSpotFleet", "hang", hang_s=60)
    slow = site.order_later()
    site.wait(lambda: not site.cloud.faults(), "the first request to meet its hanging call")
    assert [site.order()["Result"] for _ in range(3)] == ["Success"] * 3
    assert not slow.done
    site.cloud.end_hangs()
    reply = slow.reply()
    assert reply is not None
    assert reply["Result"] == "Success"


def test_kill_9_in_the_middle_of_the_fleets_request_costs_nothing_and_loses_nothing(site: Site) -> None:
    ad = site.request(CommandID=command_id())
    before, starts = len(site.fleets()), site.starts()
    site.cloud.fault("RequestSpotFleet", "hang", when="after", hang_s=30)
    site.order_later(**ad)
    site.wait(lambda: len(site.fleets()) > before, "the fleet, whose answer hangs")
    site.kill()
    site.wait_for_restart(starts)
    [(reply, _code)] = site.send(ad)
    assert reply is not None
    assert reply["Result"] == "Success"
    assert [fleet["id"] for fleet in site.fleets()][before:] == [reply["BulkRequestID"]]


def test_a_graceful_stop_waits_for_the_running_step_and_the_next_start_goes_on(site: Site) -> None:
    accepted(site.order())
    site.wait_for_look()
    ad, pid = site.request(CommandID=command_id()), site.pid()
    before = len(site.fleets())
    site.cloud.fault("GetFunction", "hang", hang_s=60)
    waiting = site.order_later(**ad)
    site.wait(lambda: not site.cloud.faults(), "the request to meet its hanging call")
    with site.logged("Performing graceful shutdown"):
        site.pool.tool("condor_off", "-daemon", "annexd")
    site.cloud.end_hangs()
    reply = waiting.reply()
    assert reply is not None
    assert "will continue at its next start" in reply["ErrorString"]
    site.wait_for_end(pid)
    assert len(site.fleets()) == before, "the fleet was not ordered any more"
    site.pool.tool("condor_on", "-daemon", "annexd")
    site.wait(site.ad, "annexd to be back")
    site.wait(lambda: len(site.fleets()) == before + 1, "the request to go on by itself")
    [(again, _code)] = site.send(ad)
    assert again is not None
    assert again["Result"] == "Success"


def test_a_client_that_goes_away_changes_nothing(site: Site) -> None:
    before = len(site.fleets())
    site.cloud.fault("RequestSpotFleet", "hang", hang_s=60)
    client = site.start_client(site.request())
    site.wait(lambda: not site.cloud.faults(), "the request to meet its hanging call")
    client.kill()
    client.wait()
    site.cloud.end_hangs()
    site.wait(lambda: len(site.fleets()) == before + 1, "the fleet of the client that went away")


def test_an_order_with_formulas_a_bomb_or_nonsense_is_refused_and_annexd_lives(site: Site) -> None:
    pid = site.pid()
    assert site.order(TargetCapacity=-1)["Result"] == "InvalidRequest"
    assert site.order(Command="CA_MAKE_COFFEE")["ErrorString"] == "Unknown command (CA_MAKE_COFFEE) in ClassAd"
    assert str(site.order(Command=["CA_BULK_REQUEST"])["ErrorString"]).startswith("Unknown command (")
    reply = site.order(LaunchSpecifications=[{"ImageId": {"a": {"b": {"c": {"d": [[[[1]]]]}}}}}])
    assert reply["Result"] == "InvalidRequest"
    bomb = "1" + "+1" * 200_000
    assert site.send_expression("TargetCapacity", bomb) != 0
    assert site.send_expression("TargetCapacity", 'size("ab")') != 0
    assert "TargetCapacity" in site.log()
    assert site.pid() == pid
    accepted(site.order())


def test_user_data_of_five_megabytes_is_read_and_refused_with_the_limit(site: Site) -> None:
    ad = site.request()
    ad["LaunchSpecifications"][0]["UserData"] = "QUJD" * 1_250_000
    [(reply, _code)] = site.send(ad)
    assert reply is not None
    assert reply["Result"] == "InvalidRequest"
    assert "UserData" in reply["ErrorString"]


def test_a_key_file_that_others_may_read_is_refused_before_anything_is_made(site: Site) -> None:
    open_file = site.pool.directory / "open_key"
    open_file.write_text("AKIAEMULATEDUSER0000")
    open_file.chmod(0o644)
    fleets = len(site.fleets())
    reply = site.order(PublicKeyFile=str(open_file))
    assert reply["Result"] != "Success"
    assert "chmod 600" in reply["ErrorString"]
    assert len(site.fleets()) == fleets


def test_no_key_reaches_the_log_or_the_journal(site: Site) -> None:
    site.order()
    with open(site.secret_key_file) as file:
        secret = file.read().strip()
    for path in [*(site.pool.directory / "log").glob("*"), *(site.pool.directory / "spool").glob("annexd*")]:
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_keys_are_in_no_environment_and_on_no_command_line_while_an_order_is_carried_out(site: Site) -> None:
    """condor_master's session keys are an exception: annexd and the child that talks to condor_master inherit them."""
    spied = _spy_on_condor_config_val(site)
    secret = Path(site.secret_key_file).read_text().strip()
    site.cloud.fault("RequestSpotFleet", "hang", hang_s=60)
    later = site.order_later()
    site.wait(lambda: not site.cloud.faults(), "the order to come to its hanging call")
    site.pool.tool("condor_config_val", "-addr", site.address, "-verbose", "UID_DOMAIN")
    annexd = Path(f"/proc/{site.pid()}")
    inherited = _environment(annexd)["CONDOR_PRIVATE_INHERIT"]
    keys = [claim.rpartition("]")[2] for claim in inherited.split()]
    assert len(keys) == 2, "of the parent's session and the family's"
    for process in [annexd, *(Path(f"/proc/{child}") for child in children(site.pid()))]:
        arguments = (process / "cmdline").read_text()
        assert not any(key in arguments for key in (secret, *keys)), arguments
        assert secret not in (process / "environ").read_text(), arguments
        assert ("outbound_worker" in arguments or process == annexd) is (keys[0] in (process / "environ").read_text())
    [child] = {file.read_text() for file in spied.glob("environment.*")}
    assert "CONDOR_CONFIG=" in child, "it was seen"
    assert not any(word in child for word in ("INHERIT", "COOKIE", secret, *keys))
    assert not any(key in site.log() for key in keys)
    site.cloud.end_hangs()
    reply = later.reply()
    assert reply is not None
    assert reply["Result"] == "Success"


def _spy_on_condor_config_val(site: Site) -> Path:
    """Replace annexd's child condor_config_val by a script that records its environment; return the script's folder."""
    folder = site.pool.directory / "spy"
    folder.mkdir()
    tool = folder / "condor_config_val"
    tool.write_text(
        f"#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/environ | sort > {folder}/environment.$$\n"
        f'exec {site.pool.htcondor.bin}/condor_config_val "$@"\n'
    )
    tool.chmod(0o700)
    with site.logged("Reconfigured"):
        site.pool.configure(f"ANNEXD.BIN = {folder}")
    return folder


def _environment(process: Path) -> dict[str, str]:
    pairs = (process / "environ").read_text().split("\0")
    return dict(pair.partition("=")[::2] for pair in pairs if pair)
