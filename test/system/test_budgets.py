"""Budgets on a real pool with the configuration of docs/budgets.md: an order that fits, one refused, a refund."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annexd.tool.errors import REFUSED
from test.cloud import Cloud
from test.system.site import TOP, Site
from test.system.tool import CONDOR_ANNEX, Done, condor_annex, key_options
from test.texts import block

PAGE = TOP / "docs" / "budgets.md"
LISTS = {"on_demand": {"m5.large": 0.96}, "gb_month": 0.08, "address_hour": 0.005}
ETC = "/etc/condor"


def knobs(site: Site) -> str:
    """Return the page's configuration with files of this pool and a smaller amount."""
    text = block(PAGE, "ANNEX_BUDGETS").replace(ETC, str(site.pool.directory)).replace("= 5000", "= 5")
    return text + "\nQUEUE_SUPER_USERS = root, condor\n"


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    with Site(cloud, f"ANNEX_DEFAULT_PRICING_URL = {cloud.url}\nANNEXD_RECONCILE_INTERVAL = 2\n") as site:
        user = site.pool.run("id", "-un").stdout.strip()
        groups = site.pool.directory / "annex-groups"
        groups.write_text(block(PAGE, "* alice physics").replace("alice", user))
        site.pool.configure(knobs(site))
        site.wait(lambda: "physics" in condor_annex(site, "-budget").stdout, "the budgets to be read")
        yield site


@pytest.fixture
def file(site: Site) -> Path:
    """Write a request for one machine without a price limit; return the file."""
    site.cloud.set_prices(spot={"m5.large": [[-86400, 0.3]]}, **LISTS)
    volume = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3"}}
    specification = {"ImageId": "ami-03cf127a", "InstanceType": "m5.large", "BlockDeviceMappings": [volume]}
    path = site.pool.directory / "bounded.json"
    path.write_text(json.dumps({"TargetCapacity": 1, "LaunchSpecifications": [specification]}))
    return path


def order(site: Site, file: Path, hours: int, *more: str) -> Done:
    return condor_annex(site, *more, "-lease-duration", f"{hours}h", *key_options(site), str(file))


def budget(site: Site, name: str = "physics") -> dict[str, Any]:
    done = condor_annex(site, "-budget", name, "-json")
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)
    return {
        key: float(value) if isinstance(value, str) and value[:1].isdigit() else value for key, value in found.items()
    }


def ad(site: Site) -> list[str]:
    constraint = 'MyType == "AnnexBudget" && Name == "physics"'
    asked = ("condor_status", "-any", "-constraint", constraint, "-af", "Dollars", "Reserved")
    return site.pool.tool(*asked).stdout.split()


def test_an_order_fits_the_next_is_refused_and_what_did_not_run_returns(site: Site, file: Path) -> None:
    done = order(site, file, 3, "-annex-name", "first", "-json")
    assert done.returncode == 0, done.stderr
    [fleet] = site.fleets()
    assert fleet["config"]["LaunchSpecifications"][0]["SpotPrice"] == "0.960000", "the list's price is sent"
    reserved = budget(site)["Reserved"]
    assert 3.0 < reserved < 3.3
    assert budget(site)["Left"] == pytest.approx(5 - reserved)

    quoted = order(site, file, 3, "-quote")
    assert quoted.returncode == REFUSED
    assert "Refused: budget physics: this can cost $3." in quoted.stdout
    refused = order(site, file, 3)
    assert refused.returncode == REFUSED
    for message in (
        "budget physics",
        "this can cost $3.",
        "of $5.00 until 20",
        "T00:00:00Z $1.",
        "are left",
        "order less",
    ):
        assert message in refused.stderr
    assert len(site.fleets()) == 1

    table = condor_annex(site, "-budget").stdout.splitlines()
    assert table[0].split() == [
        "NAME", "DOLLARS", "PERIOD", "SPENT", "RESERVED", "LEFT", "RATE", "RATE", "LEFT", "UNTIL",
    ]  # fmt: skip
    assert table[1].split()[:4] == ["physics", "$5.00", "month", "$0.00"]
    assert table[2].split()[0] == "everyone"
    site.wait(lambda: ad(site) == ["5.0", str(reserved)], "the budget's ad", 60.0)

    extended = condor_annex(site, "-extend", "12h", "first")
    assert extended.returncode == REFUSED
    assert "budget physics: this can cost $11." in extended.stderr

    site.wait(site.cloud.running_instances, "the machine")
    site.wait(lambda: "InstanceSeconds" in condor_annex(site, "-history", "-json", "first").stdout, "a look at it")
    starts = site.starts()
    site.kill()
    site.wait_for_restart(starts)
    site.wait(lambda: condor_annex(site, "-budget").returncode == 0, "annexd to answer")
    assert budget(site)["Reserved"] == reserved, "a kill -9 loses no reservation"

    cancelled = condor_annex(site, "-cancel", "first")
    assert cancelled.returncode == 0, cancelled.stderr
    site.wait(lambda: budget(site)["Reserved"] == 0, "the money to return", 150.0)
    left = budget(site)
    assert 0 < left["Spent"] < 0.3
    assert left["Left"] == pytest.approx(5 - left["Spent"])
    again = order(site, file, 3)
    assert again.returncode == 0, again.stderr


def test_the_commands_of_the_page_are_answered_as_they_are_written(site: Site) -> None:
    programs = f"{Path(CONDOR_ANNEX).parent}:{site.pool.htcondor.bin}:{site.pool.htcondor.sbin}"
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    for beginning in ("condor_reconfig -daemon annexd", "condor_annex -budget physics"):
        done = site.pool.run("bash", "-ec", block(PAGE, beginning), env=path)
        assert done.returncode == 0, done.stderr
        assert "physics" in done.stdout


def test_a_faulty_knob_is_named_and_the_budgets_stay_as_they_were(site: Site) -> None:
    before = len(site.log())
    site.pool.configure("ANNEX_BUDGET_physics_DOLLARS = much\nANNEX_BUDGET_everyone_PERIOD = year\n")
    site.wait(lambda: "Reconfig failed" in site.log()[before:], "the refusal")
    for message in (
        "ANNEX_BUDGET_physics_DOLLARS must be dollars",
        "ANNEX_BUDGET_everyone_PERIOD must be one of day, week",
    ):
        assert message in site.log()[before:]
    assert budget(site)["Dollars"] == 5
    site.pool.configure(knobs(site) + "ANNEX_BUDGET_everyone_PERIOD =\n")


def test_a_user_map_that_changed_counts_after_a_reconfig(site: Site, file: Path) -> None:
    assert "Budget physics: $" in order(site, file, 1, "-quote").stdout
    groups = site.pool.directory / "annex-groups"
    groups.write_text("* nobody-else physics\n")
    later_s = groups.stat().st_mtime + 60
    os.utime(groups, (later_s, later_s))  # HTCondor reads a file again if its time is later
    with site.logged("Reconfigured"):
        site.pool.configure("")
    text = order(site, file, 1, "-quote").stdout
    assert "Budget everyone: $" in text
    assert "Budget physics" not in text


def test_an_unknown_budget_is_reported(site: Site) -> None:
    done = condor_annex(site, "-budget", "nobody")
    assert done.returncode == REFUSED
    assert "annexd has no budget nobody" in done.stderr
