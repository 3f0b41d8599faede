"""An On-Demand instance of a fleet with termination protection: what ends it, and what does not."""

from typing import Any

from annexd.aws.errors import AWS_ERRORS
from test.live import fleets, names
from test.live.clean_up import code_of
from test.live.stage import Stage


def run(stage: Stage) -> None:
    with stage.looking_at("protected-cancel") as ec2:
        fleet_id = _request(stage, ec2)
        instance = fleets.first_instance(stage, ec2, fleet_id)
        if instance is None:
            for key in ("protected-cancel", "protected-terminate"):
                stage.found(key, None, "AWS started no instance")
            return
        tags = sorted(tag["Key"] for tag in instance.get("Tags") or ())
        told = ec2.cancel_spot_fleet_requests(SpotFleetRequestIds=[fleet_id], TerminateInstances=True)
        ends = stage.wait(lambda: fleets.is_ending(ec2, fleet_id), stage.pace.gone_s / 2)
        state = fleets.state_of(ec2, fleet_id)
    answer = [each["CurrentSpotFleetRequestState"] for each in told["SuccessfulFleetRequests"]]
    stage.found(
        "protected-cancel",
        not ends,
        f"the answer says {answer}, the fleet is {state}, and the instance "
        f"{'ends' if ends else 'runs on'}; its tags are {', '.join(tags)}",
    )
    _terminate(stage, instance["InstanceId"], fleet_id, ends=ends)


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


def _terminate(stage: Stage, instance: str, fleet_id: str, *, ends: bool) -> None:
    with stage.looking_at("protected-terminate") as ec2:
        try:
            ec2.terminate_instances(InstanceIds=[instance])
            said = "success"
        except AWS_ERRORS as error:
            said = code_of(error) or type(error).__name__
            ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
            ec2.terminate_instances(InstanceIds=[instance])
        gone = stage.wait(lambda: fleets.is_gone(ec2, fleet_id), stage.pace.gone_s)
    after = "it is gone" if gone else "it is not gone yet"
    stage.found(
        "protected-terminate",
        said == "OperationNotPermitted" if not ends else None,
        f"{said}; once the protection is lifted {after}",
    )
