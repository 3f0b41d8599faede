"""The emulator refuses the requests that AWS documents as invalid."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from test.cloud import Cloud
from test.cloud.orders import fleet_config, specification
from test.cloud.specifications import DOCUMENTED

NAMED = {"LaunchTemplateName": "any", "Version": "1"}
REQUIREMENTS = {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 0}}


def templates(*overrides: dict[str, Any], **named: Any) -> dict[str, Any]:
    config = {"LaunchTemplateSpecification": named or NAMED, "Overrides": list(overrides)}
    return {"LaunchSpecifications": [], "LaunchTemplateConfigs": [config]}


@pytest.mark.parametrize(
    ("changes", "message"),
    list(
        zip(
            [
                {"OnDemandTargetCapacity": 1},
                {"InstancePoolsToUseCount": 2, "AllocationStrategy": "diversified"},
                templates(LaunchTemplateName="any"),
                templates(LaunchTemplateName="any", LaunchTemplateId="lt-1", Version="1"),
                {
                    "Type": "request",
                    "SpotMaintenanceStrategies": {"CapacityRebalance": {"ReplacementStrategy": "launch"}},
                },
                {"LaunchSpecifications": [specification(InstanceRequirements=REQUIREMENTS)]},
                {"LaunchSpecifications": [specification(ImageId="resolve:ssm:/ours")]},
            ],
            DOCUMENTED,
            strict=True,
        )
    ),
)
def test_specifications_that_the_documentation_forbids_are_refused(
    cloud: Cloud, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError) as refused:
        cloud.client("ec2").request_spot_fleet(SpotFleetRequestConfig=fleet_config(**changes))
    assert refused.value.response["Error"]["Message"] == message
