"""Order an annex as a user: check, extend and cancel it; and a short one, which the lease function ends."""

import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from annexd.account.errors import AccountError
from annexd.annex.fleet.kinds import EC2_FLEET
from annexd.annex.lease.lease import TAG_ANNEX_ID, TAG_LEASE_END
from test.live import fleets, names, own
from test.live.account import Keys
from test.live.stage import RehearsalFailed, Stage, pretty


def run(stage: Stage) -> None:
    fleet_id = _order(stage, stage.pace.lease_s, names.ANNEX)
    if _look(stage, fleet_id):
        _extend(stage, fleet_id)
    _cancel(stage, fleet_id)


def run_short_lease(stage: Stage) -> None:
    """Order an annex and do not cancel it; annexd runs, but does nothing before three ticks."""
    begun_s = int(time.time())  # a lease's end is in whole seconds, rounded down
    fleet_id = _order(stage, stage.pace.short_lease_s, f"{names.ANNEX}-short")
    end_s = begun_s + stage.pace.short_lease_s
    with stage.looking_at("short-lease") as ec2:
        if fleets.first_instance(stage, ec2, fleet_id) is None:
            stage.found("short-lease", None, "AWS started no instance, perhaps for lack of capacity")
            return
        late_s = 2 * stage.pace.tick_s + stage.pace.gone_s
        gone = stage.wait(lambda: fleets.is_gone(ec2, fleet_id), end_s + late_s - time.time())
        after_s = time.time() - end_s
        state = fleets.state_of(ec2, fleet_id)
    message = f"gone {after_s:.0f} s after the end of the lease; the fleet is {state}"
    stage.found("short-lease", gone and after_s > 0, message if gone else f"NOT {message}")
    if not gone:
        raise RehearsalFailed("the lease function did not end a lease: everything is being ended")


def run_ec2_fleet(stage: Stage) -> None:
    """Order with the same file by AWS's other API: check user.json's rights, the instance, and its end."""
    if not stage.host.is_running:
        stage.host.start()
    ec2, name = stage.account.client("ec2"), names.ANNEX_BY_EC2_FLEET
    done = _ordered(stage, stage.pace.lease_s, name, _keys(stage), "ec2-fleet")
    stage.found("ec2-fleet-order", done.returncode == 0, "it was" if done.returncode == 0 else _words(done))
    if done.returncode != 0:
        for fact in ("ec2-fleet-tags", "ec2-fleet-cancel", "ec2-fleet-template"):
            stage.found(fact, None, "there was no EC2 Fleet")
        return
    fleet_id = done.stdout.strip()
    seen = fleets.first_instance(stage, ec2, fleet_id)
    keys = sorted(tag["Key"] for tag in (seen or {}).get("Tags") or ())
    tagged = {names.TAG, TAG_ANNEX_ID, EC2_FLEET.instance_tag} <= set(keys)
    stage.found("ec2-fleet-tags", tagged if seen else None, ", ".join(keys) or "AWS started no instance")
    begun_s = time.monotonic()
    cancelled = stage.host.annex("-cancel", name)
    gone = stage.wait(lambda: fleets.is_gone(ec2, fleet_id), stage.pace.gone_s)
    took_s, state = time.monotonic() - begun_s, fleets.state_of(ec2, fleet_id)
    said = f"{'gone' if gone else 'NOT gone'} after {took_s:.0f} s; the fleet is {state}"
    stage.found("ec2-fleet-cancel", cancelled.returncode == 0 and gone, said)
    swept = stage.wait(lambda: not own.templates(ec2), 2 * stage.pace.tick_s)
    stage.found("ec2-fleet-template", swept, f"{'removed' if swept else 'NOT removed'} within two ticks")


def _keys(stage: Stage) -> Keys:
    """Return keys with the rights of user.json, or else the caller's own."""
    try:
        return stage.roles.keys("user")
    except AccountError as error:
        stage.say(f"the order is made with your own rights: {error}")
        return stage.account.keys


def _order(stage: Stage, lease_s: int, name: str) -> str:
    """Order with user.json's rights first, then with the caller's own; return the fleet's ID."""
    if not stage.host.is_running:
        stage.host.start()
    keys = _keys(stage)
    done = _ordered(stage, lease_s, name, keys)
    if name == names.ANNEX:
        _report_order(stage, done, keys)
    if done.returncode != 0 and keys != stage.account.keys:
        done = _ordered(stage, lease_s, name, stage.account.keys)
    if done.returncode != 0:
        raise RehearsalFailed(f"no annex could be ordered: {_words(done)}")
    return done.stdout.strip()


