"""An HTCondor daemon in Python: what DaemonCore does for the C++ daemons.

A daemon is a subclass of Daemon with its own commands.  It starts as condor_master's child or by hand, listens on a
port or behind condor_shared_port, authenticates and authorizes by HTCondor's configuration, answers the administrative
commands of every daemon, advertises itself to the collector, obeys condor_reconfig, condor_off and signals, and exits
when its condor_master exits.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

import htcondor2

from annexd.authorization import Peer
from annexd.cedar.commands import Command
from annexd.cedar.levels import Level
from annexd.cedar.session import SessionCache, inherited_sessions
from annexd.daemoncore import log, settings
from annexd.daemoncore.commands.administration import Administration
from annexd.daemoncore.commands.call import Call, Handler
from annexd.daemoncore.commands.dispatch import Actions, Dispatcher
from annexd.daemoncore.config import environment_knobs
from annexd.daemoncore.config.parameters import BadConfiguration, Parameters
from annexd.daemoncore.network.command_socket import CommandSocket
from annexd.daemoncore.network.server import Server
from annexd.daemoncore.pool.collector import Advertiser, DaemonIdentity
from annexd.daemoncore.pool.outbound import Outbound
from annexd.daemoncore.pool.parent import Parent
from annexd.daemoncore.pool.publisher import Publisher
from annexd.daemoncore.pool.statistics import Counters, RecentGrowth
from annexd.daemoncore.process.inheritance import Inheritance
from annexd.daemoncore.process.limits import set_limits
from annexd.daemoncore.process.options import Options
from annexd.daemoncore.program import current
from annexd.daemoncore.security.policy import read_security
from annexd.daemoncore.security.resolver import LOOKUPS
from annexd.daemoncore.security.security import Security
from annexd.daemoncore.settings import DaemonSettings
from annexd.daemoncore.sinful import Sinful

EXPIRE_SESSIONS_S = 60
DRAIN_S = 5.0  # for the last bytes of answers
EXIT_OK, EXIT_FAILED = 0, 1
EXIT_NO_RESTART = 99  # DAEMON_NO_RESTART of exit.h

SettingsT = TypeVar("SettingsT", bound=DaemonSettings)
Attributes = Mapping[str, int | bool | str]


class CannotStart(Exception):
    """The daemon cannot start or continue; the text says why."""


@dataclass(frozen=True)
class Start:
    """How this process was started."""

    options: Options
    inheritance: Inheritance | None  # from condor_master
    environment: Mapping[str, str]  # with the inherited session keys


class Daemon(Generic[SettingsT]):
    """Base class of a daemon; the methods that a subclass may override come first.

    Construction and start raise CannotStart, BadConfiguration or OSError.
    """

    settings_class: ClassVar[type[DaemonSettings]] = DaemonSettings

    def commands(self) -> Mapping[Command, Handler]:
        """Return the daemon's own commands with their handlers."""
        return {}

    def attributes(self) -> Attributes:
        """Return the daemon's own attributes of its ad."""
        return {}

    def counters(self) -> Counters:
        """Return the daemon's own counters, which the ad shows with their recent growth."""
        return {}

    async def prepare(self) -> None:
        """Prepare the daemon before the first connection is accepted."""

    def tasks(self) -> list[Coroutine[Any, Any, None]]:
        """Return background tasks that run until the daemon stops; an exception in one stops the daemon."""
        return []

    def ready(self) -> None:
        """Take note that the pool can reach the daemon and that it has reported ready to condor_master."""

    def reconfigure(self, settings: SettingsT) -> None:
        """Apply the new, valid settings."""

    async def finish(self, timeout_s: float, fast: asyncio.Event) -> None:
        """Finish the daemon's own work within this time, or at once if `fast` is set; no connection is accepted."""

    def close(self) -> None:
        """Close everything, at the very end; also called if the daemon could not start."""

    # What every daemon does.

    def __init__(self, start: Start, settings: SettingsT) -> None:
        self.settings = self._start_settings = settings
        self._options, self._inheritance = start.options, start.inheritance
        self._exit_status = EXIT_OK
        self._stopping, self._fast = asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sessions = _sessions(settings.machine, start.environment)
        self._command_socket = CommandSocket(start.options, settings, start.inheritance)
        self._outbound = Outbound(start.environment)
        self._advertiser = Advertiser(self._outbound, settings.publication, self._status)
        self._recent = RecentGrowth()
        self._publisher = Publisher(settings, self._advertiser, self._command_socket.address)
        self._parent = self._make_parent()
        self._signals: dict[int, Callable[[], None]] = {
            signal.SIGTERM: self.stop_gracefully,
            signal.SIGINT: self.stop_gracefully,
            signal.SIGQUIT: self.stop_fast,
            signal.SIGHUP: self._reconfig,
        }

    async def run(self) -> int:
        """Serve until the daemon is stopped, then clean up; return the exit status.

        The status is 0 after a requested stop; condor_master restarts the daemon after any other status but 99.
        """
        administration = Administration(self._advertiser.ads, self._signals, self._has_level)
        actions = Actions(self._reconfig, self.stop_gracefully, self.stop_fast)
        self._dispatcher = Dispatcher(actions, administration.handlers(), self.commands())
        limits, shared_port_id = self.settings.connections, self._command_socket.shared_port_id
        self._server = Server(self._read_security(), limits, self._dispatcher, shared_port_id)
        self._command_socket.open(self._server.serve)
        self._catch_signals()
        await self.prepare()
        self._command_socket.start()
        for work in [*self._own_tasks(), *self.tasks()]:
            self._background(work)
        await self._stopping.wait()
        await self._end()
        return self._exit_status

    def update_ad_soon(self) -> None:
        """Update the collector soon, after a change of `attributes`."""
        self._advertiser.update_soon()

    def identity(self) -> DaemonIdentity | None:
        """Return the daemon's name and address in its ad; None until the pool can reach it."""
        return self._advertiser.identity

    def stop_gracefully(self) -> None:
        log.always("Performing graceful shutdown")
        self._stopping.set()

    def stop_fast(self) -> None:
        log.always("Performing fast shutdown")
        self._fast.set()  # also during a graceful shutdown that takes condor_master too long
        self._stopping.set()

    def _status(self) -> Attributes:
        """Return all that changes in the daemon's ad."""
        now_s, counters = int(time.time()), {**self._server.counts.counters(), **self.counters()}
        return {
            **counters,
            **self._recent.attributes(counters),
            "StatsLifetime": max(0, now_s - self._advertiser.started_at_s),
            "StatsLastUpdateTime": now_s,
            "DCConnectionsPending": len(self._server.pending_connections),
            **self.attributes(),
        }

    def _has_level(self, call: Call, level: Level) -> bool:
        """Return whether the sender of a command also has this level; may block on the resolver."""
        identity, address = call.received.identity, Sinful.parse(call.peer)
        peer = Peer(address.host, identity.user, identity.method, identity.limits)
        command = replace(call.received.command, level=level, alternate_levels=())
        return self._server.security.authorization.authorize(command, peer, LOOKUPS).granted

    # Reconfig.

    def _reconfig(self) -> None:
        """Apply the new configuration as a whole, or keep the old one."""
        settings.load(self._options.local_name)
        try:
            new, security = read_settings(type(self)), self._read_security()
            set_limits()
        except BadConfiguration as error:
            for fault in error.faults:
                log.error(f"Reconfig failed, keeping the old configuration: {fault}")
            return
        log.open_log(terminal=self._options.terminal, suffix=self._options.log_suffix, silent=self._options.no_log)
        self._apply(new, security)
        self.reconfigure(new)
        for warning in new.fixed_since(self._start_settings):
            log.always(f"WARNING: {warning}")
        environment_knobs.warn()
        log.always("Reconfigured")

    def _apply(self, new: SettingsT, security: Security) -> None:
        is_renamed = (new.name, new.machine) != (self.settings.name, self.settings.machine)
        self.settings = new
        self._server.reconfigure(security, new.connections)
        self._command_socket.reconfigure(new)
        self._advertiser.reconfigure(new.publication)
        if self._parent is not None:
            self._parent.reconfigure(new.parent_times)
        self._background(self._publish_again(is_renamed))

    async def _publish_again(self, is_renamed: bool) -> None:
        """Publish again; the next outbound call starts a worker with the new configuration."""
        if is_renamed:
            await self._advertiser.withdraw()
        self._publisher.reconfigure(self.settings)
        await self._outbound.restart_worker()
        self._advertiser.update_soon()

    def _read_security(self) -> Security:
        found, warnings = read_security(self._dispatcher.commands, self._sessions, htcondor2.version(), ())
        for warning in warnings:
            log.always(f"WARNING: {warning}")
        return found

    # Start.

    def _make_parent(self) -> Parent | None:
        inherited, times = self._inheritance, self.settings.parent_times
        if inherited is None:
            return None
        shared_port_ad = self.settings.shared_port_ad
        return Parent(self._outbound, inherited.parent_address, inherited.parent_pid, times, shared_port_ad)

    def _own_tasks(self) -> list[Coroutine[Any, Any, None]]:
        tasks = [
            self._publisher.keep(),
            self._advertise(),
            self._expire_sessions(),
            self._command_socket.keep(),
            self._obey_stop_expressions(),
        ]
        if self._options.run_for_s is not None:
            tasks.append(self._stop_after(self._options.run_for_s))
        if self._parent is not None:
            tasks += [self._parent.keep_alive(), self._parent.watch(self.stop_fast)]
        return tasks

    async def _advertise(self) -> None:
        await self._publisher.known.wait()
        if self._parent is not None:
            await self._parent.report_ready()
        self.ready()
        await self._advertiser.run()

    async def _stop_after(self, run_for_s: float) -> None:
        """Stop gracefully after the time of -runfor, as DaemonCore's timer does."""
        log.always(f"Will shut down gracefully in {run_for_s / 60:g} minutes (-runfor)")
        await asyncio.sleep(run_for_s)
        self.stop_gracefully()

    async def _expire_sessions(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_SESSIONS_S)
            self._sessions.expire(time.time())

    async def _obey_stop_expressions(self) -> None:
        while True:
            expressions = self.settings.stop_expressions
            for expression, stop in ((expressions.fast, self.stop_fast), (expressions.graceful, self.stop_gracefully)):
                if expression is not None and self._advertiser.is_true(expression):
                    log.always(f"Shutdown expression {expression} is TRUE; condor_master will not restart this daemon")
                    self._exit_status = EXIT_NO_RESTART
                    stop()
                    return
            await asyncio.sleep(self.settings.publication.update_interval_s)

    # End.

    async def _end(self) -> None:
        self._command_socket.stop()
        await self.finish(self.settings.shutdown_graceful_s, self._fast)
        await self._server.drain(DRAIN_S)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._advertiser.withdraw()
        self._publisher.withdraw()
        self._command_socket.close()
        await self._outbound.close()

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(f"Internal error: a background task failed: {error!r}; shutting down")
            self.stop_gracefully()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for signo, action in self._signals.items():
            loop.add_signal_handler(signo, action)
        # condor_master starts its children with all signals blocked: SIGTERM would never arrive.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])


