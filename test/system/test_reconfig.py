"""The effects of a reconfig on a running annexd, and the limits on requests."""

import re
import time
from pathlib import Path

from test.replies import accepted
from test.system.site import Site
from test.system.tool import order_an_hour


def reconfigure(site: Site, extra: str) -> str:
    """Append to the configuration; return annexd's log from then on, once annexd has accepted or refused the change."""
    before = len(site.log())
    site.pool.configure(extra)

    def said() -> str | None:
        message = site.log()[before:]
        return message if "Reconfigured" in message or "Reconfig failed" in message else None

    return site.wait(said, "annexd's word on its new configuration") or ""


def names(site: Site) -> list[str]:
    return site.pool.tool("condor_status", "-any", "-constraint", 'MyType == "Generic"', "-af", "Name").stdout.split()


def test_a_new_name_replaces_the_old_one_in_the_collector(site: Site) -> None:
    pid, [old] = site.pid(), names(site)
    reconfigure(site, "ANNEXD_NAME = hill")
    site.wait(lambda: [name.partition("@")[0] for name in names(site)] == ["hill"], f"hill@ instead of {old}")
    reconfigure(site, "ANNEXD_NAME =")
    site.wait(lambda: names(site) == [old], "the old name again")
    assert site.pid() == pid


def test_a_new_address_file_replaces_the_old_one(site: Site) -> None:
    old = Path(site.pool.param("ANNEXD_ADDRESS_FILE") or "")
    reconfigure(site, "ANNEXD_ADDRESS_FILE = $(LOG)/.other_address")
    other = old.with_name(".other_address")
    site.wait(other.exists, "the new file")
    assert other.read_text().splitlines()[0] == site.address
    assert not old.exists()
    other.write_text("spoilt")
    reconfigure(site, "")
    site.wait(lambda: other.read_text().startswith(site.address), "a damaged file to be repaired by a reconfig")
    reconfigure(site, f"ANNEXD_ADDRESS_FILE = {old}")


def test_a_new_log_and_a_new_number_of_descriptors_count_at_once(site: Site) -> None:
    limits = Path(f"/proc/{site.pid()}/limits")
    old, before = site.pool.param("ANNEXD_LOG"), site.log().count("Reconfigured")
    site.pool.configure("ANNEXD_LOG = $(LOG)/OtherAnnexdLog\nANNEXD_MAX_FILE_DESCRIPTORS = 400")
    site.wait(lambda: re.search(r"Max open files +400 ", limits.read_text()), "the new limit")
    site.wait(lambda: "Reconfigured" in site.pool.log("ANNEXD"), "the new log")
    site.pool.configure(f"ANNEXD_LOG = {old}")
    site.wait(lambda: site.log().count("Reconfigured") > before, "the old log again")


def test_annexds_own_credentials_are_lent_and_no_longer_lent_from_the_next_order_on(site: Site) -> None:
    def refusal() -> str:
        ad = site.request()
        [(reply, _)] = site.send({name: ad[name] for name in ad if not name.endswith("KeyFile")})
        return str((reply or {}).get("ErrorString", ""))

    assert "PublicKeyFile" in refusal()
    reconfigure(site, "ANNEX_ALLOW_DEFAULT_CREDENTIALS = True")
    assert "PublicKeyFile" not in refusal()
    reconfigure(site, "ANNEX_ALLOW_DEFAULT_CREDENTIALS = False")
    assert "PublicKeyFile" in refusal()


def test_orders_go_by_the_api_that_is_configured_and_by_the_option_that_a_user_gives(site: Site) -> None:
    def fleet(*options: str) -> str:
        done = order_an_hour(site, "-no-join", *options)
        assert done.returncode == 0, done.stderr
        return str(done.stdout.strip()).partition("-")[0]

    reconfigure(site, "ANNEX_FLEET_API = EC2Fleet")
    assert (fleet(), fleet("-fleet-api", "spot-fleet")) == ("fleet", "sfr")
    reconfigure(site, "ANNEX_FLEET_API = SpotFleet")
    assert (fleet(), fleet("-fleet-api", "ec2-fleet")) == ("sfr", "fleet")


