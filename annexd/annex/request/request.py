"""Turn a command ad into a frozen request, or into the list of all its faults.

Attributes other than annexd's own are the fleet's, and reach AWS as written, with these exceptions, which make
the request one-shot as the ancestor's was:

* ValidFrom and ValidUntil are ignored, with a note: the console writes them into every file.  ValidUntil becomes the
  end of the provisioning delay, or of the lease if that is earlier.
* TerminateInstancesWithExpiration becomes false, since with such a ValidUntil it would end the instances
  after minutes; their end is the lease's.
* Type is `request` unless the ad says otherwise.  The ad's value is kept: the lease ends a `maintain` fleet, too, which
  replaces instances only until ValidUntil.
* ClientToken is annexd's; tags htcondor:annex-* are added.  FulfilledCapacity and OnDemandFulfilledCapacity, which
  AWS's responses contain and "You cannot set", are ignored.
* IamFleetRole, and in launch specifications IamInstanceProfile, SubnetId and SecurityGroups, are filled in where
  they are missing and the administrator has set them up.
* DeleteOnTermination becomes true for volumes of launch specifications that do not set it: otherwise the image decides.
  False is refused.
* With EC2 Fleet everything is translated (annexd/annex/request/ec2_fleet.py).
* UserData loses its line breaks, as `base64` makes them: not every decoder accepts them (RFC 4648, section 3.1).
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

from annexd.annex.lease.identifiers import COMMAND_ID, new_command_id
from annexd.annex.request.ad_attributes import ADDED_BY_HTCONDOR, OWN, AdAttributes
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.faults import InvalidRequest, shown
from annexd.annex.request.fleet_request import FleetRequest, read_fleet
from annexd.annex.request.join_config import Join, fault_of_name, read_join
from annexd.annex.request.key_source import KeySource
from annexd.annex.request.lease_length import fault_of_end
from annexd.annex.request.lending import faults_of_lent_request
from annexd.annex.request.price_bounds import read_bounds
from annexd.aws import Endpoints, fault_of_url, region_of_function, region_of_url

COMMAND: Final = "CA_BULK_REQUEST"
REQUEST_VERSION: Final = 1


@dataclass(frozen=True)
class BulkRequest:
    """A valid request, as far as can be checked without calling AWS."""

    command_id: str
    end_of_lease_s: int
    valid_until_s: int
    lease_function_arn: str
    endpoints: Endpoints
    keys: KeySource
    fleet: FleetRequest
    annex_name: str | None = None
    join: Join | None = None  # how the instances join the pool, if they join

    @property
    def config(self) -> Mapping[str, Any]:
        """Return the request to AWS without token and tags, which only the order has."""
        return self.fleet.config

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what was ignored or changed, for the reply."""
        return self.fleet.notes

    @classmethod
    def from_ad(cls, ad: Mapping[str, Any], now_s: float, defaults: Defaults) -> "BulkRequest":
        """Return the request in `ad` (bool, int, float, str, None, lists and dicts of them).  Raises InvalidRequest."""
        check_command(ad)
        own = AdAttributes(ad)
        faults = own.faults
        _check_version(own)
        end_of_lease_s = _end_of_lease_s(own, now_s, defaults)
        valid_until_s = int(min(now_s + defaults.provisioning_delay_s, end_of_lease_s))
        arn, endpoints = _cloud(own, defaults)
        keys = _keys(own, defaults, arn, endpoints)
        command_id = command_id_in(own)
        name = own.text("AnnexName", fault_of_name)
        join = read_join(own, end_of_lease_s, now_s, defaults)
        bounds = read_bounds(own)
        fleet = read_fleet(own, fleet_attributes(ad), valid_until_s, defaults, joins=join is not None, bounds=bounds)
        if faults:
            raise InvalidRequest(faults)
        return cls(command_id, end_of_lease_s, valid_until_s, arn, endpoints, keys, fleet, name, join)


def check_command(ad: Mapping[str, Any], expected: str = COMMAND) -> None:
    """Raise InvalidRequest, with HTCondor's own message, unless the ad contains the expected command."""
    commands = commands_in(ad)
    if not commands:
        raise InvalidRequest(["Command not specified in request ClassAd"])
    if commands != [expected]:
        command = commands[0] if isinstance(commands[0], str) else shown(commands[0])
        raise InvalidRequest([f"Unknown command ({command[:64]}) in ClassAd"])


