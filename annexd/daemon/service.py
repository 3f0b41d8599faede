"""The daemon as a whole: what is started, in which order, and how it ends.

The journal is opened first: it can be open in one process only, so a second annexd ends before it touches anything
that the first one uses.  At the end the ads are withdrawn before the process goes, and whatever was not finished in
time stays in the journal for the next start.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Coroutine, Mapping
from typing import Any

import htcondor2

from annexd.annex import annex_steps
from annexd.cedar.errors import PeerError
from annexd.cedar.session import SessionCache, inherited_sessions
from annexd.daemon import address as addresses
from annexd.daemon import configuration, log
from annexd.daemon.address import Sinful
from annexd.daemon.collector import Advertiser, Identity
from annexd.daemon.configuration import Configuration
from annexd.daemon.dispatch import Actions, Dispatcher
from annexd.daemon.inheritance import Inheritance
from annexd.daemon.listen import Listener, shared_port_listener, tcp_socket
from annexd.daemon.master import Parent
from annexd.daemon.options import Options
from annexd.daemon.orders import Orders
from annexd.daemon.outbound import Outbound
from annexd.daemon.parameters import BadConfiguration
from annexd.daemon.requester import RequesterFiles
from annexd.daemon.security import read_security
from annexd.daemon.server import Server
from annexd.workflow.engine import Engine
from annexd.workflow.journal import Journal, JournalError

SHARED_PORT_POLL_S = 0.5  # condor_shared_port may be a little later than we are
SHARED_PORT_REFRESH_S = 300  # its address may change
EXPIRE_SESSIONS_S = 60
DRAIN_S = 5.0  # for the last bytes of answers that are ready
OK, FAILED = 0, 1


class Service:
    def __init__(self, options: Options, settings: Configuration, inheritance: Inheritance | None,
                 environment: Mapping[str, str]) -> None:
        self._options = options
        self._settings = settings
        self._inheritance = inheritance
        self._stopping = asyncio.Event()
        self._fast = False
        self._address: Sinful | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._outbound = Outbound(environment)
        self._sessions = SessionCache(f"{settings.machine}:{os.getpid()}:{int(time.time())}")
        for session in inherited_sessions(environment.get("CONDOR_PRIVATE_INHERIT", "")):
            self._sessions.inherit(session)

    async def run(self) -> int:
        """Serve until told to stop.  The exit status: 0 when told to, otherwise why condor_master must restart us."""
        self._catch_signals()
        _log_banner()
        try:
            journal = Journal(self._settings.journal)
        except JournalError as error:
            log.error(f"cannot start: {error}")
            return FAILED
        with contextlib.closing(journal):
            return await self._run_with(journal)

    async def _run_with(self, journal: Journal) -> int:
        engine = Engine(journal, annex_steps(RequesterFiles(self._settings.uid_domain).read))
        self._advertiser = Advertiser(self._outbound, self._settings.publication, lambda: self._orders.status())
        self._orders = Orders(engine, self._settings.annex, self._settings.limits.max_running_requests,
                              self._advertiser.update_soon)
        actions = Actions(self._orders.take, self._reconfig, self.stop_gracefully, self.stop_fast)
        self._dispatcher = Dispatcher(actions)
        try:
            self._server = Server(self._read_security(), self._settings.limits, self._dispatcher,
                                  self._shared_port_id)
            listener = self._listen()
        except (BadConfiguration, OSError) as error:
            log.error(f"cannot start: {error}")
            return FAILED
        listener.start()
        self._start_tasks(listener)
        await self._stopping.wait()
        await self._end(listener)
        return OK

    # What the outside may ask for.

    def stop_gracefully(self) -> None:
        self._stop("graceful")

    def stop_fast(self) -> None:
        self._fast = True
        self._stop("fast")

    def _stop(self, how: str) -> None:
        log.always(f"performing {how} shutdown")
        self._stopping.set()

    def _reconfig(self) -> None:
        """Take the new configuration, whole, or keep the old one."""
        configuration.load()
        try:
            settings = Configuration.read()
            security = self._read_security()
        except BadConfiguration as error:
            for fault in error.faults:
                log.error(f"reconfig refused, the old configuration stays: {fault}")
            return
        self._settings = settings
        self._server.security, self._server.limits = security, settings.limits
        self._orders.settings = settings.annex
        self._advertiser.publication, self._advertiser.reconfigured_at_s = settings.publication, int(time.time())
        if self._parent is not None:
            self._parent.times = settings.parent_times
        log.reopen(terminal=self._options.terminal)
        self._background(self._outbound.close())  # the next call starts a worker with the new configuration
        self._advertiser.update_soon()
        log.always("reconfigured")

    # Start.

    @property
    def _shared_port_id(self) -> str | None:
        shared_port = self._inheritance.shared_port if self._inheritance else None
        return shared_port.shared_port_id if shared_port else None

    def _read_security(self) -> Any:
        found, warnings = read_security(self._dispatcher.commands, self._sessions, htcondor2.version(), ())
        for warning in warnings:
            log.always(f"WARNING: {warning}")
        return found

    def _listen(self) -> Listener:
        """Raises OSError."""
        inherited = self._inheritance
        for descriptor in inherited.unused_descriptors if inherited else ():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        if inherited and inherited.shared_port:
            return shared_port_listener(inherited.shared_port, self._server.serve)
        if inherited and inherited.tcp_descriptor is not None:
            listening = socket.socket(fileno=inherited.tcp_descriptor)
        else:
            listening = tcp_socket(self._settings.host, self._options.port)
        return Listener(listening, self._server.serve)

    def _start_tasks(self, listener: Listener) -> None:
        self._parent: Parent | None = None
        if self._inheritance is not None:
            self._parent = Parent(self._outbound, self._inheritance.parent_address, self._inheritance.parent_pid,
                                  self._settings.parent_times)
            self._background(self._parent.keep_alive())
            self._background(self._parent.watch(self.stop_fast))
        self._background(self._appear(listener))
        self._background(self._expire_sessions())
        self._orders.continue_unfinished()

    async def _appear(self, listener: Listener) -> None:
        """Once our address is known: address file, ready state, collector.  And again if it changes."""
        while True:
            address = await self._find_address(listener)
            if address != self._address:
                self._show(address)
            await asyncio.sleep(SHARED_PORT_REFRESH_S)

    def _show(self, address: Sinful) -> None:
        first, self._address = self._address is None, address
        settings = self._settings
        log.always(f"our address is {address}")
        if settings.address_file is not None:
            try:
                addresses.write_address_file(settings.address_file, address, htcondor2.version(), htcondor2.platform())
            except OSError as error:
                log.error(f"cannot write ANNEXD_ADDRESS_FILE {settings.address_file}: {error}")
        self._advertiser.identity = Identity(settings.name, settings.machine, str(address), htcondor2.version(),
                                             htcondor2.platform())
        self._advertiser.update_soon()
        if first:
            self._background(self._advertiser.run())
            if self._parent is not None:
                self._background(self._parent.report_ready())

    async def _find_address(self, listener: Listener) -> Sinful:
        if self._shared_port_id is None:
            ip, port = listener.socket.getsockname()[:2]
            return Sinful.own_port(_reachable(ip), port, self._settings.machine)
        while True:
            try:
                if self._settings.shared_port_ad is None:
                    raise ValueError("SHARED_PORT_DAEMON_AD_FILE is not configured")
                found = addresses.read_shared_port_address(self._settings.shared_port_ad)
                return found.behind_shared_port(self._shared_port_id)
            except (OSError, ValueError) as error:
                log.full_debug(f"condor_shared_port's address is not known yet: {error}")
            await asyncio.sleep(SHARED_PORT_POLL_S)

    async def _expire_sessions(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_SESSIONS_S)
            self._sessions.expire(time.time())

    # End.

    async def _end(self, listener: Listener) -> None:
        listener.stop()
        await self._orders.pause(0 if self._fast else self._settings.limits.shutdown_graceful_s)
        await listener.drain(DRAIN_S)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._advertiser.withdraw()
        if self._address is not None and self._settings.address_file is not None:
            addresses.remove_address_file(self._settings.address_file, self._address)
        await self._outbound.close()
        log.always(f"**** condor_annexd (condor_ANNEXD) pid {os.getpid()} EXITING WITH STATUS {OK}")

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
        for signo, action in ((signal.SIGTERM, self.stop_gracefully), (signal.SIGINT, self.stop_gracefully),
                              (signal.SIGQUIT, self.stop_fast), (signal.SIGHUP, self._reconfig)):
            loop.add_signal_handler(signo, action)
        # condor_master starts its children with all signals blocked: SIGTERM would never arrive.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _reachable(ip: str) -> str:
    """The address to advertise for a socket that is bound to every interface."""
    if ip not in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not bound to
        return ip
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: chooses a route, and sends nothing
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def _log_banner() -> None:
    log.always("******************************************************")
    log.always("** condor_annexd (CONDOR_ANNEXD) STARTING UP")
    log.always(f"** annexd {configuration.version()}")
    log.always(f"** {htcondor2.version()}")
    log.always(f"** {htcondor2.platform()}")
    log.always(f"** PID = {os.getpid()}")
    log.always("******************************************************")
