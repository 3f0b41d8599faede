"""Options of DaemonCore's dc_main (daemon_core_main.cpp of 25.14.1): each works as there, or is refused by name."""

from pathlib import Path
from typing import Any

import pytest

from annexd.daemoncore.process.options import Options, parse, usage

ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ("-a x", {"log_suffix": "x"}),
    ("-append x", {"log_suffix": "x"}),
    ("-b", {}),
    ("-background", {}),
    ("-c /etc/other", {"config_file": "/etc/other"}),
    ("-config /etc/other", {"config_file": "/etc/other"}),
    ("-d", {"dynamic_directories": True}),
    ("-dynamic", {"dynamic_directories": True}),
    ("-f", {"foreground": True}),
    ("-foreground", {"foreground": True}),
    ("-k annexd.pid", {"kill_file": Path("annexd.pid")}),
    ("-kill /run/annexd.pid", {"kill_file": Path("/run/annexd.pid")}),
    ("-l /var/log", {"log_directory": "/var/log"}),
    ("-log /var/log", {"log_directory": "/var/log"}),
    ("-local-name SECOND", {"local_name": "SECOND"}),
    ("-ld", {"no_log": True}),
    ("-p 9620", {"port": 9620}),
    ("-port 9620", {"port": 9620}),
    ("-pi annexd.pid", {"pid_file": Path("annexd.pid")}),
    ("-pidfile annexd.pid", {"pid_file": Path("annexd.pid")}),
    ("-q", {}),
    ("-quiet", {}),
    ("-r 5", {"run_for_s": 300.0}),
    ("-runfor 0.5", {"run_for_s": 30.0}),
    ("-sock annexd_1", {"shared_port_id": "annexd_1"}),
    ("-t", {"terminal": True, "foreground": True}),
    ("-termlog", {"terminal": True, "foreground": True}),
    ("-f -p 9620 -a x", {"foreground": True, "port": 9620, "log_suffix": "x"}),
]
REFUSED = [
    ("-a", "-a needs a value"),
    ("-a2 x", "this one has one"),
    ("-http 80", "-http is no longer accepted by any HTCondor daemon"),
    ("-p 0", "-p (-port) needs a TCP port from 1 to 65535 (or use -sock), not 0"),
    ("-p 99999", "-p (-port) needs a TCP port"),
    ("-r soon", "-r (-runfor) needs a number of minutes above 0, not soon"),
    ("-r 0", "needs a number of minutes above 0"),
    ("-s annexd_1", "-s is not an abbreviation of -sock"),
    ("-sock ../x", "-sock needs a name of letters"),
    ("-pidfile", "-pidfile needs a value"),
    ("-nonsense", "unknown option -nonsense"),
    ("-fooground", "unknown option -fooground"),
    ("-dyn", "unknown option -dyn"),
    ("-local X", "unknown option -local"),
    ("FILE", "unknown option FILE"),
    ("-", "unknown option -"),
]


@pytest.mark.parametrize(("line", "set_to"), ACCEPTED, ids=[line for line, _ in ACCEPTED])
def test_an_option_of_daemoncore_is_understood(line: str, set_to: dict[str, Any]) -> None:
    assert parse(line.split()) == Options(**set_to)


@pytest.mark.parametrize(("line", "expected"), REFUSED, ids=[line for line, _ in REFUSED])
def test_an_unsupported_option_is_refused_by_name(line: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(line.split())
    assert ended.value.code == 1
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("word", ["-v", "-vers", "-version", "--version"])
def test_the_version_includes_that_of_htcondor(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([word])
    output = capsys.readouterr().out
    assert ended.value.code == 0
    assert output.startswith("condor_annexd ")
    assert "$CondorVersion: " in output
    assert "$CondorPlatform: " in output


@pytest.mark.parametrize("word", ["-h", "-help", "--help"])
def test_the_help_lists_every_option(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([word])
    assert ended.value.code == 0
    assert capsys.readouterr().out == usage()
