"""The command line of condor_annexd: DaemonCore's flags, as an administrator knows them from every other daemon."""

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
    -pidfile FILE     Write our process ID there; needed for the background (default: $(LOG)/annexd.pid)
    -v                Print the version
    -help             Print this
"""


@dataclass(frozen=True)
class Options:
    foreground: bool = False
    background: bool = False
    terminal: bool = False
    config_file: str | None = None
    log_directory: str | None = None
    local_name: str | None = None
    port: int = 0
    pid_file: Path | None = None
    shared_port_id: str | None = None


WITH_VALUE: dict[str, str] = {"-c": "config_file", "-l": "log_directory", "-local-name": "local_name", "-p": "port",
              "-pidfile": "pid_file", "-sock": "shared_port_id"}
ALONE: dict[str, dict[str, Any]] = {
    "-f": {"foreground": True},
    "-b": {"background": True},
    "-t": {"terminal": True, "foreground": True},
}


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
    field = WITH_VALUE[word]
    if field == "port":
        if not value.isdigit() or not 0 < int(value) < 65536:
            _refuse(f"-p needs a TCP port, not {value}")
        return replace(options, port=int(value))
    if field == "pid_file":
        return replace(options, pid_file=Path(value).absolute())
    given: dict[str, Any] = {field: value}
    return replace(options, **given)


def _refuse(fault: str) -> NoReturn:
    sys.stderr.write(f"condor_annexd: {fault}\n\n{USAGE}")
    sys.exit(1)


def _print_version() -> NoReturn:
    import htcondor2  # costs 60 ms, which -help need not pay

    from annexd import __version__

    sys.stdout.write(f"condor_annexd {__version__}\n{htcondor2.version()}\n{htcondor2.platform()}\n")
    sys.exit(0)