def read_settings(kind: type[Daemon[SettingsT]]) -> SettingsT:
    """Read a daemon's settings from the loaded configuration.  Raises BadConfiguration with every fault."""
    look_up = Parameters()
    found = kind.settings_class.read(look_up)
    look_up.check()
    return found  # type: ignore[return-value]  # settings_class is SettingsT's


async def serve(kind: type[Daemon[SettingsT]], start: Start, settings: SettingsT) -> int:
    """Run a daemon of this class until it is stopped; return the exit status."""
    log_banner()
    environment_knobs.warn()
    program, daemon = current(), None
    try:
        daemon = kind(start, settings)
        status = await daemon.run()
    except (CannotStart, BadConfiguration, OSError) as error:
        log.error(f"Failed to start: {error}")
        return EXIT_FAILED
    finally:
        if daemon is not None:
            daemon.close()
    log.always(f"**** {program.name} (condor_{program.subsystem}) pid {os.getpid()} EXITING WITH STATUS {status}")
    return status


def log_banner() -> None:
    program = current()
    log.always("******************************************************")
    log.always(f"** {program.name} (CONDOR_{program.subsystem}) STARTING UP")
    own = f"{program.name.removeprefix('condor_')} {program.version}"
    for line in (own, htcondor2.version(), htcondor2.platform(), f"PID = {os.getpid()}"):
        log.always(f"** {line}")
    log.always("******************************************************")


def _sessions(machine: str, environment: Mapping[str, str]) -> SessionCache:
    """Return a session cache that holds the sessions inherited from condor_master."""
    sessions = SessionCache(f"{machine}:{os.getpid()}:{int(time.time())}")
    family = Parameters().boolean("SEC_USE_FAMILY_SESSION", True)
    for session in inherited_sessions(environment.get("CONDOR_PRIVATE_INHERIT", ""), family=family):
        sessions.inherit(session)
    return sessions
