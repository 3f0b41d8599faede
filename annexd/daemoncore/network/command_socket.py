"""The daemon's command socket: inherited, behind condor_shared_port, or on a port of its own."""

import asyncio
import contextlib
import os
import socket

from annexd.daemoncore import log
from annexd.daemoncore.network.listener import Listener, NamedSocket, Serve
from annexd.daemoncore.network.shared_port import SharedPort
from annexd.daemoncore.pool.publisher import shared_port_address
from annexd.daemoncore.process.inheritance import Inheritance
from annexd.daemoncore.process.options import Options
from annexd.daemoncore.settings import DaemonSettings
from annexd.daemoncore.sinful import Sinful

TOUCH_S = 900.0  # DaemonCore's own interval (SharedPortEndpoint)


class CommandSocket:
    """The command socket, opened once and closed at the end."""

    def __init__(self, options: Options, settings: DaemonSettings, inheritance: Inheritance | None) -> None:
        self._options, self._settings, self._inheritance = options, settings, inheritance
        self._start_interfaces = settings.interfaces
        self._named: NamedSocket | None = None
        self._listeners: list[Listener] = []

    @property
    def shared_port_id(self) -> str | None:
        """Return the daemon's name at condor_shared_port; None on a TCP port."""
        inherited = self._inheritance
        if inherited is not None and inherited.shared_port is not None:
            return inherited.shared_port.shared_port_id
        return None if inherited is not None and inherited.tcp_descriptors else self._options.shared_port_id

    def open(self, serve: Serve) -> None:
        """Open the sockets without accepting connections.  Raises OSError."""
        for descriptor in self._inheritance.unused_descriptors if self._inheritance else ():
            with contextlib.suppress(OSError):
                os.close(descriptor)

        def unpack(handover: socket.socket, _address: object) -> None:
            SharedPort(handover, serve, self._shared_port_uid).begin()

        accept = serve if self.shared_port_id is None else unpack
        self._listeners = [Listener(each, accept) for each in self._sockets()]

    def reconfigure(self, settings: DaemonSettings) -> None:
        self._settings = settings

    def start(self) -> None:
        """Start to accept connections."""
        for listener in self._listeners:
            listener.start()

    def stop(self) -> None:
        """Stop accepting connections."""
        for listener in self._listeners:
            listener.stop()

    async def address(self) -> Sinful:
        """Return the daemon's address once it is known."""
        if self.shared_port_id is not None:
            return await shared_port_address(self._settings.shared_port_ad, self.shared_port_id)
        sockets = [listener.socket for listener in self._listeners]
        return self._start_interfaces.sinful(sockets, self._settings.machine)

    async def keep(self) -> None:
        """Keep the socket file where condor_shared_port looks for it, until cancelled."""
        while self._named is not None:
            await asyncio.sleep(TOUCH_S)
            if not self._named.touch():
                log.always("The command socket in DAEMON_SOCKET_DIR was removed; creating it again")
                try:
                    self._listeners[0].replace(self._named.bind())
                except OSError as error:
                    log.error(f"Failed to create the command socket: {error}; will retry in {TOUCH_S:.0f} s")

    def close(self) -> None:
        if self._named is not None:
            self._named.remove()

    def _shared_port_uid(self) -> int | None:
        """Return the owner of condor_shared_port's ad file, which is the user that runs condor_shared_port."""
        try:
            return self._settings.shared_port_ad.stat().st_uid if self._settings.shared_port_ad else None
        except OSError:
            return None

    def _sockets(self) -> list[socket.socket]:
        inherited = self._inheritance
        if inherited and inherited.shared_port:
            return [socket.socket(fileno=inherited.shared_port.descriptor)]
        if inherited and inherited.tcp_descriptors:
            return [socket.socket(fileno=descriptor) for descriptor in inherited.tcp_descriptors]
        if self.shared_port_id is not None:
            self._named = NamedSocket(self._settings.socket_directory, self.shared_port_id)
            return [self._named.bind()]
        return self._settings.interfaces.open_port(self._options.port)
