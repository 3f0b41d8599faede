"""The command line of condor_annexd: DaemonCore's flags, as an administrator knows them from every other daemon."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

USAGE = """\
Usage: condor_annexd [options]

    The HTCondor annex daemon.  condor_master starts it (see config.d/80annexd); by hand it runs as well.

    -f                Stay in the foreground
    -b                Go into the background (the default, unless condor_master started us)
    -t                Log to the terminal instead of ANNEXD_LOG; implies -f
    -c FILE           Use this configuration file
    -l DIRECTORY      Use this folder as LOG
    -local-name NAME  Use this name for local configuration: NAME.KNOB before KNOB
    -p PORT           Listen on this TCP port
    -sock NAME        Be reached through condor_shared_port under this name
    -pidfile FILE     Write our process ID there (default in the background: $(LOG)/annexd.pid)
    -k FILE           End the condor_annexd whose process ID is there, and exit
    -a SUFFIX         Append .SUFFIX to the name of the log
    -q                Accepted for DaemonCore's sake
    -v                Print the version
    -help             Print this
"""


@dataclass(frozen=True)
class Options:
    foreground: bool = False
    terminal: bool = False
    config_file: str | None = None
    log_directory: str | None = None
    local_name: str | None = None
    port: int = 0
    pid_file: Path | None = None
    shared_port_id: str | None = None
    kill_file: Path | None = None
    log_suffix: str | None = None


WITH_VALUE = {
    "-c": "config_file",
    "-l": "log_directory",
    "-local-name": "local_name",
    "-p": "port",
    "-pidfile": "pid_file",
    "-sock": "shared_port_id",
    "-k": "kill_file",
    "-a": "log_suffix",
}
ALONE: dict[str, dict[str, Any]] = {
    "-f": {"foreground": True},
    "-b": {},
    "-t": {"terminal": True, "foreground": True},
    "-q": {},
}
SHARED_PORT_ID = re.compile(r"[A-Za-z0-9._-]{1,60}")  # it is a file's name, in a path of at most 108 bytes


def parse(arguments: Sequence[str]) -> Options:
    """Exits with usage and status 1 on a fault; prints and exits for -help and -v."""
    options, words = Options(), iter(arguments)
    for word in words:
        if word in ("-h", "-help", "--help"):
            sys.stdout.write(USAGE)
            sys.exit(0)
        if word in ("-v", "-version", "--version"):
            _print_version()
        if word in ALONE:
            options = replace(options, **ALONE[word])
        elif word in WITH_VALUE:
            options = _with_value(options, word, next(words, None))
        else:
            _refuse(f"unknown option {word}")
    return options


def _with_value(options: Options, word: str, value: str | None) -> Options:
    if value is None:
        _refuse(f"{word} needs a value")
    return replace(options, **{WITH_VALUE[word]: _checked(word, value)})


def _checked(word: str, value: str) -> Any:
    """The value in its field's type."""
    if word == "-p" and not (value.isdecimal() and 0 < int(value) < 65536):
        _refuse(f"-p needs a TCP port, not {value}")
    if word == "-sock" and not SHARED_PORT_ID.fullmatch(value):
        _refuse(f"-sock needs a name of letters, digits, dots, underscores and hyphens, not {value}")
    if word == "-p":
        return int(value)
    return Path(value).absolute() if word in ("-pidfile", "-k") else value


def _refuse(fault: str) -> NoReturn:
    sys.stderr.write(f"condor_annexd: {fault}\n\n{USAGE}")
    sys.exit(1)


def _print_version() -> NoReturn:
    import htcondor2  # costs 60 ms, which -help need not pay

    from annexd import __version__

    sys.stdout.write(f"condor_annexd {__version__}\n{htcondor2.version()}\n{htcondor2.platform()}\n")
    sys.exit(0)
