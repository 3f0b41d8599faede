"""The daemon as a whole: what is started, in which order, and how it ends.

The journal is opened first: it can be open in one process only, so a second annexd ends before it touches anything
that the first one uses.  At the end the ads are withdrawn before the process goes, and whatever was not finished in
time stays in the journal for the next start.
"""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import htcondor2

from annexd import __version__
from annexd.annex.cancel import add_cancelling
from annexd.annex.change import add_changing
from annexd.annex.commands import CommandContext
from annexd.annex.fleet.access import KeyFiles
from annexd.annex.index import AnnexIndex
from annexd.annex.preload import preload
from annexd.annex.steps import StepContext, annex_steps
from annexd.authorization import Peer
from annexd.cedar.levels import Level
from annexd.cedar.session import SessionCache, inherited_sessions
from annexd.daemoncore import log
from annexd.daemoncore.commands.administration import Administration
from annexd.daemoncore.commands.call import Call
from annexd.daemoncore.commands.dispatch import Actions, Dispatcher
from annexd.daemoncore.config import environment_knobs
from annexd.daemoncore.config.parameters import BadConfiguration, Parameters
from annexd.daemoncore.network.command_socket import CommandSocket
from annexd.daemoncore.network.server import Security, Server
from annexd.daemoncore.pool.collector import Advertiser
from annexd.daemoncore.pool.outbound import Outbound
from annexd.daemoncore.pool.parent import Parent
from annexd.daemoncore.pool.publisher import Publisher
from annexd.daemoncore.process.inheritance import Inheritance
from annexd.daemoncore.process.limits import set_limits
from annexd.daemoncore.process.options import Options
from annexd.daemoncore.security.credentials import SigningKeys
from annexd.daemoncore.security.policy import read_security
from annexd.daemoncore.security.resolver import LOOKUPS
from annexd.daemoncore.sinful import Sinful
from annexd.service import configuration, runtime_watch
from annexd.service.archiver import Archiver
from annexd.service.bundle_sources import BundleSources
from annexd.service.configuration import Configuration
from annexd.service.journal_monitor import JournalMonitor
from annexd.service.orders import Orders
from annexd.service.reconciler import Reconciler
from annexd.service.requester_files import RequesterFiles
from annexd.service.requester_profiles import RequesterProfiles
from annexd.workflow import Engine, Journal, JournalError

EXPIRE_SESSIONS_S = 60
DRAIN_S = 5.0  # for the last bytes of answers that are ready
EXIT_OK, EXIT_FAILED = 0, 1
EXIT_NO_RESTART = 99  # DAEMON_NO_RESTART of exit.h


async def serve(
    options: Options, settings: Configuration, inheritance: Inheritance | None, environment: Mapping[str, str]
) -> int:
    """Serve until told to stop.  The exit status: 0 when told to; else condor_master restarts us."""
    _log_banner()
    environment_knobs.warn()
    try:
        with contextlib.closing(Journal(settings.journal)) as journal:
            service = Service(options, settings, inheritance, environment, journal)
            await service.run()
    except (JournalError, BadConfiguration, OSError) as error:
        log.error(f"cannot start: {error}")
        return EXIT_FAILED
    log.always(f"**** condor_annexd (condor_ANNEXD) pid {os.getpid()} EXITING WITH STATUS {service.exit_status}")
    return service.exit_status