def test_an_api_that_aws_has_not_is_refused_and_the_one_before_stays(site: Site) -> None:
    said = reconfigure(site, "ANNEX_FLEET_API = Fleets")
    assert "ANNEX_FLEET_API must be EC2Fleet or SpotFleet, not Fleets" in said
    reconfigure(site, "ANNEX_FLEET_API = SpotFleet")


def test_settings_that_require_a_restart_are_reported_and_stay(site: Site) -> None:
    journal = site.pool.param("ANNEXD_COMMAND_STATE")
    said = reconfigure(site, "ANNEXD_COMMAND_STATE = $(SPOOL)/annexd_command_state.other")
    other = f"{site.pool.directory}/spool/annexd_command_state.other"
    message = f"to {other} requires a restart; {journal} stays in use until then"
    assert f"changing ANNEXD_COMMAND_STATE {message}" in said
    accepted(site.order())
    assert not (site.pool.directory / "spool" / "annexd_command_state.other").exists()
    assert "requires a restart" not in reconfigure(site, f"ANNEXD_COMMAND_STATE = {journal}")


def test_a_journal_that_condor_preen_would_remove_is_refused(site: Site) -> None:
    said = reconfigure(site, "ANNEXD_COMMAND_STATE = $(SPOOL)/mine")
    assert "condor_preen would remove the journal" in said
    assert "add mine* to VALID_SPOOL_FILES" in said
    assert "refused" not in reconfigure(site, "ANNEXD_COMMAND_STATE = $(SPOOL)/annexd_command_state")


def test_more_requests_than_may_wait_are_refused_and_a_larger_number_lets_those_that_wait_in(site: Site) -> None:
    reconfigure(site, "ANNEXD_MAX_RUNNING_REQUESTS = 1\nANNEXD_MAX_WAITING_REQUESTS = 2")
    before = len(site.fleets())
    site.cloud.fault("RequestSpotFleet", "hang", hang_s=60)
    slow = site.order_later()
    site.wait(lambda: not site.cloud.faults(), "the first request to meet its hanging call")
    crowd = [site.order_later() for _ in range(6)]
    site.wait(lambda: sum(later.done for later in crowd) == 4, "four of six to be refused")
    assert not slow.done
    refusals = [later.reply() or {} for later in crowd if later.done]
    assert {refusal["Result"] for refusal in refusals} == {"InvalidState"}
    assert all(
        "annexd is busy: 1 requests are running and 2 are waiting (ANNEXD_MAX_WAITING_REQUESTS); nothing was ordered; "
        "try again later" in refusal["ErrorString"]
        for refusal in refusals
    )
    reconfigure(site, "ANNEXD_MAX_RUNNING_REQUESTS = 4")
    waited = [later.reply() or {} for later in crowd]
    assert sorted(reply["Result"] for reply in waited) == ["InvalidState"] * 4 + ["Success"] * 2
    assert not slow.done, "those that waited came in while the first was still there"
    site.cloud.end_hangs()
    assert (slow.reply() or {})["Result"] == "Success"
    assert len(site.fleets()) == before + 3


def test_condor_annex_gives_up_after_its_timeout_and_says_how_to_ask_again(site: Site) -> None:
    before = len(site.fleets())
    site.cloud.fault("RequestSpotFleet", "hang", hang_s=60)
    started_s = time.monotonic()
    done = order_an_hour(site, "-timeout", "2")
    assert time.monotonic() - started_s >= 2
    assert (done.returncode, done.stdout) == (8, "")
    assert "no answer came within 2 s" in done.stderr
    assert "annexd may have accepted the order, and then completes or undoes it" in done.stderr
    site.cloud.end_hangs()
    [command_id] = re.findall(r"to see the outcome: condor_annex -command-id (\S+)", done.stderr)
    again = order_an_hour(site, "-command-id", command_id)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("sfr-")
    assert order_an_hour(site, "-command-id", command_id).stdout == again.stdout
    assert len(site.fleets()) == before + 1
