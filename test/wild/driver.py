"""Pass one file through condor_annex, annexd and the emulated AWS, like an order."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import classad2

from annexd.annex.bulk_request import bulk_request
from annexd.annex.request.defaults import Defaults
from annexd.cedar.classad import AdLimits, AdReader
from annexd.tool import config_file
from annexd.tool.command_ad import command_ad
from annexd.tool.command_line import parse
from annexd.tool.errors import ToolError
from test.annex.ads import OWNER
from test.annex.joining import BUCKET, defaults
from test.annex.site import KEYS, Site

TOP = Path(__file__).resolve().parents[2]
TEMPLATE = re.compile(r'"LaunchTemplate(Id|Name)":\s*"([^"]+)",\s*"Version":\s*"?([^",}]*[^",}\s])')
REAL_NAME = re.compile(r"[a-zA-Z0-9().\-/_]{3,128}")
REAL_ID = re.compile(r"lt-[0-9a-f]{17}")
PROFILE = "arn:aws:iam::123456789012:instance-profile/HTCondorAnnex-Machine"
GROUP = "sg-0a1b2c3d4e5f60718"
ROLE = "arn:aws:iam::123456789012:role/HTCondorAnnex-Fleet"


@dataclass(frozen=True)
class Outcome:
    """The result for the user: the notes, the program that refuses the file and its message, or the fleet in AWS."""

    notes: list[str]
    by: str = ""
    message: str = ""
    fleet: dict[str, Any] | None = None
    annex_id: str = ""


@contextmanager
def set_up(site: Site) -> Iterator[None]:
    """Run the block in the state after condor_annex -setup."""
    s3 = site.cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    site.defaults = _defaults(site)
    yield
    for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        s3.delete_object(Bucket=BUCKET, Key=each["Key"])
    s3.delete_bucket(Bucket=BUCKET)


def _defaults(site: Site) -> Defaults:
    return defaults(
        s3_url=site.cloud.url,
        instance_profile_arn=PROFILE,
        security_group_id=GROUP,
        fleet_role_arn=ROLE,
        lease_function_arn=site.arn,
        ec2_url=site.cloud.url,
        logs_url=site.cloud.url,
        lambda_url=site.cloud.url,
        sts_url=site.cloud.url,
    )


def order(site: Site, file: Path, *options: str, api: str = "spot-fleet") -> Outcome:
    """Run `condor_annex -lease-duration 1h -public-key-file ... file`, except for its network connection to annexd."""
    public, secret = KEYS
    keys = ("-public-key-file", public, "-secret-key-file", secret)
    by = () if "-fleet-api" in options else ("-fleet-api", api)
    given = parse(["-lease-duration", "1h", *keys, *by, *options, str(file)])
    try:
        config, notes = config_file.read(given)
        ad = _as_annexd_reads(command_ad(config, given, lambda _: None, site.now_s()))
    except ToolError as error:
        return Outcome([], "condor_annex", "\n".join(error.faults))
    journal = site.journal()
    try:
        reply = bulk_request(
            ad, OWNER, site.engine(journal), site.defaults, site.now_s(), bundle_sources=site.bundle_sources
        )
    finally:
        journal.close()
    notes += [str(reply["Warning"])] if "Warning" in reply else []
    if reply["Result"] != "Success":
        return Outcome(
            notes,
            "annexd" if reply["Result"] == "InvalidRequest" else str(reply["Result"]),
            str(reply.get("ErrorString")),
        )
    [fleet] = [each for each in site.cloud.fleets() if each["id"] == reply["BulkRequestID"]]
    return Outcome(notes, fleet=fleet["config"], annex_id=str(reply["AnnexID"]))


def _as_annexd_reads(ad: dict[str, Any]) -> dict[str, Any]:
    """Return the ad that annexd reads from the lines that HTCondor's bindings write."""
    written, reader = classad2.ClassAd(ad), AdReader(AdLimits())
    for name in written:
        alone = classad2.ClassAd()
        alone[name] = written.lookup(name)
        reader.line(alone.printOld().removesuffix("\n"))
    return reader.attributes


def with_templates(site: Site, text: str) -> str:
    """Create the launch templates that the text names, and return the text with their IDs, as users insert them."""
    ec2 = site.cloud.client("ec2")
    known = {each["LaunchTemplateName"] for each in ec2.describe_launch_templates()["LaunchTemplates"]}
    for kind, name, version in TEMPLATE.findall(text):
        if not (REAL_ID if kind == "Id" else REAL_NAME).fullmatch(name):
            continue
        if name not in known:
            data = {"ImageId": "ami-12345678", "InstanceType": "m5.large"}
            ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
            for _ in range(1, int(version) if version.isdigit() else 1):
                ec2.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData=data)
            known.add(name)
        [template] = ec2.describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"]
        text = text.replace(name, template["LaunchTemplateId"]) if kind == "Id" else text
    return text


def without_the_leases_own(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config without the members and tags that annexd adds to every request."""
    rest = {name: value for name, value in config.items() if name not in ("ClientToken", "ValidUntil")}
    rest = _without_tags(rest)
    if "LaunchSpecifications" in rest:
        rest["LaunchSpecifications"] = [_without_tags(each) for each in rest["LaunchSpecifications"]]
    return rest


def tags_of(holder: dict[str, Any]) -> set[str]:
    return {tag["Key"] for entry in holder.get("TagSpecifications", ()) for tag in entry["Tags"]}


def _without_tags(holder: dict[str, Any]) -> dict[str, Any]:
    entries = list(_others(holder.get("TagSpecifications", ())))
    rest = {name: value for name, value in holder.items() if name != "TagSpecifications"}
    return rest | ({"TagSpecifications": entries} if entries else {})


def _others(entries: Any) -> Iterator[dict[str, Any]]:
    for entry in entries:
        tags = [tag for tag in entry["Tags"] if not tag["Key"].startswith("htcondor:")]
        if tags:
            yield entry | {"Tags": tags}
