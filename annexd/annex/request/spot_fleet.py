"""Check a Spot Fleet request config against AWS's own service model.

The ancestor spelled the fields itself, and dropped or refused whatever it did not know: numeric weights,
placement, tags, a config without SpotPrice.  Here botocore's model defines the members and their types; a name is only
converted to the model's spelling, since ClassAds ignore case, and a number
becomes text where the model wants text (`SpotPrice` is a string to AWS, and a number to everybody else).
The other way round, text becomes a number, `true` or `false` where the model wants one: CloudFormation writes all
values as text, and so do two of the EC2 user guide's own examples.
Nothing is dropped, and nothing unknown is passed on: a mistyped name would otherwise change what is bought.  An empty
text, list or object counts as not given, as null does: the console writes `"LaunchSpecifications": []` beside launch
templates, and the AWS CLI's skeletons are full of empty texts.
"""

import difflib
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from annexd.annex.request.faults import shown
from annexd.annex.request.placeholders import PUT_YOUR_OWN, is_placeholder
from annexd.annex.request.shapes import config_shape
from annexd.annex.request.translation import MOVED

if TYPE_CHECKING:
    from botocore.model import Shape, StructureShape

LARGEST_INTEGER: Final = 2**31  # of the model's `integer`
LARGEST_LONG: Final = 2**63
WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
NUMBER: Final = re.compile(r"-?([0-9]{1,19}(\.[0-9]{0,19})?|\.[0-9]{1,19})", re.ASCII)
# Empty on purpose: a tag may have no value, and an empty NoDevice removes a device of the image (botocore's EC2 model).
MEANT_EMPTY: Final = frozenset({("Tag", "Value"), ("BlockDeviceMapping", "NoDevice")})
# Enumerations in which a value that this botocore does not know is a mistake.  Others grow each month (InstanceType).
CLOSED: Final = frozenset(
    [
        "AllocationStrategy",
        "OnDemandAllocationStrategy",
        "ReplacementStrategy",
        "ExcessCapacityTerminationPolicy",
        "FleetType",
        "InstanceInterruptionBehavior",
        "TargetCapacityUnitType",
        "Tenancy",
        "SpotAllocationStrategy",  # here and below with the names of CreateFleetRequest
        "FleetOnDemandAllocationStrategy",
        "FleetReplacementStrategy",
        "FleetExcessCapacityTerminationPolicy",
        "SpotInstanceInterruptionBehavior",
        "DefaultTargetCapacityType",
    ]
)
ELSEWHERE: Final = {  # in an override; EC2 Fleet and the EC2 user guide's example 8 have it; no name is close
    ("LaunchTemplateOverrides", "placement"): "AvailabilityZone",
    ("SpotFleetLaunchSpecification", "launchtemplate"): "LaunchTemplateConfigs, beside LaunchSpecifications",
    **{("CreateFleetRequest", name.lower()): place for name, place in MOVED.items() if name != place},
}
KINDS: Final = {"CreateFleetRequest": "an EC2 Fleet request"}  # by the shape of the whole
POSITIVE: Final = ("TargetCapacity", "TargetCapacitySpecification.TotalTargetCapacity")
NEXT_STEP: Final = {  # by the path of what is missing
    "TargetCapacity": "give the capacity in the file, or with -count",
    "TargetCapacitySpecification": "give the capacity in the file, or with -count",
    "TargetCapacitySpecification.TotalTargetCapacity": "give the capacity in the file, or with -count",
    "IamFleetRole": "name a role for Spot Fleets (condor_annex -setup creates one, which annexd then uses)",
}


def checked_config(
    ad: Mapping[str, Any], faults: list[str], shape: "StructureShape | None" = None, path: str = ""
) -> dict[str, Any]:
    """Return `ad` in AWS's spelling and types; add the rest to `faults`, by its path in the ad.

    `shape` is that of a Spot Fleet request config unless it is another; a `path` ends with a dot.
    """
    from botocore.validate import ParamValidator

    wanted = shape or config_shape()
    config = _structure(ad, wanted, path, faults)
    if not faults:  # ranges, lengths and other constraints of a newer model
        report = ParamValidator().validate(config, wanted)
        faults += report.generate_report().splitlines()
    return config


def _structure(ad: Mapping[str, Any], shape: "StructureShape", path: str, faults: list[str]) -> dict[str, Any]:
    spelling = {name.lower(): name for name in shape.members}
    config: dict[str, Any] = {}
    for written, value in _in_order(ad, spelling):
        name = spelling.get(written.lower())
        if name is None:
            faults.append(_unknown(written, shape, path))
        elif name in config:
            faults.append(f"{path}{name} is given twice")
        elif (shape.name, name) in MEANT_EMPTY and value == "":
            config[name] = ""
        elif value is not None and value != "":  # undefined in an ad, null in JSON: not given
            converted = _value(value, shape.members[name], path + name, faults)
            if not _is_empty(converted):
                config[name] = converted
    faults += [_missing(path + name) for name in shape.required_members if name not in config]
    return {} if _says_nothing(config, shape) else config


