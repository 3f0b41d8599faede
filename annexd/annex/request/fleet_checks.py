"""Checks of a Spot Fleet request config beyond AWS's model: faults that AWS would report only after the lease is made,
or at the launch, and parts that would outlive the lease.

Each rule is one function from the config, as far as it could be read, to its faults.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, Final

from annexd.annex.request.capacity_checks import faults_of_capacity
from annexd.annex.request.config_members import specifications
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.fleet_api import SPOT_FLEET
from annexd.annex.request.formats import faults_of_formats
from annexd.annex.request.lasting_checks import faults_of_lasting
from annexd.annex.request.launch_checks import faults_of_launch
from annexd.annex.request.network_defaults import faults_of_network
from annexd.annex.request.tag_checks import faults_of_tags

LARGEST_USER_DATA: Final = 16384  # bytes, before base64: EC2's limit


def faults_of_config(config: Mapping[str, Any], defaults: Defaults, api: str = SPOT_FLEET) -> list[str]:
    """Return all faults of `config`, which may hold None in place of an invalid value."""
    return [
        *faults_of_capacity(config, defaults, api),
        *faults_of_launch(config, api),
        *faults_of_formats(config),
        *_user_data(config),
        *faults_of_tags(config),
        *faults_of_lasting(config),
        *faults_of_network(config, defaults),
    ]


def _user_data(config: Mapping[str, Any]) -> Iterator[str]:
    for path, specification in specifications(config):
        text = specification.get("UserData")
        if text is None:
            continue
        try:
            content = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            yield f"{path}UserData must be base64 (base64 -w 0 FILE makes it, or condor_annex -user-data-file FILE)"
            continue
        if len(content) > LARGEST_USER_DATA:
            yield f"{path}UserData is {len(content)} bytes, the limit is {LARGEST_USER_DATA}"
