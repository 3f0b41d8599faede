"""Orders without a file, as users type them: a real pool, and an emulated AWS with Spot Fleets and Systems Manager."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annexd.tool.errors import BAD_FILE, OK, REFUSED, USAGE
from test.cloud import Cloud
from test.cloud.cloud import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from test.system.site import TOP, Site
from test.system.tool import CONDOR_ANNEX, key_options
from test.texts import block

OURS = "/images/ours"
REQUESTS = TOP / "docs" / "requests.md"
LEASE = ("-lease-duration", "8h", "-count", "2")
TYPES = ("-instance-type", "m5.large,m6i.large")


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    with Site(cloud, f"ANNEX_DEFAULT_IMAGE = ssm:{OURS}") as site:
        cloud.client("ssm").put_parameter(Name=OURS, Value=image_of(site), Type="String")
        yield site


def image_of(site: Site) -> str:
    """Return an image of EC2's whose root device has another name than Amazon Linux's."""
    images = site.cloud.client("ec2").describe_images()["Images"]
    return str(next(each["ImageId"] for each in images if each["RootDeviceName"] == "/dev/sda1"))


def run(site: Site, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return site.pool.run(CONDOR_ANNEX, *key_options(site), *arguments, **more)


def ordered(site: Site, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the config of the fleet that was ordered."""
    assert done.returncode == OK, done.stderr
    [fleet] = [each for each in site.fleets() if each["id"] == done.stdout.strip()]
    return dict(fleet["config"])


def test_an_order_by_types_is_a_leased_fleet_of_the_default_image(site: Site) -> None:
    done = run(site, *LEASE, *TYPES, "-annex-name", "typed", "-user-data", "#!/bin/sh")
    config = ordered(site, done)
    assert [each["InstanceType"] for each in config["LaunchSpecifications"]] == ["m5.large", "m6i.large"]
    assert {each["ImageId"] for each in config["LaunchSpecifications"]} == {image_of(site)}
    assert {each["UserData"] for each in config["LaunchSpecifications"]} == {"IyEvYmluL3No"}
    assert (config["TargetCapacity"], config["AllocationStrategy"]) == (2, "priceCapacityOptimized")
    assert f"the image is {image_of(site)}, the present value of {OURS}" in done.stderr
    assert "the lease of annex" in done.stderr
    assert "typed" in run_plain(site, "-status").stdout