def commands_in(ad: Mapping[str, Any]) -> list[Any]:
    """Return the attribute of a valid ad."""
    return [value for name, value in ad.items() if name.lower() == "command" and value is not None]


def command_id_of(ad: Mapping[str, Any]) -> str | None:
    """Return the CommandID of an ad that is otherwise not examined; None when it has no usable one."""
    for name, value in ad.items():
        if name.lower() == "commandid" and isinstance(value, str) and COMMAND_ID.fullmatch(value):
            return value
    return None


def own_of(command: str, ad: Mapping[str, Any], names: Set[str]) -> AdAttributes:
    """Return the attributes of a command, which may have only these names (in lower case)."""
    own = AdAttributes(ad, names)
    own.faults += [
        f"{name[:64]} is not an attribute of {command}" for name in ad if name.lower() not in names | ADDED_BY_HTCONDOR
    ]
    _check_version(own)
    return own


def _check_version(own: AdAttributes) -> None:
    version = own.value("RequestVersion")
    if version is None:
        own.faults.append(f"RequestVersion is missing, it must be {REQUEST_VERSION}")
    elif isinstance(version, bool) or version != REQUEST_VERSION:
        own.faults.append(f"RequestVersion must be {REQUEST_VERSION}, not {shown(version)}")


def command_id_in(own: AdAttributes) -> str:
    """Return the request's command ID, or a new one."""
    message = "must be 1 to 128 letters, digits and . _ : @ + = / -, beginning with a letter or digit"
    given = own.text(
        "CommandID", lambda value: None if COMMAND_ID.fullmatch(value) else f"{message}, not {shown(value)}"
    )
    return given or new_command_id()


def _end_of_lease_s(own: AdAttributes, now_s: float, defaults: Defaults) -> int:
    value = own.value("EndOfLease")
    fault = fault_of_end(value, now_s, defaults)
    if fault:
        own.faults.append(fault)
        return int(now_s)
    return int(value)


def _cloud(own: AdAttributes, defaults: Defaults) -> tuple[str, Endpoints]:
    arn = own.text("LeaseFunctionARN", _fault_of_arn)
    if arn is None and own.missing("LeaseFunctionARN"):
        arn = defaults.lease_function_arn
        if arn is None:
            own.faults.append("LeaseFunctionARN is missing: it is the output of the CloudFormation template")
    urls = {
        "ServiceURL": own.text("ServiceURL", fault_of_url) or defaults.ec2_url,
        "LambdaURL": own.text("LambdaURL", fault_of_url) or defaults.lambda_url,
        "S3URL": own.text("S3URL", fault_of_url) or defaults.s3_url,
        "STSURL": own.text("STSURL", fault_of_url) or defaults.sts_url,
        "LogsURL": own.text("LogsURL", fault_of_url) or defaults.logs_url,
        "SSMURL": own.text("SSMURL", fault_of_url) or defaults.ssm_url,
    }
    own.text("EventsURL", fault_of_url)  # as in the manual; no order calls EventBridge
    region = region_of_function(arn or "") or ""
    if region:
        own.faults += [
            f"{name} {url} is in {region_of_url(url)} and LeaseFunctionARN in {region}: all must be of one region"
            for name, url in urls.items()
            if region_of_url(url) not in (None, region)
        ]
    return arn or "", Endpoints(region, *urls.values())


def _fault_of_arn(value: str) -> str | None:
    if region_of_function(value):
        return None
    return f"must be like arn:aws:lambda:us-east-1:123456789012:function:NAME, not {shown(value)}"


def _keys(own: AdAttributes, defaults: Defaults, arn: str, endpoints: Endpoints) -> KeySource:
    before = len(own.faults)
    keys = KeySource.read(own)
    if keys.is_given or len(own.faults) > before:
        return keys
    if not defaults.allow_default_credentials:
        own.faults.append(
            "PublicKeyFile and SecretKeyFile, or AWSProfile, are missing: this annexd has no keys of its own to lend"
        )
    else:
        own.faults += faults_of_lent_request(endpoints, arn, own.value("S3Bucket") or None, defaults)
    return keys


def fleet_attributes(ad: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of an ad that belong to the fleet and have a value."""
    given = {name: value for name, value in ad.items() if value is not None and value != ""}
    return {name: value for name, value in given.items() if name.lower() not in OWN | ADDED_BY_HTCONDOR}
