"""Where connections come from: a TCP port of our own, an inherited one, or condor_shared_port.

Each listener calls `serve(socket)` for every connection, with a connected, non-blocking TCP socket, and says under
which address the world reaches it.
"""

import array
import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from annexd.daemon import log

Serve = Callable[[socket.socket], Awaitable[None]]

SHARED_PORT_PASS_SOCK = 76  # condor_commands.h
# One frame holding the command; the descriptor rides on the single byte that follows it.
PASS_SOCK_MESSAGE = struct.pack(">BIq", 1, 8, SHARED_PORT_PASS_SOCK)
HANDOVER_TIMEOUT_S = 5.0  # condor_shared_port is local and sends both parts at once
BACKLOG = 500  # SOCKET_LISTEN_BACKLOG's default
ROOT = 0
ACCEPT_PAUSE_S = 0.1  # after running out of descriptors: as long as it takes some connection to end


class Listener:
    """Accepts on one listening socket until closed.

    `receive` turns an accepted socket into the client's: itself for TCP, what it carries for shared port.
    """

    def __init__(self, listening: socket.socket, serve: Serve,
                 receive: Callable[[socket.socket], Awaitable[socket.socket]] | None = None) -> None:
        listening.setblocking(False)
        self.socket = listening
        self._serve = serve
        self._receive = receive
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._accepting = asyncio.create_task(self._accept_forever())

    def replace(self, listening: socket.socket) -> None:
        """Go on with another socket."""
        self.stop()
        listening.setblocking(False)
        self.socket = listening
        self.start()

    def stop(self) -> None:
        """Accept no more; connections under way go on."""
        if self._accepting is not None:
            self._accepting.cancel()
        self.socket.close()

    async def drain(self, timeout_s: float) -> None:
        """Wait for the connections under way, then end what is left of them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    async def _accept_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _address = await loop.sock_accept(self.socket)
            except OSError as error:
                log.error(f"cannot accept a connection: {error}; trying again")
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            accepted.setblocking(False)
            task = asyncio.create_task(self._handle(accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _handle(self, accepted: socket.socket) -> None:
        try:
            client = accepted if self._receive is None else await self._receive(accepted)
        except (OSError, TimeoutError, ValueError) as error:
            log.always(f"connection handed over by condor_shared_port was not received: {error}")
            return
        with client:
            await self._serve(client)


def tcp_socket(host: str, port: int) -> socket.socket:
    """A bound and listening TCP socket.  Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listening.setblocking(False)
    return listening


class NamedSocket:
    """A Unix socket in DAEMON_SOCKET_DIR, through which condor_shared_port reaches a daemon that nobody started.

    It is touched, so that no clean-up of old files takes it, and made again should it have vanished all the same.
    """

    def __init__(self, directory: Path, shared_port_id: str) -> None:
        self._path = directory / shared_port_id

    def bind(self) -> socket.socket:
        """In place of one that a dead daemon has left.  Raises OSError."""
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
        """False when it is no longer there."""
        try:
            os.utime(self._path)
        except FileNotFoundError:
            return False
        return True

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()


async def receive_descriptor(handover: socket.socket, shared_port_uid: int | None = None) -> socket.socket:
    """The client's connection that condor_shared_port passes us: protocol as in shared_port_client.cpp.

    The message is read with its exact length: reading further with recv() would discard the descriptor.
    Raises OSError, ValueError, TimeoutError.
    """
    with handover:
        _check_sender(handover, shared_port_uid)
        async with asyncio.timeout(HANDOVER_TIMEOUT_S):
            message = await _read_exactly(handover, len(PASS_SOCK_MESSAGE))
            if message != PASS_SOCK_MESSAGE:
                raise ValueError(f"expected SHARED_PORT_PASS_SOCK, got {message.hex()}")
            return await _read_descriptor(handover)


def _check_sender(handover: socket.socket, shared_port_uid: int | None) -> None:
    """Anybody on this host can reach an abstract socket, and could pass us a connection of a network namespace of his
    own, in which every address is his: so only condor_shared_port's own user is believed, and root, and we ourselves.
    """
    _pid, uid, _gid = struct.unpack("3i", handover.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid not in (ROOT, os.geteuid(), shared_port_uid):
        raise ValueError(f"it came from user {uid}, who is not condor_shared_port's")


async def _read_exactly(sock: socket.socket, length: int) -> bytes:
    loop = asyncio.get_running_loop()
    received = b""
    while len(received) < length:
        part = await loop.sock_recv(sock, length - len(received))
        if not part:
            raise ValueError(f"closed after {len(received)} bytes")
        received += part
    return received


async def _read_descriptor(sock: socket.socket) -> socket.socket:
    descriptors = array.array("i")
    while True:
        with contextlib.suppress(BlockingIOError):
            _byte, ancillary, _flags, _address = sock.recvmsg(1, socket.CMSG_SPACE(descriptors.itemsize))
            break
        await _readable(sock)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    try:
        return _client(descriptors)
    except (OSError, ValueError):
        for descriptor in descriptors:  # they are ours now, whatever they are
            with contextlib.suppress(OSError):
                os.close(descriptor)
        raise


def _client(descriptors: Sequence[int]) -> socket.socket:
    """The one connected TCP socket.  Raises OSError or ValueError, and then has closed nothing."""
    if len(descriptors) != 1:
        raise ValueError(f"expected one descriptor, got {len(descriptors)}")
    client = socket.socket(fileno=descriptors[0])
    try:
        _check_client(client)
    except (OSError, ValueError):
        client.detach()
        raise
    client.setblocking(False)
    return client


def _check_client(client: socket.socket) -> None:
    if client.family not in (socket.AF_INET, socket.AF_INET6) or client.type != socket.SOCK_STREAM:
        raise ValueError("what was handed over is no TCP connection")
    client.getpeername()  # raises OSError unless it is connected


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(sock, ready.set_result, None)
    try:
        await ready
    finally:
        loop.remove_reader(sock)
