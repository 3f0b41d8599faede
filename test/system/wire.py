"""A relay between a client and a daemon that records all traffic, as a network observer would."""

import re
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from annexd.daemoncore.sinful import Sinful

SESSION_ID = re.compile(rb'Sid = "([^"]+)"')


class Wire:
    """`with Wire(address) as wire:` clients that use wire.address reach the daemon; wire.heard is their traffic."""

    def __init__(self, address: str) -> None:
        self._daemon = Sinful.parse(address)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.heard = b""

    @property
    def address(self) -> str:
        kept = tuple(each for each in self._daemon.parameters if not each.startswith("addrs="))
        return str(Sinful("127.0.0.1", self._listening.getsockname()[1], kept))

    def session_ids(self) -> set[str]:
        """Return the session IDs that were sent in clear."""
        return {each.decode() for each in SESSION_ID.findall(self.heard)}

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                daemon = socket.create_connection((self._daemon.host, self._daemon.port))
                for source, target in ((client, daemon), (daemon, client)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                self.heard += part
                target.sendall(part)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
