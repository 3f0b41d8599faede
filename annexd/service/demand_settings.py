"""The knobs of demand: ANNEX_DEMAND*, ANNEX_OFFERS and those of each offer.

An unreadable knob of demand as a whole is a fault of the configuration, as for any knob.  An unreadable knob or order
file of one offer is only that offer's fault: the daemon continues with the others.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from annexd.annex.request.durations import read_duration
from annexd.annex.request.launch_config import LaunchChoice, launch_config
from annexd.annex.request.launch_values import image, instance_types, max_price, volume_gib
from annexd.annex.request.lease_length import duration
from annexd.daemoncore.config.parameters import Parameters, is_expression, param
from annexd.daemoncore.regular_file import open_regular
from annexd.demand.ghost_negotiators import faults_of_names
from annexd.demand.offer import Offer, fault_of_weights

Value = TypeVar("Value")

OFF: Final = "off"
OBSERVE: Final = "observe"
ENFORCE: Final = "enforce"
GHOSTS: Final = "ghosts"
NONE: Final = "none"
SPOT: Final = "spot"
ON_DEMAND: Final = "on-demand"
EXPANDED: Final = re.compile(r"\$\w*\(|[\r\n]")  # texts that HTCondor's configuration would not read as plain text
OF_A_LAUNCH: Final = ("INSTANCE_TYPE", "IMAGE", "MAX_PRICE", "VOLUME_SIZE")
MOST_OFFERS: Final = 50
LARGEST_FILE: Final = 1024 * 1024
KEYS: Final = {  # the key files and profile in annexd's own orders; without them the keys are those that annexd lends
    "PublicKeyFile": "ANNEX_DEFAULT_ACCESS_KEY_FILE",
    "SecretKeyFile": "ANNEX_DEFAULT_SECRET_KEY_FILE",
    "SessionTokenFile": "ANNEX_DEFAULT_SESSION_TOKEN_FILE",
    "AWSProfile": "ANNEX_DEFAULT_PROFILE",
}
OF_AN_ORDER: Final = {"LeaseDuration": "LEASE", "EndOfLease": "LEASE", "MaxIdleTime": "IDLE"}
OF_A_CONFIG: Final = {  # for an offer without a file
    "InstanceType": "INSTANCE_TYPE",
    "ImageId": "IMAGE",
    "SpotPrice": "MAX_PRICE",
    "VolumeSize": "VOLUME_SIZE",
}
LAUNCH_PATH: Final = re.compile(r"LaunchSpecifications\[\d+\]\.(?:BlockDeviceMappings\[\d+\]\.Ebs\.)?")


@dataclass(frozen=True)
class DemandSettings:
    """The settings of annexd's orders for idle jobs."""

    mode: str = OFF  # ANNEX_DEMAND
    interval_s: int = 30  # ANNEX_DEMAND_INTERVAL
    asks_negotiator: bool = True  # ANNEX_DEMAND_CONFIRM
    owner: str = ""  # ANNEX_DEMAND_OWNER, as user@domain
    boot_s: int = 900  # ANNEX_DEMAND_BOOT_TIME: after it a machine that has not joined is no longer expected
    keys: Mapping[str, str] = field(default_factory=dict)
    offers: tuple[Offer, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)  # by the name of an unusable offer

    @classmethod
    def read(cls, look_up: Parameters) -> "DemandSettings":
        default = cls()
        reading = _Reading(look_up)
        offers = [reading.offer(name) for name in reading.names()]
        return cls(
            reading.choice("ANNEX_DEMAND", default.mode, (OFF, OBSERVE, ENFORCE)),
            look_up.integer("ANNEX_DEMAND_INTERVAL", default.interval_s, minimum=1),
            reading.choice("ANNEX_DEMAND_CONFIRM", GHOSTS, (GHOSTS, NONE)) == GHOSTS,
            _owner(look_up),
            look_up.integer("ANNEX_DEMAND_BOOT_TIME", default.boot_s, minimum=1),
            {name: value for name, knob in KEYS.items() if (value := look_up.text(knob))},
            tuple(each for each in offers if each is not None),
            reading.unusable,
        )


def _owner(look_up: Parameters) -> str:
    domain = look_up.text("UID_DOMAIN", look_up.text("FULL_HOSTNAME"))
    name = look_up.text("ANNEX_DEMAND_OWNER", "condor")
    return name if "@" in name else f"{name}@{domain}"


