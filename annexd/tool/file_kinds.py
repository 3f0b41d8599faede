"""Recognize files that contain the config of a fleet without being one, and files of similar commands.

A file with exactly one request is accepted, with a note about what is ignored.  Any other gets one sentence: what the
file is, and the next step.  Otherwise the user would see a list of unknown attributes.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from annexd.annex.request.fleet_api import OF_EC2_FLEET

Config = dict[str, Any]

WRAPPER: Final = "SpotFleetRequestConfig"  # in the AWS CLI's input, and in each request of a response
ANSWER: Final = "SpotFleetRequestConfigs"  # of describe-spot-fleet-requests
STACK_WRAPPER: Final = "SpotFleetRequestConfigData"  # of CloudFormation's AWS::EC2::SpotFleet
DRY_RUN: Final = "DryRun"
SPELLING: Final = {name.lower(): name for name in (WRAPPER, ANSWER, STACK_WRAPPER, DRY_RUN)}
LAUNCH_WAYS: Final = ("LaunchSpecifications", "LaunchTemplateConfigs")
DESCRIPTION: Final = frozenset(  # AWS's description of a running request, beside its config
    ["ActivityStatus", "CreateTime", "SpotFleetRequestId", "SpotFleetRequestState", "Tags", WRAPPER]
)
EMPTY_TEXTS: Final = 10  # in a skeleton, which has a hundred
WANTED: Final = (
    'condor_annex takes the input of aws ec2 request-spot-fleet or create-fleet, or the console\'s "JSON config"'
)
NEIGHBOURS: Final = (  # any of these members, what the file is, and the next step
    (
        ("Fleets",),
        "a response (aws ec2 describe-fleets)",
        "give the input of aws ec2 create-fleet",
    ),
    (
        ("LaunchTemplateData",),
        "a launch template (aws ec2 create-launch-template)",
        "refer to it in LaunchTemplateConfigs of a Spot Fleet request",
    ),
    (
        ("LaunchSpecification", "InstanceCount"),
        "a request for Spot instances (aws ec2 request-spot-instances)",
        "put its LaunchSpecification into LaunchSpecifications: [ ], and use -count",
    ),
    (
        ("MinCount", "MaxCount", "ImageId", "InstanceType", "InstanceMarketOptions"),
        "a request for instances (aws ec2 run-instances)",
        "put the instance's description into LaunchSpecifications: [ ]",
    ),
    (
        ("Resources", "AWSTemplateFormatVersion", "Properties"),
        "a CloudFormation template",
        f"save the {STACK_WRAPPER} of its AWS::EC2::SpotFleet as a file, with the values that the stack would insert",
    ),
    (
        ("templateId", "templates"),
        "a template of a host provider (Open Resource Broker, Host Factory)",
        "give the request that the provider generates from it",
    ),
)


class NotTaken(Exception):
    """The file is not accepted; the message says what it is, and the next step."""


def config_in(value: Any) -> tuple[Config, list[str]]:
    """Return the config that a file's value is or contains, and notes for the user.  Raises NotTaken."""
    _refuse_skeleton(value)
    config, notes = _unwrapped(value)
    notes += _without_dry_run(config)
    _refuse_neighbours(config)
    _refuse_many(config)
    _refuse_unfilled(config)
    return config, notes


def _unwrapped(value: Any) -> tuple[Config, list[str]]:
    if isinstance(value, list) and value and all(_is_answer(each) for each in value):
        value = {ANSWER: value}
    if not isinstance(value, dict):
        kind = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
        raise NotTaken(f"must be a JSON object, the config of a fleet, not {kind}")
    value = {SPELLING.get(name.lower(), name): inner for name, inner in value.items()}
    for name, unwrap in _WRAPPERS.items():
        if name in value:
            return unwrap(value)
    return value, []


def _without_dry_run(config: Config) -> list[str]:
    """Remove DryRun from an EC2 Fleet request, which has it among its other members."""
    given = [name for name in config if name.lower() == DRY_RUN.lower()]
    if not given or not {name.lower() for name in config} & OF_EC2_FLEET:
        return []
    if config.pop(given[0]) is True:
        raise NotTaken(f'has "{DRY_RUN}": true, which only checks a request: remove it, condor_annex orders')
    return [f'"{DRY_RUN}": false is ignored: condor_annex orders']


def _is_answer(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get(WRAPPER), Mapping) and "SpotFleetRequestId" in value