def run_plain(site: Site, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return site.pool.run(CONDOR_ANNEX, *arguments, **more)


def test_an_order_by_needs_starts_as_many_machines_as_were_counted(site: Site) -> None:
    done = run(site, *LEASE, "-cpus", "4", "-memory", "8GiB", "-volume-size", "50G", "-max-price", "0.2")
    config = ordered(site, done)
    [only] = config["LaunchSpecifications"]
    assert only["InstanceRequirements"]["MemoryMiB"] == {"Min": 8192}
    assert config["SpotPrice"] == "0.2"
    [volume] = only["BlockDeviceMappings"]
    assert (volume["DeviceName"], volume["Ebs"]["VolumeSize"]) == ("/dev/sda1", 50)
    fleet = done.stdout.strip()
    site.wait(lambda: machines_of(site, fleet) == 2, "its machines")


def machines_of(site: Site, fleet: str) -> int:
    return sum(each["fleet"] == fleet for each in site.cloud.running_instances())


def test_on_demand_instances_come_by_ec2_fleet(site: Site) -> None:
    done = run(site, *LEASE, *TYPES, "-on-demand")
    assert done.returncode == OK, done.stderr
    fleet = done.stdout.strip()
    assert fleet.startswith("fleet-"), "RequestSpotFleet takes On-Demand capacity with launch templates only"
    site.wait(lambda: machines_of(site, fleet) == 2, "its machines")
    instances = site.cloud.client("ec2").describe_instances(
        Filters=[{"Name": "tag:aws:ec2:fleet-id", "Values": [fleet]}]
    )
    found = [one for group in instances["Reservations"] for one in group["Instances"]]
    assert [one.get("InstanceLifecycle") for one in found] == [None, None], "EC2 would say spot"


def test_a_saved_order_on_demand_is_ordered_by_ec2_fleet_too(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    saved = run(site, *LEASE, *TYPES, "-on-demand", "-save", str(file))
    [line] = [line for line in saved.stderr.splitlines() if "to order it: " in line]
    done = run_plain(site, *shlex.split(line.partition("to order it: ")[2])[1:])
    assert done.returncode == OK, done.stderr
    assert done.stdout.startswith("fleet-")


def test_the_image_of_the_command_line_wins(site: Site) -> None:
    config = ordered(site, run(site, *LEASE, *TYPES, "-image", "ami-0123456789abcdef0"))
    assert {each["ImageId"] for each in config["LaunchSpecifications"]} == {"ami-0123456789abcdef0"}


def test_the_printed_command_orders_the_saved_request(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    before = len(site.fleets(active=False))
    saved = run(site, *LEASE, *TYPES, "-max-price", "0.1", "-annex-name", "saved", "-save", str(file))
    assert (saved.returncode, saved.stdout) == (OK, ""), saved.stderr
    assert len(site.fleets(active=False)) == before, "nothing is ordered"
    [line] = [line for line in saved.stderr.splitlines() if "to order it: " in line]
    words = shlex.split(line.partition("to order it: ")[2])
    assert words == ["condor_annex", *key_options(site), *LEASE[:2], "-annex-name", "saved", str(file)]
    config = ordered(site, run_plain(site, *words[1:]))
    written = json.loads(file.read_text())
    assert written["LaunchSpecifications"][0]["ImageId"] == f"resolve:ssm:{OURS}"
    assert (config["SpotPrice"], config["TargetCapacity"]) == (written["SpotPrice"], written["TargetCapacity"])
    assert "saved" in run_plain(site, "-status").stdout


def test_a_file_is_never_replaced_by_a_saved_one(site: Site, tmp_path: Path) -> None:
    file, link = tmp_path / "config.json", tmp_path / "link.json"
    file.write_text("precious")
    link.symlink_to(tmp_path / "nothing")
    for path in (file, link):
        done = run_plain(site, "-count", "1", *TYPES, "-save", str(path))
        assert done.returncode == BAD_FILE
        assert f"{path} exists, and -save does not replace a file" in done.stderr
    assert file.read_text() == "precious"
    assert run_plain(site, "-count", "1", *TYPES, "-save", str(tmp_path / "no" / "config.json")).returncode == BAD_FILE
    assert not (tmp_path / "nothing").exists()


def test_the_changes_of_a_command_line_to_a_file_are_saved_too(site: Site) -> None:
    given = json.dumps({"TargetCapacity": 7, "LaunchSpecifications": [{"InstanceType": "m5.large"}]})
    done = run_plain(site, "-count", "3", "-user-data", "#!/bin/sh", "-save", "-", "-", stdin=given)
    assert json.loads(done.stdout) == {
        "TargetCapacity": 3,
        "LaunchSpecifications": [{"InstanceType": "m5.large", "UserData": "IyEvYmluL3No"}],
    }
    assert "condor_annex -lease-duration DURATION FILE" in done.stderr


def test_a_refusal_of_annexd_names_the_options_and_costs_nothing(site: Site) -> None:
    before = len(site.fleets(active=False))
    done = run(site, "-lease-duration", "8h", "-count", "99999", *TYPES, "-subnet", "subnet-0123")
    assert done.returncode == REFUSED
    assert "-count is 99999, the most allowed here is 10000" in done.stderr
    assert done.stderr.count("-subnet must be the ID of a subnet") == 1
    assert "LaunchSpecifications" not in done.stderr
    done = run(site, *LEASE, *TYPES, "-image", "ssm:/no/such")
    assert done.returncode == REFUSED
    assert "-image: there is no parameter /no/such in us-east-1" in done.stderr
    assert len(site.fleets(active=False)) == before


def test_a_wrong_command_line_sends_no_request(site: Site) -> None:
    done = run_plain(site, "-lease-duration", "8h", *TYPES, "-cpus", "4")
    assert (done.returncode, done.stdout) == (USAGE, "")
    for words in ("-instance-type excludes -cpus", "-count is missing", "condor_annex -help lists the options"):
        assert words in done.stderr


def test_the_commands_of_the_page_on_requests_do_what_it_says(site: Site, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    keys = f"aws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n"
    credentials.touch(mode=0o600)
    credentials.write_text(f"[physics]\n{keys}")
    env = {
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_CONFIG_FILE": str(credentials),  # the tests' own is /dev/null, which can hold no profile
        "PATH": f"{Path(CONDOR_ANNEX).parent}:{os.environ['PATH']}",
    }
    script = (
        f"set -euo pipefail\ncd {tmp_path}\n{block(REQUESTS, 'condor_annex -profile physics -lease-duration 8h')}\n"
    )
    done = site.pool.run("bash", "-c", script, env=env)
    assert done.returncode == 0, done.stderr
    ids = done.stdout.split()
    assert len(ids) == 2
    assert [len(each["config"]["LaunchSpecifications"]) for each in site.fleets() if each["id"] in ids] == [2, 1]
    assert json.loads((tmp_path / "config.json").read_text())["TargetCapacity"] == 20
