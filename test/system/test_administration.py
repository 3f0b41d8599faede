"""Administrative commands that every daemon supports: annexd responds as the pool's schedd does."""

import re
import sys
from collections.abc import Iterator
from functools import partial
from subprocess import CompletedProcess

import pytest

from test.cloud import Cloud
from test.system.site import TOP, Site

SETTABLE = """
SETTABLE_ATTRS_ADMINISTRATOR = NEW_*
ENABLE_RUNTIME_CONFIG = True
ENABLE_PERSISTENT_CONFIG = True
PERSISTENT_CONFIG_DIR = $(LOCAL_DIR)/persistent
"""


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Iterator[Site]:
    own = "ANNEXD.ONLY_OURS = $(LOCAL_DIR)/x\nSITE_WORD = a$(LOCAL_DIR)b\nSCHEDD.OTHER = 1\n"
    site = Site(cloud, f'{own}\nANNEXD.SITE_WORD = annexd"s\\own\n{SETTABLE}')
    (site.pool.directory / "persistent").mkdir()
    with site:
        yield site


def asked(site: Site, daemon: str, tool: str, *arguments: str) -> CompletedProcess[str]:
    """Run a tool against a daemon, whose address replaces ADDRESS in the arguments."""
    address = site.pool.address(daemon)
    return site.pool.tool(tool, *(address if word == "ADDRESS" else word for word in arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ["LOCAL_DIR"],
        ["-verbose", "LOCAL_DIR"],
        ["NO_SUCH_KNOB"],
        ["-verbose", "NO_SUCH_KNOB"],
        ["COLLECTOR_HOST"],
        ["-verbose", "NOT_RESPONDING_TIMEOUT"],
        ["-raw", "SPOOL"],
    ],
)
def test_condor_config_val_gets_the_schedds_answer(site: Site, arguments: list[str]) -> None:
    annexd, schedd = (
        asked(site, daemon, "condor_config_val", "-addr", "ADDRESS", *arguments) for daemon in ("ANNEXD", "SCHEDD")
    )
    assert (annexd.returncode, comparable(site, annexd.stdout)) == (schedd.returncode, comparable(site, schedd.stdout))
    assert annexd.stdout or annexd.stderr


def comparable(site: Site, said: str) -> str:
    """Return the output; for series 23, without the default.

    annexd calls the tool of 23, which expands the default; 23's daemons do not.
    """
    return said if site.pool.htcondor.version.startswith("25.") else re.sub(r"\n # default: .*", "", said)


def test_condor_config_val_gets_annexds_own_spelling_of_a_knob(site: Site) -> None:
    assert asked(site, "ANNEXD", "condor_config_val", "-addr", "ADDRESS", "SITE_WORD").stdout == 'annexd"s\\own\n'
    only_ours = asked(site, "ANNEXD", "condor_config_val", "-addr", "ADDRESS", "ONLY_OURS")
    assert only_ours.stdout == f"{site.pool.directory}/x\n"


def test_the_bindings_remote_param_reads_values_and_names(site: Site) -> None:
    program = """
import htcondor2, classad2, sys
remote = htcondor2.RemoteParam(classad2.ClassAd({"MyAddress": sys.argv[1], "MyType": "Generic"}))
print(remote["LOCAL_DIR"], len(list(remote)) > 500, "SITE_WORD" in list(remote), remote.get("NO_SUCH_KNOB"))
"""
    said = site.pool.run(sys.executable, "-c", program, site.address)
    assert said.stdout.split() == [str(site.pool.directory), "True", "True", "None"], said.stderr


def test_nobody_sets_annexds_configuration_from_outside(site: Site) -> None:
    for option in ("-set", "-rset"):
        annexd, schedd = (
            asked(site, daemon, "condor_config_val", "-addr", "ADDRESS", option, "X = 1")
            for daemon in ("ANNEXD", "SCHEDD")
        )
        assert annexd.returncode == schedd.returncode != 0
    assert asked(site, "ANNEXD", "condor_config_val", "-addr", "ADDRESS", "X").stdout.startswith("Not defined")


def set_from_outside(site: Site, daemon: str, *arguments: str) -> int:
    return asked(site, daemon, "condor_config_val", "-addr", "ADDRESS", *arguments).returncode


def value_at(site: Site, daemon: str, name: str) -> str:
    return asked(site, daemon, "condor_config_val", "-addr", "ADDRESS", name).stdout.strip()


def is_set(site: Site, daemon: str, name: str, value: str) -> bool:
    return value_at(site, daemon, name) == value


