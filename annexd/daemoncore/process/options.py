"""The command line of a daemon, with DaemonCore's options.

Names and abbreviations are those of dc_main (daemon_core_main.cpp): -t is -termlog, -pi is -pidfile.  An option that
makes no sense here is refused with the reason; none is silently ignored.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from annexd.daemoncore.program import current

USAGE = """\
Usage: {name} [options]

    {description}

    -f[oreground]          Stay in the foreground
    -b[ackground]          Run in the background (default unless started by condor_master)
    -t[ermlog]             Log to the terminal instead of {subsystem}_LOG; implies -f
    -c[onfig] FILE         Use this configuration file
    -l[og] DIRECTORY       Use this directory as LOG, and create it if needed
    -ld                    Write no log
    -d[ynamic]             Use private LOG, SPOOL and EXECUTE directories, with names that end in .IP-PID
    -local-name NAME       Look up NAME.KNOB before KNOB
    -p[ort] PORT           Listen on this TCP port
    -sock NAME             Use this name behind condor_shared_port
    -pi[dfile] FILE        Write the process ID to this file, relative to LOG (default with -b: {lower}.pid)
    -k[ill] FILE           Stop the {name} whose process ID is in this file, and exit
    -a[ppend] SUFFIX       Append .SUFFIX to the name of the log
    -r[unfor] MINUTES      Shut down gracefully after this time
    -q[uiet]               Accepted for compatibility with DaemonCore; only errors are ever printed
    -v[ersion]             Print the version and exit
    -h[elp]                Print this help and exit
"""


def usage() -> str:
    program = current()
    return USAGE.format(
        name=program.name,
        description=program.description,
        subsystem=program.subsystem,
        lower=program.subsystem.lower(),
    )


@dataclass(frozen=True)
class Options:
    """The parsed command line."""

    foreground: bool = False
    terminal: bool = False
    config_file: str | None = None
    log_directory: str | None = None
    no_log: bool = False
    dynamic_directories: bool = False
    local_name: str | None = None
    port: int = 0
    pid_file: Path | None = None
    shared_port_id: str | None = None
    kill_file: Path | None = None
    log_suffix: str | None = None
    run_for_s: float | None = None


class BadValue(ValueError):
    """The value of an option is invalid; the text says what it must be."""


SHARED_PORT_ID = re.compile(r"[A-Za-z0-9._-]{1,60}")  # a file name, in a path of at most 108 bytes
MINUTES = re.compile(r"\d{1,8}(\.\d{1,6})?")


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise BadValue("a TCP port from 1 to 65535 (or use -sock)")
    return int(text)


def _shared_port_id(text: str) -> str:
    if not SHARED_PORT_ID.fullmatch(text):
        raise BadValue("a name of letters, digits, dots, underscores and hyphens")
    return text


def _minutes(text: str) -> float:
    if not MINUTES.fullmatch(text) or float(text) == 0:
        raise BadValue("a number of minutes above 0")
    return 60 * float(text)


class Flag(NamedTuple):
    """`shortest` is the shortest abbreviation; `value` converts the word that follows, None if no word follows."""

    shortest: str
    sets: Mapping[str, Any]
    value: Callable[[str], Any] | None = None


FLAGS: Mapping[str, Flag] = {
    "append": Flag("a", {"log_suffix": None}, str),
    "background": Flag("b", {}),
    "config": Flag("c", {"config_file": None}, str),
    "dynamic": Flag("dynamic", {"dynamic_directories": True}),
    "d": Flag("d", {"dynamic_directories": True}),
    "foreground": Flag("f", {"foreground": True}),
    "kill": Flag("k", {"kill_file": None}, Path),
    "ld": Flag("ld", {"no_log": True}),
    "local-name": Flag("local-name", {"local_name": None}, str),
    "log": Flag("l", {"log_directory": None}, str),
    "pidfile": Flag("pi", {"pid_file": None}, Path),
    "port": Flag("p", {"port": None}, _port),
    "quiet": Flag("q", {}),
    "runfor": Flag("r", {"run_for_s": None}, _minutes),
    "sock": Flag("sock", {"shared_port_id": None}, _shared_port_id),
    "termlog": Flag("t", {"terminal": True, "foreground": True}),
}
REFUSED = {
    "-a2": "-a2 is for daemons with two logs; this one has one",
    "-http": "-http is no longer accepted by any HTCondor daemon",
    "-s": "-s is not an abbreviation of -sock: write -sock",
}


def parse(arguments: Sequence[str]) -> Options:
    """Parse the command line.  Exits with usage and status 1 on a fault; prints and exits for -help and -v."""
    options, words = Options(), iter(arguments)
    for word in words:
        if word in ("-h", "-help", "--help"):
            sys.stdout.write(usage())
            sys.exit(0)
        if is_short_for(word, "version", "v") or word == "--version":
            _print_version()
        name = _name(word)
        flag = FLAGS[name]
        if flag.value is None:
            options = replace(options, **flag.sets)
        else:
            [field] = flag.sets
            options = replace(options, **{field: _value(word, name, flag.value, next(words, None))})
    return options


def is_short_for(word: str, name: str, shortest: str) -> bool:
    """Return whether the word is -NAME or an abbreviation of it no shorter than `shortest`."""
    return f"-{name}".startswith(word) and word.startswith(f"-{shortest}")


def _name(word: str) -> str:
    """Return the name of the option that a word of the command line means."""
    if word in REFUSED:
        _refuse(REFUSED[word])
    name = next((name for name, flag in FLAGS.items() if is_short_for(word, name, flag.shortest)), None)
    if name is None:
        _refuse(f"unknown option {word}")
    return name


def _value(word: str, name: str, convert: Callable[[str], Any], text: str | None) -> Any:
    if text is None:
        _refuse(f"{word} needs a value")
    try:
        return convert(text)
    except BadValue as error:
        _refuse(f"{word if word == f'-{name}' else f'{word} (-{name})'} needs {error}, not {text}")


def _refuse(fault: str) -> NoReturn:
    sys.stderr.write(f"{current().name}: {fault}\n\n{usage()}")
    sys.exit(1)


def _print_version() -> NoReturn:
    import htcondor2  # costs 60 ms, which -help need not pay

    program = current()

    sys.stdout.write(f"{program.name} {program.version}\n{htcondor2.version()}\n{htcondor2.platform()}\n")
    sys.exit(0)
