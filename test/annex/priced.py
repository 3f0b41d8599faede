"""Machines, volumes and addresses that have prices in the emulated cloud."""

from typing import Any

IMAGE = {"ImageId": "ami-03cf127a"}  # one of moto's: its only volume has 15 GB of the type `standard`
LISTS = {"on_demand": {"m5.large": 0.096, "c5.xlarge": 0.17}, "gb_month": 0.08, "address_hour": 0.005}
DAY_S = 86400.0


def seen(image: str = "ami-03cf127a", **more: Any) -> dict[str, Any]:
    """Return a specification whose image AWS shows, with a volume of a type that has a price."""
    volume = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3"}}
    return {"ImageId": image, "InstanceType": "m5.large", "BlockDeviceMappings": [volume], **more}