def _of_answer(value: Config) -> tuple[Config, list[str]]:
    """Return the config of a response's only request; several are ambiguous."""
    requests = value[ANSWER]
    if not (isinstance(requests, list) and requests and all(_is_answer(each) for each in requests)):
        raise NotTaken("is a response of aws ec2 describe-spot-fleet-requests without any request")
    if len(requests) > 1:
        ids = _some([str(each["SpotFleetRequestId"]) for each in requests])
        raise NotTaken(f"is a response with {len(requests)} requests ({ids}): save the {WRAPPER} of one as a file")
    return _of_request(requests[0])


def _of_request(value: Config) -> tuple[Config, list[str]]:
    """Return the config in the AWS CLI's input, or in one request of a response."""
    config, beside = value[WRAPPER], [name for name in value if name != WRAPPER]
    if not isinstance(config, dict):
        raise NotTaken(f"has a {WRAPPER} that is not an object")
    if _is_answer(value) and set(beside) <= DESCRIPTION:
        tags = "; its tags are ignored" if value.get("Tags") else ""
        return config, [f"used as a new request with the config of {value['SpotFleetRequestId']}{tags}"]
    if value.get(DRY_RUN) is True:
        raise NotTaken(f'has "{DRY_RUN}": true, which only checks a request: remove it, condor_annex -quote checks')
    outside = [name for name in beside if name != DRY_RUN]
    if outside:
        raise NotTaken(f"has {' and '.join(map(json.dumps, outside))} beside {WRAPPER}: move it into {WRAPPER}")
    return config, [f'"{DRY_RUN}": false is ignored: condor_annex orders'] if beside else []


def _of_stack(value: Config) -> tuple[Config, list[str]]:
    config, beside = value[STACK_WRAPPER], [name for name in value if name != STACK_WRAPPER]
    if not isinstance(config, dict):
        raise NotTaken(f"has a {STACK_WRAPPER} that is not an object")
    if not beside:
        return config, []
    return config, [f"only the {STACK_WRAPPER} is used, not {' and '.join(map(json.dumps, beside))}"]


_WRAPPERS: Final[Mapping[str, Callable[[Config], tuple[Config, list[str]]]]] = {
    ANSWER: _of_answer,
    WRAPPER: _of_request,
    STACK_WRAPPER: _of_stack,
}


def _refuse_neighbours(config: Config) -> None:
    names = {name.lower() for name in config}
    if names & ({way.lower() for way in LAUNCH_WAYS} | OF_EC2_FLEET):
        return
    for members, kind, next_step in NEIGHBOURS:
        found = [name for name in config if name.lower() in {member.lower() for member in members}]
        if found:
            raise NotTaken(f"is {kind}, by its {' and '.join(map(json.dumps, found))}: {WANTED}; {next_step}")


def _refuse_many(config: Config) -> None:
    """Raise NotTaken for a map of fleets by name, as Deadline's Spot Event Plugin uses it."""
    fleets = [name for name, value in config.items() if isinstance(value, Mapping) and set(value) & set(LAUNCH_WAYS)]
    if fleets and len(fleets) == len(config):
        what = f"{len(fleets)} requests" if len(fleets) > 1 else "a request"
        raise NotTaken(f"holds {what} by name ({_some(fleets)}): save one of them as a separate file")


def _some(names: list[str]) -> str:
    return ", ".join([*names[:5], *(["..."] if len(names) > 5 else [])])


def _refuse_skeleton(value: Any) -> None:
    texts = list(_texts(value))
    empty = sum(text == "" for _, text in texts)
    if empty >= EMPTY_TEXTS and empty * 2 > len(texts):
        raise NotTaken(
            "is a skeleton (aws ec2 request-spot-fleet --generate-cli-skeleton) without values: keep "
            "the members that you need and remove the others"
        )


def _refuse_unfilled(config: Config) -> None:
    for path, text in _texts(config):
        if "{{" in text and "}}" in text:
            raise NotTaken(
                f"is a template that another program fills in, such as Open Resource Broker: {path} is "
                f"{json.dumps(text[:60])}; give the file that this program generates"
            )
        if text.startswith("@{") and text.endswith("}"):
            raise NotTaken(
                f"was truncated by PowerShell: {path} is {json.dumps(text[:60])}; write it with ConvertTo-Json "
                "-Depth 10, and keep [ ] around lists of one"
            )
    for path, name in _functions(config):
        raise NotTaken(f"has CloudFormation's {name} at {path}: only a stack can resolve it: put the value there")


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text with its path, except free text."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in ("UserData", "Tags"):
                yield from _texts(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{i}]")


def _functions(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield intrinsic functions: an object with one member, Ref or Fn::Something."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if len(value) == 1 and (name == "Ref" or name.startswith("Fn::")):
                yield path, name
            else:
                yield from _functions(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _functions(inner, f"{path}[{i}]")
