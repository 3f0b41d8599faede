"""Read annexd's own attributes of a command ad and collect all their faults."""

import re
from collections.abc import Callable, Mapping, Set
from typing import Any, Final

from annexd.annex.request.faults import shown

OWN: Final = frozenset(
    [
        "command",
        "requestversion",
        "commandid",
        "endoflease",
        "leaseduration",
        "leasefunctionarn",
        "serviceurl",
        "eventsurl",
        "lambdaurl",
        "publickeyfile",
        "secretkeyfile",
        "sessiontokenfile",
        "awsprofile",
        "awsconfigfile",
        "awscredentialsfile",
        "s3url",
        "stsurl",
        "logsurl",
        "ssmurl",
        "s3bucket",
        "joinpool",
        "annexname",
        "annexowner",
        "noowner",
        "configdir",
        "maxidletime",
        "pricebounds",
        "fleetapi",
    ]
)
ADDED_BY_HTCONDOR: Final = frozenset(  # HTCondor adds these to every ad
    ["mytype", "targettype", "condorversion", "condorplatform", "servertime", "currenttime", "claimid"]
)
REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
LONGEST_TEXT: Final = 4096  # a path, a URL or a list of users


class AdAttributes:
    """annexd's own attributes, and the faults found so far."""

    def __init__(self, ad: Mapping[str, Any], names: Set[str] = OWN) -> None:
        self._values = {name.lower(): value for name, value in ad.items() if name.lower() in names}
        self.faults: list[str] = _repeated(ad, names)

    def value(self, name: str) -> Any:
        """Return the value; None if it is not given."""
        return self._values.get(name.lower())

    def text(self, name: str, fault_of: Callable[[str], str | None]) -> str | None:
        """Return a valid string, or None; an empty string counts as missing."""
        value = self.value(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            fault: str | None = f"must be a string, not {shown(value)}"
        elif len(value) > LONGEST_TEXT or not value.isprintable():
            fault = f"must be a line of at most {LONGEST_TEXT} characters, not {shown(value)}"
        else:
            fault = fault_of(value)
        if fault is None:
            return str(value)
        self.faults.append(f"{name} {fault}")
        return None

    def flag(self, name: str, default: bool) -> bool:
        value = self.value(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.faults.append(f"{name} must be true or false, not {shown(value)}")
        return default

    def seconds(self, name: str, most: int) -> int | None:
        """Return a positive number, or None."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, bool) and isinstance(value, int) and 0 < value <= most:
            return value
        self.faults.append(f"{name} must be a number of seconds from 1 to {most}, not {shown(value)}")
        return None

    def missing(self, name: str) -> bool:
        """Return whether the attribute is missing, as opposed to invalid."""
        return self.value(name) in (None, "")


def fault_of_path(value: str) -> str | None:
    return None if value.startswith("/") else f"must be an absolute path, not {shown(value)}"


def fault_of_reference(text: str) -> str | None:
    """Return the fault of a user's reference to an annex; None if it has none."""
    message = "must be an annex ID, a fleet ID or an annex name"
    return None if REFERENCE.fullmatch(text) else f"{message}, not {shown(text)}"


def _repeated(ad: Mapping[str, Any], names: Set[str]) -> list[str]:
    seen: set[str] = set()
    repeated = []
    for name in ad:
        if name.lower() in seen and name.lower() in names:
            repeated.append(f"{name} is given twice")
        seen.add(name.lower())
    return repeated
