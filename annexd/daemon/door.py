"""Which of annexd's ways in is open: what was inherited, a name at condor_shared_port, or a port of its own."""

import asyncio
import contextlib
import os
import socket

from annexd.daemon import log
from annexd.daemon.address import Sinful
from annexd.daemon.appearance import own_address, shared_port_address
from annexd.daemon.configuration import Configuration
from annexd.daemon.handover import Handover
from annexd.daemon.inheritance import Inheritance
from annexd.daemon.listen import Listener, NamedSocket, Serve, tcp_socket
from annexd.daemon.options import Options

TOUCH_S = 900.0  # DaemonCore's own interval (SharedPortEndpoint)


class Door:
    """Opened once, with the Server that receives; closed at the end.  settings: the newest configuration."""

    def __init__(self, options: Options, settings: Configuration, inheritance: Inheritance | None) -> None:
        self._options, self.settings, self._inheritance = options, settings, inheritance
        self._named: NamedSocket | None = None
        self._listener: Listener | None = None

    @property
    def shared_port_id(self) -> str | None:
        """Our name at condor_shared_port; None on a TCP port."""
        if self._inheritance is not None:
            return self._inheritance.shared_port.shared_port_id if self._inheritance.shared_port else None
        return self._options.shared_port_id

    def open(self, serve: Serve) -> Listener:
        """Raises OSError."""
        for descriptor in self._inheritance.unused_descriptors if self._inheritance else ():
            with contextlib.suppress(OSError):
                os.close(descriptor)

        def unpack(handover: socket.socket, _address: object) -> None:
            Handover(handover, serve, self._shared_port_uid).begin()

        self._listener = Listener(self._socket(), serve if self.shared_port_id is None else unpack)
        return self._listener

    async def address(self) -> Sinful:
        """Where the pool reaches us, as soon as it is known."""
        if self.shared_port_id is not None:
            return await shared_port_address(self.settings.shared_port_ad, self.shared_port_id)
        if self._listener is None:
            raise ValueError("the address of a door that is not open")
        return own_address(self._listener.socket, self.settings.machine)

    async def keep(self) -> None:
        """Keep our socket file where condor_shared_port looks for it, until cancelled."""
        while self._named is not None and self._listener is not None:
            await asyncio.sleep(TOUCH_S)
            if not self._named.touch():
                log.always("our socket in DAEMON_SOCKET_DIR has vanished; making it again")
                self._listener.replace(self._named.bind())

    def close(self) -> None:
        if self._named is not None:
            self._named.remove()

    def _shared_port_uid(self) -> int | None:
        """Of who runs condor_shared_port, which writes its ad itself: HTCondor's user, even where we are root."""
        try:
            return self.settings.shared_port_ad.stat().st_uid if self.settings.shared_port_ad else None
        except OSError:
            return None

    def _socket(self) -> socket.socket:
        inherited = self._inheritance
        if inherited and inherited.shared_port:
            return socket.socket(fileno=inherited.shared_port.descriptor)
        if inherited and inherited.tcp_descriptor is not None:
            return socket.socket(fileno=inherited.tcp_descriptor)
        if self.shared_port_id is not None:
            self._named = NamedSocket(self.settings.socket_directory, self.shared_port_id)
            return self._named.bind()
        return tcp_socket(self.settings.host, self._options.port)