def _in_order(ad: Mapping[str, Any], spelling: Mapping[str, str]) -> list[tuple[str, Any]]:
    """Sort by the model, unknown names last: an ad has no order, and equal faults are reported in the same order."""
    rank = {name: i for i, name in enumerate(spelling)}
    return sorted(ad.items(), key=lambda item: (rank.get(item[0].lower(), len(rank)), item[0]))


def _is_empty(value: Any) -> bool:
    """Return whether a value is empty; None, which stands for an invalid value, is not."""
    return value is not None and value in ("", [], {})


def _says_nothing(config: Mapping[str, Any], shape: "StructureShape") -> bool:
    """Return whether a tag of a skeleton, or a tag specification, has no content."""
    if shape.name == "Tag":
        return not any(value != "" for value in config.values())
    return shape.name in ("TagSpecification", "SpotFleetTagSpecification") and "Tags" not in config


def _missing(path: str) -> str:
    return f"{path} is missing: {NEXT_STEP[path]}" if path in NEXT_STEP else f"{path} is missing"


def _unknown(written: str, shape: "StructureShape", path: str) -> str:
    elsewhere = ELSEWHERE.get((shape.name, written.lower()))
    close = [elsewhere] if elsewhere else difflib.get_close_matches(written[:64], shape.members, n=1)
    hint = f", did you mean {close[0]}?" if close else ""
    where = f"in {path[:-1]}" if path else f"of {KINDS.get(shape.name, 'a Spot Fleet request')}"
    return f"{path}{shown(written)[1:-1]} is not an attribute {where}{hint}"


def _value(value: Any, shape: "Shape", path: str, faults: list[str]) -> Any:
    if shape.type_name == "structure":
        if isinstance(value, Mapping):
            return _structure(value, shape, f"{path}.", faults)
    elif shape.type_name == "list":
        if isinstance(value, list | tuple):
            items = [_value(item, shape.member, f"{path}[{i}]", faults) for i, item in enumerate(value)]
            return [item for item in items if not _is_empty(item)]
    else:
        scalar = _SCALARS[shape.type_name](value) if shape.type_name in _SCALARS else value
        if scalar not in (None, "") and (choices := _choices(shape)):
            scalar = {choice.lower(): choice for choice in choices}.get(str(scalar).lower())
        if scalar is not None:
            return scalar
    faults.append(f"{path} must be {_words(shape, path)}, not {shown(value)}{_hint(value, shape)}")
    return None


def _choices(shape: "Shape") -> list[str]:
    """Return all choices; AWS's own pages write `Default` for `default`."""
    return list(getattr(shape, "enum", ())) if shape.name in CLOSED else []


def _words(shape: "Shape", path: str) -> str:
    if choices := _choices(shape):
        return f"one of {', '.join(choices)}"
    return "a positive integer" if path in POSITIVE else _WORDS.get(shape.type_name, shape.type_name)


def _hint(value: Any, shape: "Shape") -> str:
    if shape.type_name == "list" and isinstance(value, Mapping):
        return ": put it into [ ], even if it is the only one"
    return f": {PUT_YOUR_OWN}" if isinstance(value, str) and is_placeholder(value) else ""


def _string(value: Any) -> str | None:
    if isinstance(value, str):
        return value if _is_text(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) if isinstance(value, float) else abs(value) >= LARGEST_LONG:
        return None
    return format(Decimal(repr(value)), "f")  # 0.05, never 5e-02


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _integer(value: Any) -> int | None:
    value = _number(value, WHOLE_NUMBER)
    if isinstance(value, float) and value.is_integer():  # some JSON writers know only floats
        value = int(value)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and -LARGEST_INTEGER <= value < LARGEST_INTEGER else None


def _number(value: Any, form: "re.Pattern[str]") -> Any:
    """Convert a text that is a number."""
    if isinstance(value, str) and form.fullmatch(value):
        return int(value) if WHOLE_NUMBER.fullmatch(value) else float(value)
    return value


def _long(value: Any) -> int | None:
    value = _number(value, WHOLE_NUMBER)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and -LARGEST_LONG <= value < LARGEST_LONG else None


def _double(value: Any) -> float | int | None:
    value = _number(value, NUMBER)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if abs(value) < LARGEST_LONG else None
    return value if math.isfinite(value) else None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


_SCALARS: Final = {
    "string": _string,
    "timestamp": _string,
    "integer": _integer,
    "long": _long,
    "double": _double,
    "float": _double,
    "boolean": _boolean,
}
_WORDS: Final = {
    "string": "a string",
    "timestamp": "a time",
    "integer": "an integer",
    "long": "an integer",
    "double": "a number",
    "float": "a number",
    "boolean": "true or false",
    "list": "an array",
    "structure": "an object",
}
