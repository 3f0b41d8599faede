"""Let a fleet's ValidUntil pass while its instance runs, and cancel it afterwards, as at the end of every lease."""

import time
from typing import Any, Final

from test.live import fleets
from test.live.stage import Stage

LISTS: Final = {"SuccessfulFleetRequests", "UnsuccessfulFleetRequests"}


def run(stage: Stage) -> None:
    with stage.looking_at("state-at-expiry") as ec2:
        wanted = fleets.config(stage, LaunchSpecifications=[fleets.launch_specification(stage)])
        fleet_id = fleets.request(stage, ec2, wanted)
        valid_until_s = wanted["ValidUntil"].timestamp()
        instance = fleets.first_instance(stage, ec2, fleet_id)
        states = _states(stage, ec2, fleet_id, valid_until_s + stage.pace.around_s)
    said = ", then ".join(f"{state} from {at_s - valid_until_s:+.0f} s" for state, at_s in states)
    if instance is None:
        for key in ("state-at-expiry", "second-cancel", "empty-lists"):
            stage.found(key, None, f"AWS started no instance before ValidUntil ({said})")
        return
    last = states[-1][0]
    seen = [state for state, _ in states if state not in (fleets.NOT_SHOWN, "submitted")]
    stage.found("state-at-expiry", seen == ["active", "cancelled_running"], said)
    if last == "cancelled_running":
        stage.found("second-cancel", *_second_cancel(stage, fleet_id))
    else:
        stage.found("second-cancel", None, f"the fleet is {last}")
        stage.found("empty-lists", None, f"the fleet is {last}")


def _states(stage: Stage, ec2: Any, fleet_id: str, until_s: float) -> list[tuple[str, float]]:
    """Return each state with the time at which it was first seen."""
    states: list[tuple[str, float]] = []
    while True:
        now_s, state = time.time(), fleets.state_of(ec2, fleet_id)
        if not states or states[-1][0] != state:
            states.append((state, now_s))
        if now_s >= until_s:
            return states
        time.sleep(stage.pace.poll_s)


def _second_cancel(stage: Stage, fleet_id: str) -> tuple[bool, str]:
    """Return whether AWS has one of the three known behaviours, and a description of its behaviour."""
    with stage.looking_at("second-cancel") as ec2:
        response = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet_id], TerminateInstances=True)
        ends = stage.wait(lambda: fleets.is_ending(ec2, fleet_id), stage.pace.gone_s)
        after = fleets.state_of(ec2, fleet_id)
        for each in fleets.instances_of(ec2, fleet_id):
            ec2.terminate_instances(InstanceIds=[each["InstanceId"]])
    stage.found(
        "empty-lists",
        len(response.keys() & LISTS) == len(LISTS),
        f"shown: {', '.join(sorted(response.keys() & LISTS))}",
    )
    for refusal in response.get("UnsuccessfulFleetRequests") or ():
        return not ends, f"refused ({refusal['Error']['Code']}), the fleet stays {after}"
    answer = response["SuccessfulFleetRequests"][0]["CurrentSpotFleetRequestState"]
    if ends:
        return True, f"acted-upon: the answer says {answer}, and the instance ends"
    return answer == "cancelled_running", f"no-effect: the answer says {answer}, and the instance runs on"
