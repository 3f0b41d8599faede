"""condor_annexd: from a command line and condor_master's environment to a running daemon.

Under condor_master the process that was started is the daemon: it never forks.  By hand it goes into the background
through `daemonize`, like every HTCondor daemon, unless -f or -t says otherwise.
"""

import asyncio
import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path

from annexd.daemon.inheritance import Inheritance, MalformedInheritance
from annexd.daemon.options import Options, parse

FAILED = 1  # condor_master restarts us, after a back-off
PRIVATE_VARIABLES = ("CONDOR_INHERIT", "CONDOR_PRIVATE_INHERIT", "CONDOR_PRIVATE_SHARED_PORT_COOKIE")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        inheritance = Inheritance.from_environment(os.environ)
    except MalformedInheritance as error:
        return _complain(str(error))
    if options.kill_file is not None:
        return end_other(options.kill_file)
    _apply_environment(options, os.environ)
    if inheritance is not None or options.foreground:
        with pid_file(options.pid_file):
            return run(options, inheritance)
    return _go_into_background(options)


def run(options: Options, inheritance: Inheritance | None) -> int:
    """Serve until told to stop; the process's exit status."""
    # The bindings read the configuration, and the inherited session keys, when they are imported.
    from annexd.daemon import configuration, log
    from annexd.daemon.parameters import BadConfiguration
    from annexd.daemon.privileges import become_condor
    from annexd.daemon.process import raise_limits, set_limits

    environment = dict(os.environ)  # for the one child that speaks to condor_master with those keys
    configuration.load(options.local_name)
    for name in PRIVATE_VARIABLES:
        os.environ.pop(name, None)
    try:
        raise_limits()
        become_condor()  # before there is a log, which must not be root's
    except BadConfiguration as error:
        return _complain(str(error))
    log.open_log(terminal=options.terminal, suffix=options.log_suffix)
    try:
        settings = configuration.Configuration.read()
        set_limits()
    except BadConfiguration as error:
        for fault in error.faults:
            log.error(f"configuration: {fault}")
        return _complain(str(error))

    from annexd.daemon.service import serve

    return asyncio.run(serve(options, settings, inheritance, environment))


def _apply_environment(options: Options, environment: MutableMapping[str, str]) -> None:
    """Flags that stand for configuration become configuration, before the bindings read it."""
    if options.config_file is not None:
        environment["CONDOR_CONFIG"] = os.path.abspath(options.config_file)
    if options.log_directory is not None:
        environment["_CONDOR_LOG"] = os.path.abspath(options.log_directory)


def _go_into_background(options: Options) -> int:
    from daemonize import Daemonize

    from annexd.daemon import configuration
    from annexd.daemon.parameters import BadConfiguration, param

    configuration.load(options.local_name)
    try:
        configuration.Configuration.read()  # here somebody still reads what is wrong
    except BadConfiguration as error:
        return _complain(str(error))
    pid_file = options.pid_file or Path(param("LOG") or ".", "annexd.pid").absolute()
    status = FAILED

    def serve() -> None:
        nonlocal status
        status = run(options, None)

    Daemonize(app="condor_annexd", pid=str(pid_file), action=serve, chdir=os.getcwd()).start()
    return status


@contextlib.contextmanager
def pid_file(path: Path | None) -> Iterator[None]:
    """-pidfile, for as long as this process serves; daemonize keeps its own."""
    if path is None:
        yield
        return
    path.write_text(f"{os.getpid()}\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def end_other(path: Path) -> int:
    """-k: SIGTERM to the process whose ID the file holds, and wait until it has gone."""
    try:
        pid = int(path.read_text())
        process = os.pidfd_open(pid)
    except (OSError, ValueError) as error:
        return _complain(f"cannot end the process of {path}: {error}")
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        select.select([process], [], [])
    except OSError as error:
        return _complain(f"cannot end process {pid}: {error}")
    finally:
        os.close(process)
    return 0


def _complain(message: str) -> int:
    sys.stderr.write(f"condor_annexd: {message}\n")
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
