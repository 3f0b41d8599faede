"""Listeners: on a TCP port, on an inherited socket, or on condor_shared_port's Unix socket.

Each listener calls `serve(socket, address)` for every connection, with a connected, non-blocking socket.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from annexd.daemoncore import log
from annexd.daemoncore.listening_socket import BACKLOG

Serve = Callable[[socket.socket, Any], None]

ACCEPTED_AT_ONCE = 16  # before the event loop serves other ready events
ACCEPT_PAUSE_S = 0.1  # after running out of descriptors: time for some connection to end


class Listener:
    """Accepts connections on one listening socket until stopped.

    For condor_shared_port, `serve` unpacks the client's connection from the accepted one: shared_port.py.
    """

    def __init__(self, listening: socket.socket, serve: Serve) -> None:
        listening.setblocking(False)
        self.socket = listening
        self._serve = serve
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self.socket, self._accept)

    def replace(self, listening: socket.socket) -> None:
        """Switch to another listening socket."""
        self.stop()
        listening.setblocking(False)
        self.socket = listening
        self.start()

    def stop(self) -> None:
        """Stop accepting connections; established ones continue."""
        if self._pause is not None:
            self._pause.cancel()
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()

    def _accept(self) -> None:
        """Accept a batch; the rest waits until the event loop has served established connections."""
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, address = self.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.error(f"Failed to accept a connection: {error}; will retry")
                self._pause_accepting()
                return
            accepted.setblocking(False)
            self._serve(accepted, address)

    def _pause_accepting(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.socket)
        self._pause = loop.call_later(ACCEPT_PAUSE_S, self.start)


class NamedSocket:
    """A Unix socket in DAEMON_SOCKET_DIR, by which condor_shared_port reaches a daemon without a condor_master.

    It is touched so that no clean-up of old files removes it, and is created again if it is removed anyway.
    """

    def __init__(self, directory: Path, shared_port_id: str) -> None:
        self._path = directory / shared_port_id

    def bind(self) -> socket.socket:
        """Bind and listen, replacing a socket left by a dead daemon.  Raises OSError."""
        self._path.parent.mkdir(mode=0o755, exist_ok=True)
        self.remove()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(str(self._path))
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
        return listening

    def touch(self) -> bool:
        """Update the file's time; return False if the file is gone."""
        try:
            os.utime(self._path)
        except FileNotFoundError:
            return False
        return True

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
