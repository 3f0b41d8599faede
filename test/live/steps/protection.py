"""Find out which calls end a fleet's On-Demand instance with termination protection."""

from collections.abc import Mapping
from typing import Any, Final

from annexd.annex.fleet.kinds import SPOT_FLEET
from annexd.aws.errors import AWS_ERRORS
from test.live import fleets, names
from test.live.clean_up import code_of
from test.live.stage import Stage

LIFECYCLE: Final = "InstanceLifecycle"  # "spot" or missing


def run(stage: Stage) -> None:
    with stage.looking_at("protected-cancel") as ec2:
        fleet_id = _request(stage, ec2)
        instance = _started(stage, ec2)
        if instance is None:
            for key in ("on-demand-tagged", "protected-cancel", "protected-terminate"):
                stage.found(key, None, "AWS started no instance")
            return
        tags = sorted(tag["Key"] for tag in instance.get("Tags") or ())
        stage.found("on-demand-tagged", SPOT_FLEET.instance_tag in tags, f"its tags are {', '.join(tags) or 'none'}")
        response = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet_id], TerminateInstances=True)
        ends = stage.wait(lambda: _state(ec2, instance) in fleets.ENDING, stage.pace.gone_s / 2)
        state = fleets.state_of(ec2, fleet_id)
    answer = [each["CurrentSpotFleetRequestState"] for each in response.get("SuccessfulFleetRequests") or ()]
    stage.found(
        "protected-cancel",
        not ends,
        f"the answer says {answer}, the fleet is {state}, and the instance {'ends' if ends else 'runs on'}",
    )
    _terminate(stage, instance, ends=ends)


def _started(stage: Stage, ec2: Any) -> dict[str, Any] | None:
    """Find the machine by the rehearsal's own tag, since it may lack the fleet's."""
    own = [
        {"Name": f"tag:{names.TAG}", "Values": [stage.run]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]

    def running() -> list[dict[str, Any]]:
        response = ec2.describe_instances(Filters=own)
        return [each for group in response["Reservations"] for each in group["Instances"] if not each.get(LIFECYCLE)]

    found = stage.wait(running, stage.pace.launch_s)
    fleets.tag_volumes(stage, found)
    return found[0] if found else None


def _state(ec2: Any, instance: Mapping[str, Any]) -> str:
    """Return an instance's state, from DescribeInstances by its ID."""
    response = ec2.describe_instances(InstanceIds=[instance["InstanceId"]])["Reservations"]
    return str(response[0]["Instances"][0]["State"]["Name"]) if response else fleets.TERMINATED


def _request(stage: Stage, ec2: Any) -> str:
    data = fleets.launch_specification(stage)
    group = data.pop("SecurityGroups")[0]["GroupId"]
    data |= {
        "SecurityGroupIds": [group],
        "DisableApiTermination": True,
        "InstanceInitiatedShutdownBehavior": "terminate",
    }
    made = stage.account.client("ec2").create_launch_template(
        LaunchTemplateName=names.TEMPLATE, LaunchTemplateData=data
    )["LaunchTemplate"]
    template = {"LaunchTemplateSpecification": {"LaunchTemplateId": made["LaunchTemplateId"], "Version": "1"}}
    return fleets.request(stage, ec2, fleets.config(stage, OnDemandTargetCapacity=1, LaunchTemplateConfigs=[template]))


def _terminate(stage: Stage, machine: Mapping[str, Any], *, ends: bool) -> None:
    instance = machine["InstanceId"]
    with stage.looking_at("protected-terminate") as ec2:
        try:
            ec2.terminate_instances(InstanceIds=[instance])
            said = "success"
        except AWS_ERRORS as error:
            said = code_of(error) or type(error).__name__
            ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
            ec2.terminate_instances(InstanceIds=[instance])
        gone = stage.wait(lambda: _state(ec2, machine) == fleets.TERMINATED, stage.pace.gone_s)
    after = "it is gone" if gone else "it is not gone yet"
    stage.found(
        "protected-terminate",
        said == "OperationNotPermitted" if not ends else None,
        f"{said}; once the protection is lifted {after}",
    )