class _Reading:
    """Reads offers; `unusable` says why each unusable one cannot be used."""

    def __init__(self, look_up: Parameters) -> None:
        self._look_up = look_up
        self.unusable: dict[str, str] = {}

    def names(self) -> list[str]:
        names = list(dict.fromkeys(self._look_up.words("ANNEX_OFFERS")))
        faults = faults_of_names(names)
        self._look_up.faults += faults.values()
        if len(names) > MOST_OFFERS:
            self._look_up.faults.append(f"ANNEX_OFFERS has {len(names)} offers, and {MOST_OFFERS} are the most")
        return [name for name in names[:MOST_OFFERS] if name not in faults]

    def choice(self, knob: str, default: str, choices: tuple[str, ...]) -> str:
        text = self._look_up.text(knob, default).strip().strip('"').lower()
        if text in choices:
            return text
        self._look_up.faults.append(f"{knob} must be {', '.join(choices[:-1])} or {choices[-1]}, not {text}")
        return default

    def offer(self, name: str) -> Offer | None:
        """Return an offer; None if it cannot be used: `unusable` then has all its faults."""
        before, self._look_up.faults = self._look_up.faults, []
        try:
            config = self._config(name)
        except ValueError as error:
            self._look_up.faults.append(str(error))
            config = {}
        found = self._with_knobs(Offer(name, config, "", 0, 0))
        mine, self._look_up.faults = self._look_up.faults, before
        if mine:
            self.unusable[name] = "; ".join(mine)
        return None if mine else found

    def _with_knobs(self, default: Offer) -> Offer:
        name = default.name
        lease_s = self._seconds(name, "LEASE", 4 * 3600)
        return Offer(
            name,
            default.config,
            start=self._expression(name, "START", "true"),
            lease_s=lease_s,
            max_machines=self._number(name, "MAX", None),
            jobs=self._expression(name, "JOBS", default.jobs),
            rank=self._expression(name, "RANK", default.rank),
            step=self._number(name, "STEP", default.step),
            idle_age_s=self._seconds(name, "IDLE_AGE", default.idle_age_s),
            idle_s=self._seconds(name, "IDLE", default.idle_s),
            on_demand=self.choice(_knob(name, "MARKET"), SPOT, (SPOT, ON_DEMAND)) == ON_DEMAND,
            machine_ad=self._look_up.text(_knob(name, "AD")),
            max_lease_s=self._longest_s(name, lease_s),
        )

    def _longest_s(self, name: str, lease_s: int) -> int:
        longest_s = self._seconds(name, "MAX_LEASE", lease_s)
        if longest_s < lease_s:
            shorter = f"{_knob(name, 'MAX_LEASE')} is {duration(longest_s)}, and shorter than {_knob(name, 'LEASE')}"
            self._look_up.faults.append(f"{shorter} ({duration(lease_s)})")
        return longest_s

    def _config(self, name: str) -> Mapping[str, Any]:
        """Return the order of an offer.  Raises ValueError with its faults."""
        file, launch = param(_knob(name, "REQUEST")), [each for each in OF_A_LAUNCH if param(_knob(name, each))]
        if file and launch:
            raise ValueError(f"{_knob(name, 'REQUEST')} excludes {', '.join(_knob(name, each) for each in launch)}")
        config = _read_file(Path(file)) if file else self._launch(name)
        if fault := fault_of_weights(config):
            raise ValueError(fault)
        return config

    def _launch(self, name: str) -> Mapping[str, Any]:
        """Return the order of an offer without a file.  Raises ValueError with all its faults."""
        faults: list[str] = []
        own_image = _knob(name, "IMAGE") if param(_knob(name, "IMAGE")) else "ANNEX_DEFAULT_IMAGE"
        types = _value(_knob(name, "INSTANCE_TYPE"), lambda text: instance_types((text,)), faults)
        named = _value(own_image, image, faults)
        if not param(_knob(name, "INSTANCE_TYPE")):
            faults.append(f"{_knob(name, 'REQUEST')} or {_knob(name, 'INSTANCE_TYPE')} must say what to order")
        if not param(own_image):
            faults.append(f"{_knob(name, 'IMAGE')} or ANNEX_DEFAULT_IMAGE must name an image that has HTCondor")
        price = _value(_knob(name, "MAX_PRICE"), max_price, faults)
        volume = _value(_knob(name, "VOLUME_SIZE"), volume_gib, faults)
        if faults or types is None or named is None:
            raise ValueError("; ".join(faults))
        return launch_config(LaunchChoice(named, None, types, max_price=price, volume_gib=volume))

    def _expression(self, name: str, what: str, default: str) -> str:
        text = self._look_up.text(_knob(name, what), default)
        if is_expression(text) and not EXPANDED.search(text):
            return text
        self._look_up.faults.append(f"{_knob(name, what)} must be an expression, not {text}")
        return default

    def _number(self, name: str, what: str, default: int | None) -> int:
        if default is None and param(_knob(name, what)) is None:
            self._look_up.faults.append(f"{_knob(name, what)} must say how many machines there may be at once")
        return self._look_up.integer(_knob(name, what), default or 1, minimum=1)

    def _seconds(self, name: str, what: str, default: int) -> int:
        text = param(_knob(name, what))
        if text is None:
            return default
        try:
            return read_duration(text.strip())
        except ValueError:
            return self._look_up.integer(_knob(name, what), default, minimum=1)


def _knob(name: str, what: str) -> str:
    return f"ANNEX_OFFER_{name}_{what}"


def in_knobs(name: str, text: str) -> str:
    """Rewrite annexd's message about the order of an offer with the names of its knobs."""
    words = {**KEYS, **{each: _knob(name, knob) for each, knob in OF_AN_ORDER.items()}}
    if not param(_knob(name, "REQUEST")):
        words |= {each: _knob(name, knob) for each, knob in OF_A_CONFIG.items()}
    found = re.sub(rf"\b({'|'.join(words)})\b", lambda match: words[match[0]], LAUNCH_PATH.sub("", text))
    is_of_keys = any(knob in found for knob in KEYS.values()) and "ANNEX_DEMAND_OWNER" not in found
    return f"{found}; ANNEX_DEMAND_OWNER names the user who opens it" if is_of_keys else found


def _value(knob: str, parse: Callable[[str], Value], faults: list[str]) -> Value | None:
    """Return the knob's value; None if it is missing or a fault."""
    text = param(knob)
    if text is None:
        return None
    try:
        return parse(text.strip())
    except ValueError as error:
        faults.append(f"{knob} must be {error}, not {text}")
        return None


def _read_file(path: Path) -> dict[str, Any]:
    """Read an order file.  Raises ValueError for a file that does not contain an order."""
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{path} is larger than {LARGEST_FILE} bytes")
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} must be an object, as condor_annex -save writes it")  # noqa: TRY004  of the text
    return config
