"""A Spot Fleet request config, checked by AWS's own service model.

The ancestor spelled the fields itself, and dropped or refused whatever it did not know: numeric weights,
placement, tags, a config without SpotPrice.  Here botocore's model decides what there is and of which
type; a name is only brought to the model's spelling, since ClassAds do not tell case, and a number
becomes text where the model wants text (`SpotPrice` is a string to AWS, and a number to everybody else).
Nothing is dropped, and nothing is passed on unknown: a mistyped name would otherwise change what is
bought.
"""

import difflib
import math
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from annexd.annex.faults import shown
from annexd.aws import model_loader

if TYPE_CHECKING:
    from botocore.model import Shape, StructureShape

LARGEST_INTEGER: Final = 2**31  # of the model's `integer`
LARGEST_LONG: Final = 2**63


@lru_cache(maxsize=1)
def config_shape() -> "StructureShape":
    """SpotFleetRequestConfigData, as the installed botocore knows it.  The first call takes 0.1 s."""
    from botocore.model import ServiceModel, StructureShape

    model = ServiceModel(model_loader().load_service_model("ec2", "service-2"), "ec2")
    shape = model.operation_model("RequestSpotFleet").input_shape.members["SpotFleetRequestConfig"]
    assert isinstance(shape, StructureShape)  # noqa: S101  a fact about botocore, for the type checker
    return shape


def checked_config(ad: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    """`ad` in AWS's spelling and types; whatever cannot be is added to `faults`, by its path in the ad."""
    from botocore.validate import ParamValidator

    config = _structure(ad, config_shape(), "", faults)
    if not faults:  # ranges, lengths and whatever else a newer model may ask
        report = ParamValidator().validate(config, config_shape())
        faults += report.generate_report().splitlines()
    return config


def _structure(ad: Mapping[str, Any], shape: "StructureShape", path: str, faults: list[str]) -> dict[str, Any]:
    spelling = {name.lower(): name for name in shape.members}
    config: dict[str, Any] = {}
    for written, value in ad.items():
        name = spelling.get(written.lower())
        if name is None:
            faults.append(_unknown(written, shape, path))
        elif name in config:
            faults.append(f"{path}{name} is given twice")
        elif value is not None:  # undefined in an ad, null in JSON: not given
            config[name] = _value(value, shape.members[name], path + name, faults)
    faults += [f"{path}{name} is missing" for name in shape.required_members if name not in config]
    return config


def _unknown(written: str, shape: "StructureShape", path: str) -> str:
    close = difflib.get_close_matches(written[:64], shape.members, n=1)
    hint = f", did you mean {close[0]}?" if close else ""
    where = f"in {path[:-1]}" if path else "of a Spot Fleet request"
    return f"{path}{shown(written)[1:-1]} is not an attribute {where}{hint}"


def _value(value: Any, shape: "Shape", path: str, faults: list[str]) -> Any:
    if shape.type_name == "structure":
        if isinstance(value, Mapping):
            return _structure(value, shape, f"{path}.", faults)
    elif shape.type_name == "list":
        if isinstance(value, list | tuple):
            return [_value(item, shape.member, f"{path}[{i}]", faults) for i, item in enumerate(value)]
    else:
        scalar = _SCALARS[shape.type_name](value) if shape.type_name in _SCALARS else value
        if scalar is not None:
            return scalar
    faults.append(f"{path} must be {_words(shape, path)}, not {shown(value)}")
    return None


def _words(shape: "Shape", path: str) -> str:
    return "a positive integer" if path == "TargetCapacity" else _WORDS.get(shape.type_name, shape.type_name)


def _string(value: Any) -> str | None:
    if isinstance(value, str):
        return value if _is_text(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) if isinstance(value, float) else abs(value) >= LARGEST_LONG:
        return None
    return format(Decimal(repr(value)), "f")  # 0.05, and never 5e-02


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _integer(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():  # some JSON writers know no other numbers
        value = int(value)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and -LARGEST_INTEGER <= value < LARGEST_INTEGER else None


def _long(value: Any) -> int | None:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and -LARGEST_LONG <= value < LARGEST_LONG else None


def _double(value: Any) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if abs(value) < LARGEST_LONG else None
    return value if math.isfinite(value) else None


def _boolean(value: Any) -> bool | None:
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
    "list": "a list",
    "structure": "a nested ad",
}
