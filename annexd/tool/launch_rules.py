"""Check orders without a file: which of their options go together, and what they require."""

from collections.abc import Mapping
from typing import Any, Final

from annexd.tool.options import spelled

NEEDS: Final = ("cpus", "memory_mib", "gpus")  # minimum resources of a machine
KINDS: Final = ("instance_types", *NEEDS)
LAUNCH: Final = (*KINDS, "image", "spot", "on_demand", "max_price", "subnet_ids", "key_name", "volume_gib")
NO_FILE: Final = "the file is missing: the JSON config of a Spot Fleet or an EC2 Fleet, or - for standard input"
WHICH: Final = "-instance-type TYPE[,TYPE...], or -cpus NUMBER and -memory SIZE"


def faults_of_launch(values: Mapping[str, Any]) -> list[str]:
    """Return the faults of the options of an order that has no file, or should have none."""
    given = [field for field in LAUNCH if field in values]
    if "file" in values:
        return _beside_file(given, values["file"])
    if not given:
        return [f"{NO_FILE}; or, without one, {WHICH}"]
    return [*_of_kind(values), *_of_price(values), *_of_count(values)]


def _beside_file(given: list[str], file: str | None) -> list[str]:
    """Return the faults of options beside a file; `file` is None if it may be the value of something else."""
    if not given or file is None:
        return []
    names = _listed(given)
    return [f"{names} cannot be used with a file: put it into {file}, or leave {file} out"]


def _of_kind(values: Mapping[str, Any]) -> list[str]:
    needs = [field for field in NEEDS if field in values]
    if "instance_types" in values and needs:
        message = "an instance type determines these"
        return [f"-instance-type excludes {_listed(needs)}: {message}"]
    if "instance_types" in values:
        return []
    if not needs:
        return [f"what to launch is missing: {WHICH}"]
    missing = [
        f"{spelled(field)} {what}"
        for field, what in (("cpus", "NUMBER"), ("memory_mib", "SIZE"))
        if field not in values
    ]
    if not missing:
        return []
    message = "is missing" if len(missing) == 1 else "are missing"
    return [f"{' and '.join(missing)} {message} beside {_listed(needs)}: AWS asks for both"]


def _of_price(values: Mapping[str, Any]) -> list[str]:
    faults = ["-spot and -on-demand exclude each other"] if {"spot", "on_demand"} <= values.keys() else []
    if {"on_demand", "max_price"} <= values.keys():
        faults.append("-max-price is for Spot instances: On-Demand instances cost what AWS's price list says")
    return faults


def _of_count(values: Mapping[str, Any]) -> list[str]:
    return [] if "target_capacity" in values else ["-count is missing: say how many machines you want"]


def _listed(fields: list[str]) -> str:
    *others, last = map(spelled, fields)
    return f"{', '.join(others)} and {last}" if others else last
