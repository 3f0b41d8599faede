"""Files of other commands: a file with one request is accepted; any other is refused with the name of its kind."""

from typing import Any

import pytest

from annexd.tool.file_kinds import EMPTY_TEXTS, NotTaken, config_in

CONFIG = {"TargetCapacity": 3, "LaunchSpecifications": [{"ImageId": "ami-12345678"}]}
REQUEST = {"SpotFleetRequestId": "sfr-1", "SpotFleetRequestState": "active", "SpotFleetRequestConfig": CONFIG}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (CONFIG, None),
        ({"SpotFleetRequestConfig": CONFIG}, None),
        ({"spotFleetRequestConfig": CONFIG}, None),
        ({"DryRun": False, "SpotFleetRequestConfig": CONFIG}, '"DryRun": false is ignored'),
        ({"SpotFleetRequestConfigs": [REQUEST]}, "used as a new request with the config of sfr-1"),
        ([REQUEST], "used as a new request with the config of sfr-1"),
        (REQUEST, "used as a new request with the config of sfr-1"),
        (REQUEST | {"Tags": [{"Key": "a", "Value": "b"}]}, "sfr-1; its tags are ignored"),
        ({"SpotFleetRequestConfigData": CONFIG}, None),
        (
            {"SpotFleetRequestConfigData": CONFIG, "Tags": []},
            'only the SpotFleetRequestConfigData is used, not "Tags"',
        ),
    ],
)
def test_a_file_with_one_request_is_accepted_with_a_note_about_the_rest(value: Any, message: str | None) -> None:
    config, notes = config_in(value)
    assert config == CONFIG
    assert len(notes) == (message is not None)
    assert message is None or message in notes[0]


EC2_FLEET = {"LaunchTemplateConfigs": [], "TargetCapacitySpecification": {"TotalTargetCapacity": 2}}
SPEC: dict[str, Any] = {"ImageId": "ami-1", "InstanceType": "m5.large"}


def test_an_ec2_fleet_request_is_accepted_unchanged() -> None:
    assert config_in(dict(EC2_FLEET)) == (EC2_FLEET, [])
    assert config_in(EC2_FLEET | {"DryRun": False}) == (EC2_FLEET, ['"DryRun": false is ignored: condor_annex orders'])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"DryRun": True, "SpotFleetRequestConfig": CONFIG}, '"DryRun": true, which only checks a request: remove it'),
        ({"SpotFleetRequestConfig": CONFIG, "TargetCapacity": 5}, 'has "TargetCapacity" beside SpotFleetRequestConfig'),
        ({"SpotFleetRequestConfig": "x"}, "has a SpotFleetRequestConfig that is not an object"),
        ({"SpotFleetRequestConfigs": []}, "without any request"),
        ({"SpotFleetRequestConfigs": [REQUEST, REQUEST]}, "a response with 2 requests (sfr-1, sfr-1): save the"),
        (EC2_FLEET | {"DryRun": True}, '"DryRun": true, which only checks a request: remove it'),
        ({"Fleets": [{"FleetId": "fleet-1"}]}, "is a response (aws ec2 describe-fleets), by its"),
        (SPEC | {"MinCount": 1, "MaxCount": 2}, "is a request for instances (aws ec2 run-instances)"),
        (SPEC, "put the instance's description into LaunchSpecifications: [ ]"),
        (
            {"InstanceCount": 2, "LaunchSpecification": SPEC},
            "is a request for Spot instances (aws ec2 request-spot-insta",
        ),
        (
            {"LaunchTemplateName": "x", "LaunchTemplateData": SPEC},
            "is a launch template (aws ec2 create-launch-template)",
        ),
        ({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {}}, "is a CloudFormation template"),
        (
            {"Type": "AWS::EC2::SpotFleet", "Properties": {}},
            "save the SpotFleetRequestConfigData of its AWS::EC2::Spot",
        ),
        (
            {"SpotFleetRequestConfigData": CONFIG | {"IamFleetRole": {"Fn::GetAtt": ["Role", "Arn"]}}},
            "has CloudFormation's Fn::GetAtt at IamFleetRole",
        ),
        (CONFIG | {"SpotPrice": {"Ref": "Price"}}, "has CloudFormation's Ref at SpotPrice"),
        ({"templateId": "x", "maxNumber": 5}, "is a template of a host provider (Open Resource Broker, Host Factory)"),
        (CONFIG | {"TargetCapacity": "{{ count }}"}, 'TargetCapacity is "{{ count }}"; give the file that this'),
        ({"one": CONFIG}, "holds a request by name (one)"),
        ({"one": CONFIG, "two": CONFIG}, "holds 2 requests by name (one, two)"),
        (CONFIG | {"Overrides": "@{InstanceType=c5.large}"}, "was truncated by PowerShell"),
        (CONFIG | {f"A{number}": "" for number in range(EMPTY_TEXTS)}, "is a skeleton"),
        ({"DryRun": True, "SpotFleetRequestConfig": dict.fromkeys("abcdefghijk", "")}, "is a skeleton"),
    ],
)
def test_another_commands_file_is_called_by_its_name_with_the_next_step(value: Any, message: str) -> None:
    with pytest.raises(NotTaken) as caught:
        config_in(value)
    assert message in str(caught.value)


def test_free_text_is_not_taken_for_a_template_of_another_program() -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "query", "Value": "{{ x }}"}]}]
    config = {"LaunchSpecifications": [{"UserData": "e3sgeCB9fQ==", "TagSpecifications": tags}]}
    assert config_in(config) == (config, [])
