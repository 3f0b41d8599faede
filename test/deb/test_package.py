"""The Debian package from installation to purge, beside Debian's condor as root with its packaged security."""

import json
import shutil
from pathlib import Path

import pytest

from test.cloud import Cloud
from test.deb.conftest import NEXT_VERSION, OPERATIONS, Ordered, Removed
from test.deb.root import DebianRoot
from test.texts import TOP, block

JOINING = TOP / "docs/joining.md"
JOURNAL = "/var/lib/annexd/annexd_command_state"
HTCONDORS_OWN = "/usr/bin/condor_annex.htcondor"
HTCONDORS_PAGE = "/usr/share/man/man1/condor_annex.htcondor.1.gz"


def test_an_installation_enables_nothing(installed: DebianRoot) -> None:
    assert "ANNEXD" not in installed.succeed("condor_config_val", "DAEMON_LIST")
    owned = installed.succeed("dpkg", "--listfiles", "annexd").split()
    assert [path for path in owned if path.startswith(("/etc", "/var"))] == []
    assert "Scheduler" in installed.succeed("condor_status", "-any")


def test_its_programs_and_manual_pages_are_found_and_htcondors_own_are_kept(installed: DebianRoot) -> None:
    assert "annexd" in installed.succeed("condor_annex", "-version", user="alice")
    assert "annexd" in installed.succeed("/usr/sbin/condor_annexd", "-v")
    for page in ("1 condor_annex", "8 condor_annexd", "8 condor-annex-ec2"):
        section, name = page.split()
        found = installed.succeed("dpkg", "--search", f"/usr/share/man/man{section}/{name}.{section}.gz")
        owners = [
            line.partition(": /")[0].split(", ") for line in found.splitlines()
        ]  # together with condor if the page is diverted
        assert any("annexd" in each for each in owners), found
    has_one = "/usr/bin/condor_annex" in installed.succeed("dpkg", "--listfiles", "condor").splitlines()
    assert installed.exists(HTCONDORS_OWN) is has_one


def test_man_shows_its_pages_and_htcondors_page_is_kept(installed: DebianRoot) -> None:
    assert "-lease-duration" in installed.succeed("man", "-P", "cat", "condor_annex", user="alice")
    assert "ANNEXD_COMMAND_STATE" in installed.succeed("man", "-P", "cat", "8", "condor_annexd", user="alice")
    has_one = HTCONDORS_PAGE.replace(".htcondor", "") in installed.succeed("dpkg", "--listfiles", "condor").splitlines()
    assert installed.exists(HTCONDORS_PAGE) is has_one


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_as_debian_sets_it_up_completes_an_option_that_was_begun(installed: DebianRoot, shell: str) -> None:
    installed.type(shell, "condor_annex -check-s\t", "condor_annex -check-setup")


def test_no_environment_of_a_user_reaches_its_programs(installed: DebianRoot) -> None:
    installed.succeed("mkdir", "-p", "/home/alice/modules/annexd")
    installed.write("/home/alice/modules/annexd/__init__.py", "raise SystemExit('from PYTHONPATH')\n")
    said = installed.succeed("condor_annex", "-version", user="alice", PYTHONPATH="/home/alice/modules")
    assert "from PYTHONPATH" not in said


def test_the_boot_script_is_installed_and_its_unit_enabled_as_the_page_for_images_has_it(installed: DebianRoot) -> None:
    clone = installed.directory / "srv/clone"
    for name in ("bin", "docs/man"):
        shutil.copytree(TOP / name, clone / name)
    dnf, *commands = block(JOINING, "dnf install condor").splitlines()
    assert dnf == "dnf install condor nftables", "Debian's names, too: packaging/root installs both"
    installed.succeed("bash", "-euc", "\n".join(["cd /srv/clone", *commands]))
    assert installed.exists("/etc/systemd/system/condor.service.requires/condor-annex-ec2.service")
    said = installed.succeed("systemd-analyze", "verify", "condor-annex-ec2.service")
    assert "condor-annex-ec2" not in said, said


