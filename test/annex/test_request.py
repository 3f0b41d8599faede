"""A request is valid, or all its faults are reported at once, by the attribute names in the ad."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import MOST_SHOWN, InvalidRequest
from annexd.annex.request.request import BulkRequest, command_id_of
from test.annex.ads import ID, NOW_S, SPECIFICATION, bulk_request_ad


def read(ad: Mapping[str, Any], defaults: Defaults | None = None) -> BulkRequest:
    return BulkRequest.from_ad(ad, NOW_S, defaults or Defaults())


def faults(defaults: Defaults | None = None, **changes: Any) -> tuple[str, ...]:
    with pytest.raises(InvalidRequest) as caught:
        read(bulk_request_ad(**changes), defaults)
    return caught.value.faults


NO_ROLE = (
    "IamFleetRole is missing: name a role for Spot Fleets (condor_annex -setup creates one, which annexd then uses)"
)


def test_a_right_request_is_taken() -> None:
    request = read(bulk_request_ad(CommandID="alice-1"))
    assert request.command_id == "alice-1"
    assert request.end_of_lease_s == int(NOW_S) + 3600
    assert request.endpoints.region == "us-east-1"
    assert request.endpoints.ec2_url == "https://ec2.us-east-1.amazonaws.com"
    assert request.config["TargetCapacity"] == 2
    assert request.notes == ()


def test_a_request_without_command_id_gets_its_own() -> None:
    assert read(bulk_request_ad()).command_id != read(bulk_request_ad()).command_id


def test_all_faults_are_reported_at_once() -> None:
    reported = faults(TargetCapacity="many", EndOfLease=int(NOW_S) - 40, IamFleetRole=None)
    assert set(reported) == {
        'TargetCapacity must be a positive integer, not "many"',
        "EndOfLease is 40 s in the past: does the clock here differ from that of your machine?",
        NO_ROLE,
    }


TEMPLATE = {"LaunchTemplateSpecification": {"LaunchTemplateId": f"lt-{ID}", "Version": "1"}}
FAULTS = [
    ({"EndOfLease": None}, "EndOfLease is missing: say when the lease ends (condor_annex -lease-duration)"),
    ({"EndOfLease": "tomorrow"}, 'EndOfLease must be in seconds since the epoch, not "tomorrow"'),
    ({"EndOfLease": True}, "EndOfLease must be in seconds since the epoch, not true"),
    ({"EndOfLease": 10**30}, "EndOfLease must be in seconds since the epoch, not a number of more than 64 bits"),
    (
        {"EndOfLease": int(NOW_S)},
        "EndOfLease is 0 s in the past: does the clock here differ from that of your machine?",
    ),
    ({"EndOfLease": int(NOW_S) + 40 * 86400}, "-lease-duration 40d is longer than ANNEX_MAX_LEASE (30d)"),
    ({"EndOfLease": int(NOW_S) + 31 * 86400 - 2}, "-lease-duration 31d is longer than ANNEX_MAX_LEASE (30d)"),
    (
        {"EndOfLease": int(NOW_S) + 300},
        (
            "-lease-duration 5m is shorter than ANNEX_MIN_LEASE (10m): "
            "the lease function runs every five minutes, and ends a"
            " lease at its next run"
        ),
    ),
    ({"RequestVersion": None}, "RequestVersion is missing, it must be 1"),
    ({"RequestVersion": 2}, "RequestVersion must be 1, not 2"),
    ({"RequestVersion": True}, "RequestVersion must be 1, not true"),
    ({"LeaseFunctionARN": None}, "LeaseFunctionARN is missing: it is the output of the CloudFormation template"),
    (
        {"LeaseFunctionARN": "lease"},
        'LeaseFunctionARN must be like arn:aws:lambda:us-east-1:123456789012:function:NAME, not "lease"',
    ),
    (
        {"ServiceURL": "https://ec2.eu-west-1.amazonaws.com"},
        (
            "ServiceURL https://ec2.eu-west-1.amazonaws.com is in eu-west-1 and LeaseFunctionARN in us-east-1:"
            " all must be of one region"
        ),
    ),
    ({"EventsURL": "events"}, "EventsURL must be a URL like https://ec2.us-east-1.amazonaws.com"),
    ({"LambdaURL": 5}, "LambdaURL must be a string, not 5"),
    ({"PublicKeyFile": None}, "PublicKeyFile is missing: key files come in pairs"),
    (
        {"PublicKeyFile": None, "SecretKeyFile": ""},
        "PublicKeyFile and SecretKeyFile, or AWSProfile, are missing: this annexd has no keys of its own to lend",
    ),
    ({"SecretKeyFile": "secret"}, 'SecretKeyFile must be an absolute path, not "secret"'),
    (
        {"CommandID": "a b"},
        'CommandID must be 1 to 128 letters, digits and . _ : @ + = / -, beginning with a letter or digit, not "a b"',
    ),
    ({"TargetCapacity": 0}, "TargetCapacity must be a positive integer, not 0"),
    ({"TargetCapacity": -5}, "TargetCapacity must be a positive integer, not -5"),
    ({"TargetCapacity": 2.5}, "TargetCapacity must be a positive integer, not 2.5"),
    ({"TargetCapacity": True}, "TargetCapacity must be a positive integer, not true"),
    ({"TargetCapacity": "5x"}, 'TargetCapacity must be a positive integer, not "5x"'),
    (
        {"TargetCapacity": "<HOW MANY>"},
        (
            'TargetCapacity must be a positive integer, not "<HOW MANY>": '
            "that is a placeholder: replace it with your own value"
        ),
    ),
    ({"TargetCapacity": 10_001}, "TargetCapacity is 10001, the most allowed here is 10000 (ANNEX_MAX_TARGET_CAPACITY)"),
    ({"TargetCapacity": None}, "TargetCapacity is missing: give the capacity in the file, or with -count"),
    (
        {"LaunchSpecifications": None},
        "LaunchSpecifications or LaunchTemplateConfigs is missing: nothing says what to launch",
    ),
    (
        {"LaunchSpecifications": []},
        "LaunchSpecifications or LaunchTemplateConfigs is missing: nothing says what to launch",
    ),
    ({"LaunchTemplateConfigs": [TEMPLATE]}, "LaunchSpecifications and LaunchTemplateConfigs exclude each other"),
    ({"LaunchSpecifications": "one"}, 'LaunchSpecifications must be an array, not "one"'),
    ({"LaunchSpecifications": ["one"]}, 'LaunchSpecifications[0] must be an object, not "one"'),
    ({"LaunchSpecifications": [None]}, "LaunchSpecifications[0] must be an object, not null"),
    (
        {"LaunchSpecifications": SPECIFICATION},
        "LaunchSpecifications must be an array, not an object: put it into [ ], even if it is the only one",
    ),
    (
        {"LaunchSpecifications": [SPECIFICATION | {"Ebsoptimized": "yes"}]},
        'LaunchSpecifications[0].EbsOptimized must be true or false, not "yes"',
    ),
    (
        {
            "LaunchSpecifications": [
                SPECIFICATION | {"BlockDeviceMappings": [{}, {"DeviceName": "b", "Ebs": {"VolumeSize": "big"}}]}
            ]
        },
        'LaunchSpecifications[0].BlockDeviceMappings[1].Ebs.VolumeSize must be an integer, not "big"',
    ),
    (
        {"LaunchSpecifications": [SPECIFICATION | {"imageid": "ami-87654321"}]},
        "LaunchSpecifications[0].ImageId is given twice",
    ),
    (
        {"LaunchSpecifications": [SPECIFICATION | {"ImgeId": "a"}]},
        "LaunchSpecifications[0].ImgeId is not an attribute in LaunchSpecifications[0], did you mean ImageId?",
    ),
    (
        {"LaunchSpecifications": [SPECIFICATION | {"UserData": "no base64!"}]},
        (
            "LaunchSpecifications[0].UserData must be base64 "
            "(base64 -w 0 FILE makes it, or condor_annex -user-data-file"
            " FILE)"
        ),
    ),
    (
        {"LaunchSpecifications": [SPECIFICATION | {"UserData": base64.b64encode(b"x" * 16385).decode()}]},
        "LaunchSpecifications[0].UserData is 16385 bytes, the limit is 16384",
    ),
    ({"SpotPrize": 5}, "SpotPrize is not an attribute of a Spot Fleet request, did you mean SpotPrice?"),
    ({"SpotPrice": True}, "SpotPrice must be a string, not true"),
    ({"SpotPrice": float("nan")}, "SpotPrice must be a string, not nan"),
    ({"CommandId": "a", "CommandID": "b"}, "CommandID is given twice"),
]


@pytest.mark.parametrize(("changes", "fault"), FAULTS, ids=[fault[:50] for _, fault in FAULTS])
def test_a_fault_names_the_attributes_of_the_ad(changes: dict[str, Any], fault: str) -> None:
    assert faults(**changes) == (fault,)


def test_the_command_is_checked_with_htcondors_messages() -> None:
    assert faults(Command=None) == ("Command not specified in request ClassAd",)
    assert faults(Command="CA_DANCE") == ("Unknown command (CA_DANCE) in ClassAd",)
    assert faults(Command=5) == ("Unknown command (5) in ClassAd",)


def test_a_million_faults_are_reported_in_one_short_line() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(bulk_request_ad(**{f"Nonsense{number}": 1 for number in range(2000)}))
    assert len(str(caught.value)) < MOST_SHOWN * 150
    assert f"and {2000 - MOST_SHOWN} more faults" in str(caught.value)


def test_attribute_names_are_brought_to_awss_spelling() -> None:
    ad = {name.upper(): value for name, value in bulk_request_ad().items()}
    ad["LAUNCHSPECIFICATIONS"] = [
        {"imageid": "ami-12345678", "instancetype": "m5.large", "NETWORKINTERFACES": [{"deviceindex": 0}]}
    ]
    config = read(ad).config
    assert config["LaunchSpecifications"] == [
        {"ImageId": "ami-12345678", "InstanceType": "m5.large", "NetworkInterfaces": [{"DeviceIndex": 0}]}
    ]
    assert config["SpotPrice"] == "0.05"


@pytest.mark.parametrize(
    ("price", "text"),
    [(0.05, "0.05"), (1, "1"), (1e-05, "0.00001"), ("0.050", "0.050"), (2.0, "2.0"), (1e20, "100000000000000000000")],
)
def test_a_price_may_be_a_number(price: object, text: str) -> None:
    assert read(bulk_request_ad(SpotPrice=price)).config["SpotPrice"] == text


def test_a_config_without_a_price_is_taken() -> None:
    assert "SpotPrice" not in read(bulk_request_ad(SpotPrice=None)).config


def test_a_json_null_counts_as_missing() -> None:
    ad = bulk_request_ad() | {"SpotPrice": None, "LaunchSpecifications": [{**SPECIFICATION, "KeyName": None}]}
    config = read(ad).config
    assert "SpotPrice" not in config
    assert config["LaunchSpecifications"] == [SPECIFICATION]


def test_times_in_the_file_are_ignored_with_a_word_about_it() -> None:
    request = read(bulk_request_ad(ValidFrom="2017-01-01T00:00:00Z", validuntil=5, ClientToken="mine"))
    assert [note.split()[0] for note in request.notes] == ["ValidFrom", "ValidUntil", "ClientToken"]
    assert request.config["ValidUntil"] == "2027-01-15T08:05:00Z"
    assert "ValidFrom" not in request.config
    assert "ClientToken" not in request.config


def test_the_request_is_valid_for_the_provisioning_delay_but_never_past_the_lease() -> None:
    assert read(bulk_request_ad()).valid_until_s == int(NOW_S) + 300
    assert read(bulk_request_ad(), Defaults(provisioning_delay_s=60)).valid_until_s == int(NOW_S) + 60
    brief = Defaults(shortest_lease_s=60)
    assert read(bulk_request_ad(EndOfLease=int(NOW_S) + 100), brief).valid_until_s == int(NOW_S) + 100


def test_the_fleet_is_one_shot_unless_the_file_says_otherwise() -> None:
    assert read(bulk_request_ad()).config["Type"] == "request"
    maintained = read(bulk_request_ad(Type="maintain"))
    assert maintained.config["Type"] == "maintain"
    assert "replaces lost instances until 2027-01-15T08:05:00Z only" in maintained.notes[0]


def test_expiration_never_ends_the_instances() -> None:
    request = read(bulk_request_ad(TerminateInstancesWithExpiration=True))
    assert request.config["TerminateInstancesWithExpiration"] is False
    assert "TerminateInstancesWithExpiration" in request.notes[0]


LENDING = Defaults(
    lease_function_arn=bulk_request_ad()["LeaseFunctionARN"],
    allow_default_credentials=True,
    s3_bucket="pool",
    collector_host="cm.example.org",
    trust_domain="example.org",
)
WITHOUT_KEYS: dict[str, Any] = {"PublicKeyFile": None, "SecretKeyFile": None}


@pytest.mark.parametrize(
    ("attribute", "value", "option"),
    [
        ("ServiceURL", "https://ec2.example.org", "-service-url"),
        ("LambdaURL", "https://lambda.example.org", "-lambda-url"),
        ("S3URL", "https://s3.example.org", "-s3-url"),
        ("STSURL", "https://sts.example.org", "-sts-url"),
        ("LogsURL", "https://logs.example.org", "-logs-url"),
        ("SSMURL", "https://ssm.example.org", "-ssm-url"),
        ("LeaseFunctionARN", "arn:aws:lambda:us-east-1:123456789012:function:other", "-lease-function-arn"),
        ("LeaseFunctionARN", "arn:aws:lambda:us-east-1:210987654321:function:lease", "-lease-function-arn"),
        ("S3Bucket", "others", "-s3-bucket"),
    ],
)
def test_lent_keys_serve_nothing_that_the_requester_names(attribute: str, value: str, option: str) -> None:
    changes: dict[str, Any] = {attribute: value}
    with pytest.raises(InvalidRequest) as caught:
        read(bulk_request_ad(**WITHOUT_KEYS, **changes), LENDING)
    [fault] = caught.value.faults
    assert fault.startswith(f"{option} ({attribute}) is {value}, but annexd lends its keys for its own ")
    assert read(bulk_request_ad(**changes), LENDING).keys.public_key_file, "own keys may be used"


def test_lent_keys_may_be_used_with_the_administrators_own_defaults() -> None:
    named: dict[str, Any] = {
        "ServiceURL": LENDING.ec2_url,
        "LogsURL": LENDING.logs_url,
        "LambdaURL": LENDING.lambda_url,
        "S3Bucket": "pool",
    }
    assert read(bulk_request_ad(**WITHOUT_KEYS, **named), LENDING).keys.public_key_file is None


def test_the_endpoint_of_eventbridge_is_taken_and_asked_nothing() -> None:
    """The manual has it, but only -check-setup uses it, so lent keys cannot go there either."""
    named: dict[str, Any] = {"EventsURL": "https://events.example.org"}
    assert read(bulk_request_ad(**WITHOUT_KEYS, **named), LENDING).endpoints == read(bulk_request_ad()).endpoints
    assert "events" not in str(read(bulk_request_ad(**named)).endpoints)


def test_the_endpoint_of_the_log_is_the_requests_or_the_administrators() -> None:
    assert read(bulk_request_ad(LogsURL="https://l.example.org")).endpoints.logs_url == "https://l.example.org"
    defaults = Defaults(logs_url="https://logs.example.org")
    assert read(bulk_request_ad(), defaults).endpoints.logs_url == "https://logs.example.org"
    assert faults(LogsURL="https://logs.eu-west-1.amazonaws.com")[0].startswith("LogsURL https://logs.eu-west-1")


def test_without_a_lease_function_of_its_own_annexd_lends_no_keys() -> None:
    with pytest.raises(InvalidRequest, match=r"has no lease function of its own .* so it lends no keys"):
        read(bulk_request_ad(**WITHOUT_KEYS), replace(LENDING, lease_function_arn=None))


def test_administrators_defaults_need_not_be_in_the_request() -> None:
    defaults = LENDING
    request = read(bulk_request_ad(LeaseFunctionARN=None, PublicKeyFile=None, SecretKeyFile=None), defaults)
    assert request.lease_function_arn == defaults.lease_function_arn
    assert request.keys.public_key_file is None


def test_attributes_that_htcondor_adds_are_not_the_fleets() -> None:
    own: dict[str, Any] = {"MyType": "Command", "TargetType": "Reply", "CondorVersion": "$", "ServerTime": 5}
    assert not set(own) & set(read(bulk_request_ad(**own)).config)


@pytest.mark.parametrize(
    ("ad", "command_id"),
    [({"commandid": "x-1"}, "x-1"), ({"CommandID": "a b"}, None), ({"CommandID": 5}, None), ({}, None)],
)
def test_a_command_id_is_found_before_the_rest_is_read(ad: dict[str, Any], command_id: str | None) -> None:
    assert command_id_of(ad) == command_id


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        "Command",
        "RequestVersion",
        "EndOfLease",
        "LeaseFunctionARN",
        "PublicKeyFile",
        "SecretKeyFile",
        "ServiceURL",
        "CommandID",
        "TargetCapacity",
        "IamFleetRole",
        "SpotPrice",
        "LaunchSpecifications",
        "LaunchTemplateConfigs",
        "TagSpecifications",
        "ValidUntil",
        "Type",
        "targetcapacity",
        "LoadBalancersConfig",
        "OnDemandTargetCapacity",
        "SpotMaintenanceStrategies",
        "InstancePoolsToUseCount",
        "TargetCapacityUnitType",
        "InstanceInterruptionBehavior",
    ]
)
INNER_NAMES = st.sampled_from(
    [
        "UserData",
        "ImageId",
        "TagSpecifications",
        "Tags",
        "Key",
        "Ebs",
        "BlockDeviceMappings",
        "IamInstanceProfile",
        "WeightedCapacity",
        "Overrides",
        "LaunchTemplateSpecification",
        "NetworkInterfaces",
        "Placement",
        "InstanceRequirements",
        "VCpuCount",
        "Min",
        "Priority",
        "CapacityRebalance",
        "TerminationDelay",
        "Value",
        "ResourceType",
        "SubnetId",
    ]
)
NESTED = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(INNER_NAMES, inner, max_size=4)
)


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(NAMES | st.text(max_size=10), VALUES | NESTED, max_size=8))
def test_any_ad_gives_a_request_or_faults(changes: dict[str, Any]) -> None:
    ad = {**bulk_request_ad(), **changes}
    for attempt in (ad, changes):
        try:
            read(attempt)
        except InvalidRequest as error:
            reported = error
        else:
            continue
        assert reported.faults
        assert "\n" not in str(reported)