def _ordered(
    stage: Stage, lease_s: int, name: str, keys: Keys, api: str = "spot-fleet"
) -> "subprocess.CompletedProcess[str]":
    stage.account.mark_change()
    config = stage.host.config(stage.run, stage.image, stage.instance_type)
    files = stage.host.key_files(keys)
    try:
        return stage.host.annex("-lease-duration", str(lease_s), "-annex-name", name, "-fleet-api", api, *files, config)
    finally:
        stage.account.mark_change()


def _report_order(stage: Stage, done: "subprocess.CompletedProcess[str]", keys: Keys) -> None:
    if keys == stage.account.keys:
        stage.found("order", None, f"with your own rights, not user.json's: status {done.returncode}")
    else:
        works = done.returncode == 0
        stage.found("order", works, "it was, with user.json's rights" if works else _words(done))


def _words(done: "subprocess.CompletedProcess[str]") -> str:
    return f"status {done.returncode}: {' | '.join(done.stderr.strip().splitlines()[-6:])}"


def _look(stage: Stage, fleet_id: str) -> bool:
    """Return whether an instance runs; check its first tags and its fleet's history."""
    with stage.looking_at("instance-tags") as ec2:
        seen = stage.wait(lambda: fleets.instances_of(ec2, fleet_id), stage.pace.launch_s)
        keys = sorted(tag["Key"] for each in seen for tag in each.get("Tags") or ())
        first = fleets.first_instance(stage, ec2, fleet_id)
    stage.found(
        "instance-tags",
        names.TAG in keys if seen else None,
        f"at first sight: {', '.join(keys)}" if seen else "AWS started no instance: see the history",
    )
    with stage.looking_at("history") as ec2:
        since = datetime.now(UTC) - timedelta(hours=1)
        answer = ec2.describe_spot_fleet_request_history(SpotFleetRequestId=fleet_id, StartTime=since)["HistoryRecords"]
    events = [f"{each['EventType']}/{each['EventInformation'].get('EventSubType')}" for each in answer]
    launched = "instanceChange/launched" in events and not any(each.startswith("error") for each in events)
    stage.found("history", launched if first else None, ", ".join(events) or "nothing")
    times = [each["Timestamp"] for each in answer]
    stage.found("history-order", times == sorted(times) if len(set(times)) > 1 else None, _order_words(times))
    return first is not None


def _order_words(times: Sequence[datetime]) -> str:
    """Describe the order, without the times."""
    if times == sorted(times):
        return f"{len(times)} events, the oldest first"
    return f"{len(times)} events, {'the newest first' if times == sorted(times, reverse=True) else 'in no order'}"


def _extend(stage: Stage, fleet_id: str) -> None:
    begun_s = time.monotonic()
    done = stage.host.annex("-extend", str(stage.pace.extension_s), names.ANNEX)
    took_s = time.monotonic() - begun_s
    with stage.looking_at("extend") as ec2:
        ec2.describe_fleets()  # recorded, since annexd's inventory lists both kinds of fleets
        answer = ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[fleet_id])["SpotFleetRequestConfigs"][0]
    tag = {each["Key"]: each["Value"] for each in answer.get("Tags") or ()}.get(TAG_LEASE_END)
    said = f"-extend answered after {took_s:.1f} s; the fleet's {TAG_LEASE_END} is {tag}"
    stage.found("extend", done.returncode == 0 and tag is not None, said if done.returncode == 0 else _words(done))


def _cancel(stage: Stage, fleet_id: str) -> None:
    begun_s = time.monotonic()
    done = stage.host.annex("-cancel", names.ANNEX)
    with stage.looking_at("cancel") as ec2:
        gone = stage.wait(lambda: fleets.is_gone(ec2, fleet_id), stage.pace.gone_s)
        took_s, state = time.monotonic() - begun_s, fleets.state_of(ec2, fleet_id)
    said = f"{'gone' if gone else 'NOT gone'} after {took_s:.0f} s; the fleet is {state}"
    stage.found("cancel", done.returncode == 0 and gone, said if done.returncode == 0 else _words(done))
    stage.say(f"annexd's annexes: {pretty(_brief(stage.host.status()))}")


def _brief(annexes: list[dict[str, Any]]) -> list[Any]:
    return [each.get("AnnexState") or each.get("State") for each in annexes]