class Service:
    """Raises BadConfiguration, JournalError or OSError while it is made and started; later it goes on or stops."""

    def __init__(
        self,
        options: Options,
        settings: Configuration,
        inheritance: Inheritance | None,
        environment: Mapping[str, str],
        journal: Journal,
    ) -> None:
        self._options, self._settings, self._inheritance = options, settings, inheritance
        self._start_settings = settings
        self._stopping, self._fast = asyncio.Event(), asyncio.Event()
        self.exit_status = EXIT_OK
        self._tasks: set[asyncio.Task[None]] = set()
        self._sessions = SessionCache(f"{settings.machine}:{os.getpid()}:{int(time.time())}")
        family = Parameters().boolean("SEC_USE_FAMILY_SESSION", True)
        for session in inherited_sessions(environment.get("CONDOR_PRIVATE_INHERIT", ""), family=family):
            self._sessions.inherit(session)
        self._command_socket = CommandSocket(options, settings, inheritance)
        self._outbound = Outbound(environment)
        self._files = files = RequesterFiles(settings.uid_domain)
        self._profiles = RequesterProfiles(files, may_run=settings.annex.allow_credential_process)
        self._access = access = KeyFiles(files.read, defaults=settings.annex, profiles=self._profiles)
        self._bundle_sources = BundleSources(SigningKeys.read(Parameters()), files.read_folder)
        world = StepContext(access, bundle_sources=self._bundle_sources)
        engine = Engine(journal, annex_steps(world), steady_s=time.monotonic, tell=log.always)
        index = AnnexIndex(engine)
        add_cancelling(engine, world)
        add_changing(engine, world, index)
        self._journal_monitor = JournalMonitor(journal, engine, self._status_changed)
        self._archiver = Archiver(journal, index)
        self._reconciler = Reconciler(
            world, access, index, settings.annex, settings.reconcile_interval_s, self._status_changed
        )
        context = CommandContext(index, world, self._bundle_sources, self._reconciler.looks)
        self._orders = Orders(context, settings.annex, settings.limits, self._journal_monitor.recount)
        self._advertiser = Advertiser(self._outbound, settings.publication, self._status)
        self._publisher = Publisher(settings, self._advertiser, self._command_socket.address)
        self._parent = self._make_parent()
        actions = Actions(self._orders.take, self._reconfig, self.stop_gracefully, self.stop_fast)
        self._signals: dict[int, Callable[[], None]] = {
            signal.SIGTERM: self.stop_gracefully,
            signal.SIGINT: self.stop_gracefully,
            signal.SIGQUIT: self.stop_fast,
            signal.SIGHUP: self._reconfig,
        }
        administration = Administration(self._advertiser.ads, self._signals, self._may)
        self._dispatcher = Dispatcher(actions, administration.handlers())
        self._server = Server(
            self._read_security(), settings.limits, self._dispatcher, self._command_socket.shared_port_id
        )

    async def run(self) -> None:
        """Until told to stop, and then until all is put away."""
        self._command_socket.open(self._server.serve)
        self._catch_signals()
        await self._journal_monitor.first_count()
        self._command_socket.start()
        for work in self._lifelong_tasks():
            self._background(work)
        await self._orders.continue_unfinished()
        await self._stopping.wait()
        await self._end()

    def _may(self, call: Call, level: Level) -> bool:
        """Whether who sent a command has this level, too.  May ask the resolver."""
        identity, address = call.received.identity, Sinful.parse(call.peer)
        peer = Peer(address.host, identity.user, identity.method, identity.limits)
        command = replace(call.received.command, level=level, alternate_levels=())
        return self._server.security.authorization.authorize(command, peer, LOOKUPS).granted

    def stop_gracefully(self) -> None:
        log.always("performing graceful shutdown")
        self._stopping.set()

    def stop_fast(self) -> None:
        log.always("performing fast shutdown")
        self._fast.set()  # also in the middle of a graceful shutdown, when condor_master loses patience
        self._stopping.set()

    def _reconfig(self) -> None:
        """Take the new configuration, whole, or keep the old one."""
        configuration.load(self._options.local_name)
        try:
            settings, security = Configuration.read(), self._read_security()
            set_limits()
        except BadConfiguration as error:
            for fault in error.faults:
                log.error(f"reconfig refused, the old configuration stays: {fault}")
            return
        log.open_log(terminal=self._options.terminal, suffix=self._options.log_suffix, silent=self._options.no_log)
        self._take(settings, security)
        for word in settings.fixed_since(self._start_settings):
            log.always(f"WARNING: {word}")
        environment_knobs.warn()
        log.always("reconfigured")

    def _take(self, settings: Configuration, security: Security) -> None:
        is_renamed = (settings.name, settings.machine) != (self._settings.name, self._settings.machine)
        self._settings = self._command_socket.settings = settings
        self._server.security, self._server.limits = security, settings.limits
        self._orders.set_limits(settings.limits)
        self._orders.defaults = self._reconciler.defaults = settings.annex
        self._files.uid_domain, self._access.defaults = settings.uid_domain, settings.annex
        self._profiles.may_run = settings.annex.allow_credential_process
        self._bundle_sources.keys = SigningKeys.read(Parameters())
        self._reconciler.interval_s = settings.reconcile_interval_s
        self._advertiser.publication, self._advertiser.reconfigured_at_s = settings.publication, int(time.time())
        if self._parent is not None:
            self._parent.times = settings.parent_times
        self._background(self._show_anew(is_renamed))

    async def _show_anew(self, is_renamed: bool) -> None:
        """With a worker that knows the new configuration, which the next call starts."""
        if is_renamed:
            await self._advertiser.withdraw()
        self._publisher.reconfigure(self._settings)
        await self._outbound.renew()
        self._advertiser.update_soon()

    # Start.

    def _make_parent(self) -> Parent | None:
        inherited = self._inheritance
        if inherited is None:
            return None
        return Parent(
            self._outbound,
            inherited.parent_address,
            inherited.parent_pid,
            self._settings.parent_times,
            self._settings.shared_port_ad,
        )

    def _read_security(self) -> Security:
        found, warnings = read_security(self._dispatcher.commands, self._sessions, htcondor2.version(), ())
        for warning in warnings:
            log.always(f"WARNING: {warning}")
        return found

    def _lifelong_tasks(self) -> list[Coroutine[Any, Any, None]]:
        tasks = [
            self._publisher.keep(),
            self._advertise(),
            self._expire_sessions(),
            self._command_socket.keep(),
            self._obey_stop_expressions(),
            self._journal_monitor.count(),
            self._journal_monitor.watch(self._orders.journal_is_back),
            self._reconciler.run(),
            runtime_watch.watch(),
            self._archiver.run(),
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
        # Not before: on the way to being ready it would take the interpreter's time.
        threading.Thread(target=preload, args=(self._settings.annex,), daemon=True).start()
        await self._advertiser.run()

    def _status(self) -> Mapping[str, int | bool | str]:
        return {
            **self._journal_monitor.status(),
            **self._reconciler.status(),
            **runtime_watch.status(runtime_watch.today()),
        }

    def _status_changed(self) -> None:
        self._advertiser.update_soon()

    async def _stop_after(self, run_for_s: float) -> None:
        """-runfor, as DaemonCore's timer does."""
        log.always(f"graceful shutdown in {run_for_s / 60:g} minutes, by -runfor")
        await asyncio.sleep(run_for_s)
        self.stop_gracefully()

    async def _expire_sessions(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_SESSIONS_S)
            self._sessions.expire(time.time())

    async def _obey_stop_expressions(self) -> None:
        while True:
            expressions = self._settings.stop_expressions
            for expression, stop in ((expressions.fast, self.stop_fast), (expressions.graceful, self.stop_gracefully)):
                if expression is not None and self._advertiser.is_true(expression):
                    log.always(f"{expression} is true of us: we do not want to be started again")
                    self.exit_status = EXIT_NO_RESTART
                    stop()
                    return
            await asyncio.sleep(self._settings.publication.update_interval_s)

    # End.

    async def _end(self) -> None:
        self._command_socket.stop()
        await self._orders.pause(self._settings.limits.shutdown_graceful_s, self._fast)
        await self._server.drain(DRAIN_S)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._advertiser.withdraw()
        self._publisher.end()
        self._command_socket.close()
        await self._outbound.close()

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(f"a background task ended, and this is a fault of annexd: {error!r}; shutting down")
            self.stop_gracefully()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for signo, action in self._signals.items():
            loop.add_signal_handler(signo, action)
        # condor_master starts its children with all signals blocked: SIGTERM would never arrive.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _log_banner() -> None:
    log.always("******************************************************")
    log.always("** condor_annexd (CONDOR_ANNEXD) STARTING UP")
    for line in (f"annexd {__version__}", htcondor2.version(), htcondor2.platform(), f"PID = {os.getpid()}"):
        log.always(f"** {line}")
    log.always("******************************************************")
