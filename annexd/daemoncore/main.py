"""Start a daemon from its command line and condor_master's environment.

Under condor_master the process never forks.  By hand it goes into the background through `daemonize`, like every
HTCondor daemon, unless -f or -t is given.
"""

import asyncio
import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annexd.daemoncore.process.inheritance import Inheritance, MalformedInheritance
from annexd.daemoncore.process.options import Options, parse
from annexd.daemoncore.process.start_failure import record
from annexd.daemoncore.program import Program, current, run_as

if TYPE_CHECKING:
    from annexd.daemoncore.daemon import Daemon

FAILED = 1  # condor_master restarts the daemon after a back-off
PRIVATE_VARIABLES = ("CONDOR_INHERIT", "CONDOR_PRIVATE_INHERIT", "CONDOR_PRIVATE_SHARED_PORT_COOKIE")
FindDaemon = Callable[[], "type[Daemon[Any]]"]


def main(program: Program, find_daemon: FindDaemon, arguments: Sequence[str] | None = None) -> int:
    """Run the daemon that `find_daemon` imports when it is needed; return the exit status."""
    run_as(program)
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        inheritance = Inheritance.from_environment(os.environ)
    except MalformedInheritance as error:
        return _fail(str(error))
    _apply_environment(options, os.environ)
    try:
        if options.kill_file is not None:
            return _stop_other(options.kill_file, options)
        if not _is_background(options, inheritance):
            return _run(options, inheritance, find_daemon)
        return _go_into_background(options, find_daemon)
    except ImportError as error:
        return _fail(f"a Python package is missing, or does not fit: {error}")


def _run(options: Options, inheritance: Inheritance | None, find_daemon: FindDaemon) -> int:
    """Serve until the daemon is stopped; return the exit status."""
    # The bindings read the configuration, and the inherited session keys, when they are imported.
    from annexd.daemoncore import log
    from annexd.daemoncore.config.parameters import BadConfiguration
    from annexd.daemoncore.daemon import Start, read_settings, serve
    from annexd.daemoncore.process.limits import set_limits
    from annexd.daemoncore.process.pid_file import pid_file

    environment = dict(os.environ)  # for the child that calls condor_master with those keys
    try:
        _set_up(options)
    except (BadConfiguration, OSError) as error:
        return _fail(str(error))
    log.open_log(terminal=options.terminal, suffix=options.log_suffix, silent=options.no_log)
    if options.dynamic_directories:
        log.always(
            "WARNING: with -dynamic this process has private directories, and no later process will continue its "
            "unfinished work"
        )
    kind = find_daemon()
    try:
        settings = read_settings(kind)
        set_limits()
    except BadConfiguration as error:
        for fault in error.faults:
            log.error(f"Configuration: {fault}")
        return _fail(str(error))
    with pid_file(None if _is_background(options, inheritance) else options.pid_file):
        return asyncio.run(serve(kind, Start(options, inheritance, environment), settings))


def _set_up(options: Options) -> None:
    """Load the configuration, become HTCondor's user and make directories, before the log is opened.

    Raises BadConfiguration or OSError.
    """
    from annexd.daemoncore import settings
    from annexd.daemoncore.privileges import become_condor
    from annexd.daemoncore.process import dynamic_directories
    from annexd.daemoncore.process.limits import raise_limits

    settings.load(options.local_name)
    for name in PRIVATE_VARIABLES:
        os.environ.pop(name, None)
    raise_limits()
    become_condor()
    if options.log_directory is not None:
        Path(options.log_directory).mkdir(exist_ok=True)
    if options.dynamic_directories:
        dynamic_directories.make_dynamic(os.environ)
        settings.load(options.local_name)


def _is_background(options: Options, inheritance: Inheritance | None) -> bool:
    return inheritance is None and not options.foreground


def _apply_environment(options: Options, environment: MutableMapping[str, str]) -> None:
    """Turn -config and -log into environment variables before the bindings read the configuration."""
    if options.config_file is not None:
        environment["CONDOR_CONFIG"] = os.path.abspath(options.config_file)
    if options.log_directory is not None:
        environment["_CONDOR_LOG"] = os.path.abspath(options.log_directory)


def _go_into_background(options: Options, find_daemon: FindDaemon) -> int:
    from daemonize import Daemonize

    from annexd.daemoncore import settings
    from annexd.daemoncore.config.parameters import BadConfiguration
    from annexd.daemoncore.daemon import read_settings
    from annexd.daemoncore.privileges import become_condor
    from annexd.daemoncore.process.limits import raise_limits
    from annexd.daemoncore.process.pid_file import below_log, check

    program = current()
    settings.load(options.local_name)
    pid_file = below_log(options.pid_file or Path(f"{program.subsystem.lower()}.pid"))
    try:
        raise_limits()
        become_condor()  # before daemonize writes a file
        read_settings(find_daemon())  # faults still reach the terminal here
    except BadConfiguration as error:
        return _fail(str(error))
    try:
        check(pid_file)
    except OSError as error:
        return _fail(f"failed to write -pidfile {pid_file}: {error.strerror}")
    status = FAILED

    def serve() -> None:
        nonlocal status
        status = _run(options, None, find_daemon)

    Daemonize(app=program.name, pid=str(pid_file), action=serve, chdir=os.getcwd()).start()
    return status


def _stop_other(kill_file: Path, options: Options) -> int:
    from annexd.daemoncore import settings
    from annexd.daemoncore.process.pid_file import CannotStop, stop_other

    settings.load(options.local_name)
    try:
        stop_other(kill_file)
    except CannotStop as error:
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    """Record a failure before the log is open: nobody reads the standard error of condor_master's children."""
    record(message)
    return _complain(message)


def _complain(message: str) -> int:
    sys.stderr.write(f"{current().name}: {message}\n")
    return FAILED