@pytest.mark.parametrize("how", ["-rset", "-set"])
def test_settable_attrs_apply_from_the_next_reconfig_on_as_in_the_schedd(site: Site, how: str) -> None:
    name = f"NEW_{how[1:]}"
    for daemon in ("ANNEXD", "SCHEDD"):
        refused = [
            set_from_outside(site, daemon, how, line)
            for line in ("LOCAL_DIR = /x", "SETTABLE_ATTRS_ADMINISTRATOR = *", "NEW = 1", f"{daemon}.NEW_X = 1")
        ]
        assert 0 not in refused, (daemon, refused)
        assert set_from_outside(site, daemon, how, f"{name} = $(LOCAL_DIR) {daemon}") == 0
        assert value_at(site, daemon, name).startswith("Not defined")
        asked(site, daemon, "condor_reconfig", "-addr", "ADDRESS")
        site.wait(partial(is_set, site, daemon, name, f"{site.pool.directory} {daemon}"), f"{daemon} to take it")
    verbose = [
        asked(site, daemon, "condor_config_val", "-addr", "ADDRESS", "-verbose", name).stdout
        for daemon in ("ANNEXD", "SCHEDD")
    ]
    assert verbose[0].replace("ANNEXD", "SCHEDD").partition("# at")[0] == verbose[1].partition("# at")[0]


def test_a_persistent_setting_survives_kill_9_until_it_is_unset(site: Site) -> None:
    assert set_from_outside(site, "ANNEXD", "-set", "NEW_KEPT = yes") == 0
    assert set_from_outside(site, "ANNEXD", "-rset", "NEW_LOST = yes") == 0
    starts = site.starts()
    site.kill()
    site.wait_for_restart(starts)
    assert value_at(site, "ANNEXD", "NEW_KEPT") == "yes"
    assert value_at(site, "ANNEXD", "NEW_LOST").startswith("Not defined")
    assert set_from_outside(site, "ANNEXD", "-unset", "NEW_KEPT") == 0
    asked(site, "ANNEXD", "condor_reconfig", "-addr", "ADDRESS")
    site.wait(lambda: value_at(site, "ANNEXD", "NEW_KEPT").startswith("Not defined"), "it to be unset")
    assert not (site.pool.directory / "persistent" / ".config.ANNEXD.NEW_KEPT").exists()


def test_condor_config_val_summary_shows_what_each_file_sets_as_the_schedd_does(site: Site) -> None:
    assert set_from_outside(site, "ANNEXD", "-set", "NEW_SUMMARY = yes") == 0
    assert set_from_outside(site, "ANNEXD", "-rset", "NEW_RUNTIME = yes") == 0
    asked(site, "ANNEXD", "condor_reconfig", "-addr", "ADDRESS")
    site.wait(partial(is_set, site, "ANNEXD", "NEW_SUMMARY", "yes"), "annexd to take it")
    annexd, schedd = (
        names_by_file(asked(site, daemon, "condor_config_val", "-addr", "ADDRESS", "-summary").stdout)
        for daemon in ("ANNEXD", "SCHEDD")
    )
    for file in (str(site.pool.config_file), f"{TOP}/config.d/80annexd"):
        assert annexd[file] == schedd[file], file
    assert "SITE_WORD" in annexd[str(site.pool.config_file)]
    assert annexd[f"{site.pool.directory}/persistent/.config.ANNEXD.NEW_SUMMARY"] == {"NEW_SUMMARY"}
    assert "NEW_RUNTIME" in annexd["<runtime>"]


def names_by_file(summary: str) -> dict[str, set[str]]:
    parts = re.findall(r"^# from (.*)\n#\n((?:.+\n)*)", summary, re.MULTILINE)
    return {file: set(re.findall(r"^([\w.]+) @?=", lines, re.MULTILINE)) for file, lines in parts}


def test_condor_fetchlog_fetches_the_log_and_says_what_it_cannot(site: Site) -> None:
    fetched = asked(site, "ANNEXD", "condor_fetchlog", "ADDRESS", "ANNEXD")
    assert fetched.returncode == 0, fetched.stderr
    assert "STARTING UP" in fetched.stdout
    assert site.log().startswith(fetched.stdout)
    for name in ("NOSUCH", "ANNEXD.old", "ANNEXD./../../etc/passwd"):
        annexd, schedd = (asked(site, daemon, "condor_fetchlog", "ADDRESS", name) for daemon in ("ANNEXD", "SCHEDD"))
        assert 0 not in (annexd.returncode, schedd.returncode)
        assert annexd.stdout == schedd.stdout == ""


def test_condor_fetchlog_fetches_a_large_log_whole(site: Site) -> None:
    line = "11/22/26 12:00:00 a line of a large log\n"
    (site.pool.directory / "log" / "AnnexdLog.large").write_text(line * 40_000)
    assert asked(site, "ANNEXD", "condor_fetchlog", "ADDRESS", "ANNEXD.large").stdout == line * 40_000
    (site.pool.directory / "log" / "AnnexdLog.empty").touch()
    assert asked(site, "ANNEXD", "condor_fetchlog", "ADDRESS", "ANNEXD.empty").returncode == 0


def test_condor_who_lists_it(site: Site) -> None:
    said = site.pool.tool("condor_who", "-daemons")
    assert re.search(rf"^Annexd\s+yes\s+{site.pid()}\b", said.stdout, re.MULTILINE | re.IGNORECASE), said.stdout


