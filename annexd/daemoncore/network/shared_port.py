"""Receive clients' connections from condor_shared_port over a Unix socket (shared_port_client.cpp).

One frame announces the descriptor, which comes with the single byte after it.  Reading with recv() instead of recvmsg()
would discard the descriptor.
"""

import array
import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Sequence

from annexd.daemoncore import log
from annexd.daemoncore.network.listener import Serve

SHARED_PORT_PASS_SOCK = 76  # condor_commands.h
PASS_SOCK_MESSAGE = struct.pack(">BIq", 1, 8, SHARED_PORT_PASS_SOCK)
WHOLE_BYTES = len(PASS_SOCK_MESSAGE) + 1
HANDOVER_TIMEOUT_S = 5.0  # condor_shared_port is local and sends both parts at once
ROOT = 0
_descriptor = array.array("i").itemsize
_CREDENTIALS = struct.Struct("3i")  # struct ucred of socket(7)
_ANCILLARY_BYTES = socket.CMSG_SPACE(_descriptor)


class SharedPort:
    """One connection from condor_shared_port; the client's connection that it carries goes to `serve`."""

    def __init__(self, handover: socket.socket, serve: Serve, shared_port_uid: Callable[[], int | None]) -> None:
        self._handover, self._serve, self._shared_port_uid = handover, serve, shared_port_uid
        self._message = b""
        self._descriptors = array.array("i")
        self._deadline: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._guarded(self._check_sender)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (OSError, ValueError) as error:
            log.always(f"Failed to receive a connection from condor_shared_port: {error}")
            for descriptor in self._descriptors:  # open in this process, of any kind
                with contextlib.suppress(OSError):
                    os.close(descriptor)
            self._close()

    def _check_sender(self) -> None:
        """Accept only condor_shared_port's user, root and the daemon's own user as sender.

        Every local user can reach an abstract socket, and could pass a connection from a network namespace in which
        they choose every address.
        """
        credentials = self._handover.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _pid, uid, _gid = _CREDENTIALS.unpack(credentials)
        if uid not in (ROOT, os.geteuid()) and uid != self._shared_port_uid():
            raise ValueError(f"the sender has uid {uid}, which is not condor_shared_port's")
        self._receive()

    def _receive(self) -> None:
        try:
            part, ancillary, _flags, _address = self._handover.recvmsg(
                WHOLE_BYTES - len(self._message), _ANCILLARY_BYTES
            )
        except BlockingIOError:
            self._wait()
            return
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._descriptors.frombytes(content[: len(content) - len(content) % _descriptor])
        self._message += part
        if not part:
            raise ValueError(f"closed after {len(self._message)} bytes")
        if not self._message.startswith(PASS_SOCK_MESSAGE[: len(self._message)]) and (
            self._message[:-1] != PASS_SOCK_MESSAGE
        ):
            raise ValueError(f"expected SHARED_PORT_PASS_SOCK, got {self._message.hex()}")
        if len(self._message) == WHOLE_BYTES:
            self._pass_on()
        else:
            self._wait()

    def _pass_on(self) -> None:
        client, address = _client(self._descriptors)
        del self._descriptors[:]
        self._serve(client, address)
        self._close()

    def _wait(self) -> None:
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._handover, self._guarded, self._receive)
            self._deadline = loop.call_later(HANDOVER_TIMEOUT_S, self._guarded, self._give_up)

    def _give_up(self) -> None:
        raise ValueError(f"incomplete after {HANDOVER_TIMEOUT_S:g} s")

    def _close(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            asyncio.get_running_loop().remove_reader(self._handover)
        self._handover.close()


def _client(descriptors: Sequence[int]) -> tuple[socket.socket, object]:
    """Return the connected TCP socket and its peer.  Raises OSError or ValueError, and then closes nothing."""
    if len(descriptors) != 1:
        raise ValueError(f"expected one descriptor, got {len(descriptors)}")
    client = socket.socket(fileno=descriptors[0])
    try:
        address = _peer_of(client)
    except (OSError, ValueError):
        client.detach()
        raise
    client.setblocking(False)
    return client, address


def _peer_of(client: socket.socket) -> object:
    if client.proto != socket.IPPROTO_TCP:
        raise ValueError("the descriptor is not a TCP connection")
    return client.getpeername()  # raises OSError unless it is connected