def test_a_user_orders_from_the_annexd_that_the_administrator_enabled(ordered: Ordered, cloud: Cloud) -> None:
    assert ordered.fleet_id.startswith("fleet-")
    [fleet] = [each for each in cloud.fleets() if each["state"] == "active"]
    assert fleet["id"] == ordered.fleet_id
    assert ordered.root.exists(JOURNAL)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_annexes_and_annexds_by_what_the_pool_says(ordered: Ordered, shell: str) -> None:
    [annex] = json.loads(ordered.root.succeed("condor_annex", "-status", "-json", user="alice"))
    ordered.root.type(shell, f"condor_annex -cancel {annex['AnnexID'][:8]}\t", annex["AnnexID"])
    [name] = ordered.root.annexds_seen()
    ordered.root.type(shell, "condor_annex -name anne\t", name)


def test_an_upgrade_starts_the_new_annexd_which_still_knows_the_annex(upgraded: Ordered) -> None:
    root = upgraded.root
    root.wait_for(lambda: f"annexd {NEXT_VERSION}" in root.logs(), "the new annexd to start")
    root.wait_for(
        lambda: upgraded.fleet_id in root.run("condor_annex", "-status", "-json", user="alice").stdout,
        "the annex to be shown",
    )
    [annex] = json.loads(root.succeed("condor_annex", "-status", "-json", user="alice"))
    assert annex["BulkRequestID"] == upgraded.fleet_id


def test_a_removal_stops_annexd_and_names_the_annexes_that_live(removed: Removed) -> None:
    assert "of alice@" in removed.said
    assert "may live: its lease ends at" in removed.said
    root = removed.root
    root.wait_for(lambda: not root.annexds_seen(), "both annexds to be gone from the collector")
    assert "ANNEXD" not in root.succeed("condor_config_val", "DAEMON_LIST").split()
    assert not root.exists("/etc/condor/config.d/80annexd")
    assert not root.exists("/usr/lib/annexd")
    assert not root.exists(HTCONDORS_OWN)
    assert not root.exists(HTCONDORS_PAGE)


def test_the_pool_starts_again_after_a_removal_though_another_annexd_is_still_listed(removed: Removed) -> None:
    assert "ANNEXD_EU" in removed.root.succeed("condor_config_val", "DAEMON_LIST").split()
    removed.root.stop_condor()
    removed.root.start_condor()


def test_a_purge_does_not_touch_the_journals_while_an_annex_lives(removed: Removed) -> None:
    before = removed.root.journals()
    assert {"annexd_command_state", "annexd_command_state.eu-west-1"} <= set(before)
    said = removed.root.succeed("dpkg", "--purge", "annexd")
    assert "/var/lib/annexd holds a journal of annexes that may live" in said
    assert removed.root.journals() == before


def test_a_purge_leaves_nothing_where_nothing_lives(removed: Removed, package: Path) -> None:
    root = removed.root
    root.succeed("dpkg", "--purge", "annexd")
    root.succeed("rm", "-r", "/var/lib/annexd")
    root.install(package)
    root.succeed("dpkg", "--purge", "annexd")
    assert not root.exists("/var/lib/annexd")
    assert root.run("dpkg", "--status", "annexd").returncode != 0
    assert root.succeed("dpkg-divert", "--list", "annexd") == ""


def test_beside_an_installation_by_pip_htcondors_own_tool_is_moved_aside(removed: Removed) -> None:
    has_one = removed.root.exists(HTCONDORS_OWN.removesuffix(".htcondor"))
    removed.root.paste(OPERATIONS, "dpkg-divert --local")
    assert not removed.root.exists(HTCONDORS_OWN.removesuffix(".htcondor"))
    assert removed.root.exists(HTCONDORS_OWN) is has_one