def test_a_query_of_the_daemon_itself_gives_its_ads(site: Site) -> None:
    program = """
import htcondor2, classad2, sys
daemon = htcondor2.Collector(classad2.ClassAd({"MyAddress": sys.argv[1]}))
print(*(ad["MyType"] for ad in daemon.query(htcondor2.AdType.Any)))
print(*(ad["Name"] for ad in daemon.query(htcondor2.AdType.Generic)))
"""
    said = site.pool.run(sys.executable, "-c", program, site.address)
    types, names = said.stdout.splitlines()
    assert set(types.split()) == {"Generic", "Annexd"}, said.stderr
    assert len(set(names.split())) == 1


def test_condor_off_to_the_daemon_itself_ends_it_and_condor_master_starts_it_again(site: Site) -> None:
    starts = site.starts()
    program = """
import htcondor2, classad2, sys
htcondor2.send_command(classad2.ClassAd({"MyAddress": sys.argv[1], "MyType": "Generic"}),
                       htcondor2.DaemonCommands.OffGraceful)
"""
    said = site.pool.run(sys.executable, "-c", program, site.address)
    assert said.returncode == 0, said.stderr
    site.wait_for_restart(starts)


@pytest.mark.parametrize("how", ["graceful", "fast"])
def test_condor_off_with_its_address_ends_it_in_the_way_that_is_said_last(site: Site, how: str) -> None:
    """With an address, condor_off -peaceful only sets how the daemon ends when it is next asked to end."""
    pid, starts = site.pid(), site.starts()
    for flags in (["-peaceful"], ["-force-graceful"], [f"-{how}"]):
        assert asked(site, "ANNEXD", "condor_off", *flags, "-addr", "ADDRESS").returncode == 0
    site.wait_for_restart(starts)
    assert f"The ANNEXD (pid {pid}) exited with status 0" in site.pool.log("MASTER")
    assert f"Performing {how} shutdown" in site.log().rpartition(f"PID = {pid}")[2]


def test_valid_commands_are_those_that_show_the_sessions_key_or_do_nothing(site: Site) -> None:
    program = "import htcondor2, sys; print(htcondor2.ping(sys.argv[1], 'ADMINISTRATOR')['ValidCommands'])"
    said = site.pool.run(sys.executable, "-c", program, site.address)
    valid = {int(number) for number in said.stdout.split(",")}
    assert {1000, 1200, 457, 60007, 60013, 48, 74, 60020, 60021, 60023} <= valid
    assert not {60004, 60012, 60005, 60006, 60045} & valid, "HTCondor's clients authenticate again for each of these"
    assert not {60002, 60026, 60000} & valid, "ADMINISTRATOR does not imply DAEMON"


def keys_in(site: Site, daemon: str, *arguments: str) -> str:
    return asked(site, daemon, "condor_config_val", "-addr", "ADDRESS", *arguments).stdout


def warnings_of_keys(site: Site) -> int:
    return site.log().count("ERROR: MASTER_ENVIRONMENT holds AWS keys")


def is_warned_again(site: Site, before: int) -> bool:
    return warnings_of_keys(site) > before


def test_aws_keys_in_the_configuration_cause_a_warning_that_does_not_show_them(site: Site) -> None:
    """annexd warns because the schedd shows these keys."""
    site.pool.configure('MASTER_ENVIRONMENT = "AWS_ACCESS_KEY_ID=AKIAX AWS_SECRET_ACCESS_KEY=swordfish"')
    site.wait(lambda: "swordfish" in keys_in(site, "SCHEDD", "MASTER_ENVIRONMENT"), "the schedd to know it")
    site.wait(partial(is_warned_again, site, 0), "a warning")
    before = warnings_of_keys(site)
    asked(site, "ANNEXD", "condor_reconfig", "-addr", "ADDRESS")
    site.wait(partial(is_warned_again, site, before), "a warning at the next reconfig")
    for arguments in (
        ["MASTER_ENVIRONMENT"],
        ["-verbose", "MASTER_ENVIRONMENT"],
        ["-raw", "MASTER_ENVIRONMENT"],
        ["master_environment"],
        ["-dump", "MASTER_ENV"],
    ):
        said = keys_in(site, "ANNEXD", *arguments)
        assert "<redacted: it holds AWS keys>" in said, arguments
        assert "swordfish" not in said, arguments
    starts, before = site.starts(), warnings_of_keys(site)
    site.kill()
    site.wait_for_restart(starts)
    site.wait(partial(is_warned_again, site, before), "a warning at the start")
    assert "swordfish" not in site.log()


def test_a_knob_is_not_set_to_a_value_with_endless_expansion(site: Site) -> None:
    line = "NEW_SELF = a $(NEW_SELF) $(NEW_SELF)"
    assert [set_from_outside(site, daemon, "-rset", line) == 0 for daemon in ("ANNEXD", "SCHEDD")] == [False, True]
    asked(site, "ANNEXD", "condor_reconfig", "-addr", "ADDRESS")
    assert value_at(site, "ANNEXD", "NEW_SELF").startswith("Not defined")
