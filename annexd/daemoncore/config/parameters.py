"""HTCondor's configuration, read through its own param(), with every fault collected.

A knob's value may be an expression, as anywhere in HTCondor's configuration (`5 * 60`).  The configuration comes from
the administrator and may be evaluated, unlike anything that comes from the network.
"""

from pathlib import Path

import classad2

from annexd.condor import bindings
from annexd.condor.values import Unsafe
from annexd.daemoncore.program import current, knob


class BadConfiguration(ValueError):
    """The configuration cannot be used; `faults` names each knob and what it must be."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


_local_names: list[str] = []  # at most one: -local-name, which condor_master gives to a second daemon of a kind


def use_local_name(name: str | None) -> None:
    """Look up NAME.KNOB before KNOB from now on: the bindings know the subsystem, but no local name."""
    _local_names[:] = [name] if name else []


def param(name: str) -> str | None:
    """Return the knob's expanded text, from LOCALNAME.NAME or SUBSYSTEM.NAME first; None if undefined or empty.

    Raises BadConfiguration if the value is not text.
    The bindings find SUBSYSTEM.NAME by themselves only if a plain NAME is also defined (25.14.1).
    """
    for full_name in (*(f"{local}.{name}" for local in _local_names), f"{current().subsystem}.{name}", name):
        try:
            text = bindings.param(full_name)
        except Unsafe as error:
            raise BadConfiguration((str(error),)) from error
        if text is not None:
            return text
    return None


def is_expression(text: str) -> bool:
    try:
        bindings.expression(text)
    except (classad2.ClassAdException, Unsafe):
        return False
    return True


class Parameters:
    """Typed look-ups that continue after a fault, so that all faults are reported at once."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return param(name) or default

    def integer(self, name: str, default: int, *, minimum: int = 0) -> int:
        value = self._evaluated(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or value < minimum:
            self.faults.append(f'{name} must be a number of at least {minimum}, not "{param(name)}"')
            return default
        return int(value)

    def own_integer(self, name: str, default: int, *, minimum: int = 0) -> int:
        """Look up the daemon's own knob first: ANNEXD_UPDATE_INTERVAL before UPDATE_INTERVAL."""
        return self.integer(knob(name), self.integer(name, default, minimum=minimum), minimum=minimum)

    def path(self, name: str) -> Path | None:
        text = param(name)
        return Path(text) if text else None

    def boolean(self, name: str, default: bool) -> bool:
        value = self._evaluated(name)
        if value is None:
            return default
        if isinstance(value, bool | int):
            return bool(value)
        self.faults.append(f'{name} must be True or False, not "{param(name)}"')
        return default

    def words(self, name: str) -> tuple[str, ...]:
        """Split a list at commas and white space."""
        return tuple((param(name) or "").replace(",", " ").split())

    def check(self) -> None:
        """Raise BadConfiguration if any look-up so far found a fault."""
        if self.faults:
            raise BadConfiguration(tuple(self.faults))

    def _evaluated(self, name: str) -> object:
        text = param(name)
        if text is None:
            return None
        try:
            value = bindings.expression(text).eval()
        except (classad2.ClassAdException, Unsafe):
            return text
        return text if isinstance(value, classad2.Value) else value  # undefined and error are numbers to Python
