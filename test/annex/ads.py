"""A valid command ad, and the values needed to carry it out."""

from typing import Any

NOW_S = 1_800_000_000.0
REGION = "us-east-1"
ARN = f"arn:aws:lambda:{REGION}:123456789012:function:lease"
OWNER = "alice@example.org"
ID = "0123456789abcdef0"  # of any resource, after its prefix
SPECIFICATION = {"ImageId": "ami-12345678", "InstanceType": "m5.large", "WeightedCapacity": 1}


def bulk_request_ad(now_s: float = NOW_S, **changes: Any) -> dict[str, Any]:
    """Return the ad that condor_annex -fleet-api spot-fleet sends; a change to None removes an attribute."""
    ad = {
        "Command": "CA_BULK_REQUEST",
        "RequestVersion": 1,
        "FleetAPI": "SpotFleet",
        "EndOfLease": int(now_s) + 3600,
        "LeaseFunctionARN": ARN,
        "PublicKeyFile": "/home/alice/public",
        "SecretKeyFile": "/home/alice/secret",
        "TargetCapacity": 2,
        "IamFleetRole": "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role",
        "SpotPrice": "0.05",
        "LaunchSpecifications": [SPECIFICATION],
    }
    return {name: value for name, value in (ad | changes).items() if value is not None}
