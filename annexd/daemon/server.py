"""One connection, from accept to close: the events of the protocol's core, answered; its bytes, moved.

Pre-authentication bytes are an attack until proven otherwise: each read has a deadline, the whole session has one,
and only so many connections may be without a command at a time (lobby.py).
"""

import asyncio
import os
import pwd
import socket
import stat
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from annexd.authorization import AuthorizationPolicy, Peer
from annexd.cedar.connection import Connection
from annexd.cedar.context import Endpoint, ServerContext
from annexd.cedar.errors import AuthorizationDenied, MalformedMessage, PeerError, UnknownSession
from annexd.cedar.events import (
    CommandReceived,
    ConnectionClosed,
    NeedAuthorization,
    NeedData,
    NeedFilesystemProof,
    NeedSigningKey,
)
from annexd.cedar.message import MessageReader
from annexd.cedar.secret import Secret
from annexd.daemon import log
from annexd.daemon.configuration import Limits
from annexd.daemon.lobby import Lobby, Place
from annexd.daemon.names import LOOKUPS

READ_BYTES = 256 * 1024
ReadKey = Callable[[str], Secret | None]


@dataclass(frozen=True)
class Security:
    """Everything of one configuration that decides who may do what; replaced whole at reconfig."""

    context: ServerContext
    authorization: AuthorizationPolicy
    read_signing_key: ReadKey


@dataclass(frozen=True)
class Call:
    """A command that its sender may give, and the way to answer."""

    received: CommandReceived
    connection: Connection
    peer: str  # the sender's address, for the log
    send_chunk: Callable[[bytes], Awaitable[None]]  # a part of a file, at once


Handler = Callable[[Call], Awaitable[None]]


def payload_of(call: Call) -> MessageReader:
    """The command's message.  Raises PeerError when there is none."""
    if call.received.payload is None:
        raise MalformedMessage("missing message", f"{call.received.command.name} comes with one")
    return call.received.payload


class Server:
    """Serves connections; `security` and `limits` may be replaced at any time, for those that come after."""

    def __init__(self, security: Security, limits: Limits, dispatch: Handler, shared_port_id: str | None) -> None:
        self.security = security
        self.limits = limits
        self.dispatch = dispatch
        self._shared_port_id = shared_port_id
        self.lobby = Lobby()

    async def serve(self, client: socket.socket) -> None:
        """The whole life of one accepted connection; never raises for what a peer did."""
        peer = _describe(client)
        try:
            await Session(client, peer, self).run()
        except (UnknownSession, AuthorizationDenied) as error:  # expected after a restart; logged where it was decided
            log.full_debug(f"connection from {peer} closed: {error}")
        except (PeerError, TimeoutError, OSError, EOFError) as error:
            log.always(f"connection from {peer} dropped: {error or 'the peer was silent for too long'}")
        except Exception as error:  # noqa: BLE001 - the edge of a connection: one peer must never end the daemon
            log.error(f"connection from {peer} dropped, and this is a fault of annexd: {error!r}")

    def connection(self, client: socket.socket) -> Connection:
        ip, port = client.getsockname()[:2]
        return Connection(self.security.context, Endpoint(ip, port, self._shared_port_id))


class Session:
    """Moves the bytes of one connection and answers the core's questions."""

    def __init__(self, client: socket.socket, peer: str, server: Server) -> None:
        self._client = client
        self._peer = peer
        self._server = server
        self._security = server.security  # one configuration for the whole session
        self._connection = server.connection(client)

    async def run(self) -> None:
        """Up to and including the command's handler.  Raises PeerError, TimeoutError, OSError."""
        received = await self._whole_command()
        if received is not None:
            await self._server.dispatch(Call(received, self._connection, self._peer, self._send_chunk))
            await self._flush()

    async def _whole_command(self) -> CommandReceived | None:
        limits = self._server.limits
        place = Place(self._client.getpeername()[0], asyncio.timeout(limits.session_deadline_s))
        try:
            async with place.deadline:
                with self._server.lobby.place(place, limits.max_pending_connections):
                    return await self._handshake()
        except TimeoutError:
            if place.is_lost:
                raise TimeoutError(f"others needed its place (ANNEXD_MAX_PENDING_CONNECTIONS is "
                                   f"{limits.max_pending_connections})") from None
            raise

    async def _handshake(self) -> CommandReceived | None:
        """The command, authorized and whole, or None when the peer has all it asked for."""
        try:
            while True:
                event = self._connection.next_event(time.time())
                if isinstance(event, CommandReceived):
                    await self._flush()
                    return event
                if isinstance(event, ConnectionClosed):
                    return None
                await self._answer(event)
        finally:
            await self._flush()

    async def _answer(self, event: object) -> None:
        match event:
            case NeedData():
                await self._flush()
                await self._receive()
            case NeedFilesystemProof(path):
                self._connection.filesystem_proof(await asyncio.to_thread(owner_of_proof, path))
            case NeedSigningKey(key_id):
                self._connection.signing_key(await asyncio.to_thread(self._security.read_signing_key, key_id))
            case NeedAuthorization():
                self._connection.authorization(await self._authorize(event))
            case _:
                raise TypeError(f"the protocol's core asks what we do not know: {event!r}")

    async def _authorize(self, question: NeedAuthorization) -> bool:
        identity, policy = question.identity, self._security.authorization
        peer = Peer(self._client.getpeername()[0], identity.user, identity.method, identity.limits)
        decide = partial(policy.authorize, question.command, peer, LOOKUPS)
        verdict = await asyncio.to_thread(decide) if policy.needs_names else decide()
        if verdict.granted:
            log.security(f"{question.command.name} from {peer.user} at {self._peer} granted: {verdict.reason}; "
                         f"{identity.proof}")
        else:
            log.always(f"PERMISSION DENIED to {peer.user} from {self._peer} for command {question.command.number} "
                       f"({question.command.name}), access level {question.command.level}: reason: {verdict.reason}; "
                       f"{identity.proof}")
        return verdict.granted

    async def _receive(self) -> None:
        async with asyncio.timeout(self._server.limits.read_timeout_s):
            received = await asyncio.get_running_loop().sock_recv(self._client, READ_BYTES)
        self._connection.receive_data(received)

    async def _send_chunk(self, chunk: bytes) -> None:
        self._connection.reply_with_part_of_file(chunk)
        await self._flush()

    async def _flush(self) -> None:
        if outgoing := self._connection.data_to_send():
            async with asyncio.timeout(self._server.limits.session_deadline_s):
                await asyncio.get_running_loop().sock_sendall(self._client, outgoing)


def owner_of_proof(path: str) -> str | None:
    """The login name of who made the directory that FS asks for, or None if it is not what FS asks for."""
    try:
        status = os.lstat(path)
        is_proof = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o700 and status.st_nlink <= 2
        return pwd.getpwuid(status.st_uid).pw_name if is_proof else None
    except (OSError, KeyError, ValueError):
        return None


def _describe(client: socket.socket) -> str:
    try:
        host, port = client.getpeername()[:2]
    except OSError:
        return "<a peer that has gone>"
    return f"<[{host}]:{port}>" if ":" in host else f"<{host}:{port}>"
