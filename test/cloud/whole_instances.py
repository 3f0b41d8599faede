"""The members of DescribeInstances that annexd does not read, so that responses are as long as AWS's.

CERTAIN: test/cloud/recordings/instances.json.  The values are placeholders; no test checks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

REQUESTER = "257867366987"
GONE = {"Code": "Client.UserInitiatedShutdown", "Message": "Client.UserInitiatedShutdown: User initiated shutdown"}
OF_NETWORK = ("SubnetId", "VpcId", "PublicIpAddress", "PrivateIpAddress", "SecurityGroups", "SourceDestCheck")


def whole(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return the instance with all members; a terminated one has neither network nor volumes."""
    state = view["State"]["Name"]
    network = {} if state == "terminated" else _network(view)
    response = {**_ALWAYS, **network, "StateTransitionReason": "", **view}
    response["Placement"] = {"GroupName": "", **view["Placement"]}
    if state in {"shutting-down", "terminated"}:
        is_asked = view["StateReason"]["Code"] == GONE["Code"]
        response |= {"StateTransitionReason": "User initiated", "StateReason": GONE} if is_asked else {}
    if state == "terminated":
        response |= {"BlockDeviceMappings": [], "NetworkInterfaces": []}
        return without_network(response)
    return response


def without_network(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return a terminated instance as EC2 shows it: it has neither addresses nor groups."""
    return {key: value for key, value in view.items() if key not in OF_NETWORK} | {"SecurityGroups": []}


_ATTACHED = datetime(2026, 11, 28, tzinfo=UTC).replace(tzinfo=None)
_ALWAYS: dict[str, Any] = {
    "AmiLaunchIndex": 0,
    "Monitoring": {"State": "disabled"},
    "ProductCodes": [],
    "PrivateDnsName": "",
    "PublicDnsName": "",
    "Architecture": "x86_64",
    "ClientToken": "00000000-0000-4000-8000-000000000000",
    "EbsOptimized": False,
    "EnaSupport": True,
    "Hypervisor": "xen",
    "RootDeviceName": "/dev/xvda",
    "RootDeviceType": "ebs",
    "VirtualizationType": "hvm",
    "SourceDestCheck": True,
    "VpcId": "vpc-01234567",
    "SubnetId": "subnet-01234567",
    "SecurityGroups": [{"GroupName": "default", "GroupId": "sg-01234567"}],
}


def _network(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return the network and the volume, with documentation addresses (RFC 5737).

    The volume's ID is derived from the instance's, so it is unique.
    """
    name, address = "ec2-192-0-2-1.compute-1.amazonaws.com", view["PrivateIpAddress"]
    association = {"IpOwnerId": "amazon", "PublicDnsName": name, "PublicIp": "192.0.2.1"}
    inner = f"ip-{address.replace('.', '-')}.ec2.internal"
    private = {"Association": association, "Primary": True, "PrivateDnsName": inner, "PrivateIpAddress": address}
    interface = {
        **{key: value for key, value in private.items() if key != "Primary"},
        "Attachment": {
            "AttachTime": _ATTACHED,
            "AttachmentId": "eni-attach-01234567",
            "DeleteOnTermination": True,
            "DeviceIndex": 0,
            "Status": "attached",
        },
        "Description": "",
        "Groups": _ALWAYS["SecurityGroups"],
        "Ipv6Addresses": [],
        "MacAddress": "02:00:00:00:00:01",
        "NetworkInterfaceId": "eni-01234567",
        "OwnerId": "123456789012",
        "PrivateIpAddresses": [private],
        "SourceDestCheck": True,
        "Status": "in-use",
        "SubnetId": "subnet-01234567",
        "VpcId": "vpc-01234567",
    }
    volume = {"AttachTime": _ATTACHED, "DeleteOnTermination": True, "Status": "attached"}
    volume["VolumeId"] = f"vol-{view['InstanceId'].removeprefix('i-')}"
    return {
        "PrivateDnsName": inner,
        "PublicDnsName": name,
        "PublicIpAddress": "192.0.2.1",
        "NetworkInterfaces": [interface],
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": volume}],
    }
