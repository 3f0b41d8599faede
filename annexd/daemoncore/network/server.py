"""Serve one connection from accept to close: move its bytes and answer the events of the protocol core.

Bytes before authentication are treated as an attack: silence has a deadline, the whole session has one, and the number
of connections without a command is limited (pending_connections.py).

Until its command has arrived, a connection has no task of its own, only a callback in the event loop.  A command that
arrives in one piece and is answered at once costs one turn of the loop.  (A task, a future and a timer for each read
cost more than the protocol does.)
"""

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

from annexd.authorization import Peer, Verdict
from annexd.cedar.connection import Connection
from annexd.cedar.context import Endpoint
from annexd.cedar.errors import AuthorizationDenied, PeerError, UnknownSession
from annexd.cedar.events import (
    CommandReceived,
    ConnectionClosed,
    Event,
    NeedAuthorization,
    NeedData,
    NeedFilesystemProof,
    NeedSigningKey,
)
from annexd.daemoncore import log
from annexd.daemoncore.commands.call import Call, Handler, Work
from annexd.daemoncore.network.pending_connections import PendingConnection, PendingConnections, counting_host
from annexd.daemoncore.security.fs_proof import login_name, owner_of_proof
from annexd.daemoncore.security.resolver import LOOKUPS, RESOLVER, WITHOUT_RESOLVER, NeedsResolver
from annexd.daemoncore.security.security import Security
from annexd.daemoncore.settings import ConnectionLimits
from annexd.daemoncore.ttl_cache import TtlCache

LOGIN_NAME_KEPT_S = 300.0  # PASSWD_CACHE_REFRESH is 20 hours
MORE = int(socket.MSG_MORE)
DRAIN_S = 1.0  # for cancelled tasks to end

Address = tuple[Any, ...]  # as accept() returns it: host and port come first
Answer = TypeVar("Answer")

_received = memoryview(bytearray(256 * 1024))  # receive buffer, shared by all connections
_login_names: TtlCache[int, str] = TtlCache(LOGIN_NAME_KEPT_S)


@dataclass
class ConnectionCounts:
    """Counts of connections since the start, by outcome."""

    accepted: int = 0
    denied: int = 0  # refused for a missing permission
    dropped: int = 0  # before a command was authenticated: silence, evictions, broken or hostile messages

    def counters(self) -> dict[str, int]:
        """Return them as attributes of the daemon's ad."""
        return {f"DCConnections{name.capitalize()}": number for name, number in asdict(self).items()}


class Server:
    """Serves the connections of one command socket."""

    def __init__(
        self, security: Security, limits: ConnectionLimits, dispatch: Handler, shared_port_id: str | None
    ) -> None:
        self.security = security
        self.limits = limits
        self.dispatch = dispatch
        self.pending_connections = PendingConnections()
        self.counts = ConnectionCounts()
        self._shared_port_id = shared_port_id
        self._running: set[asyncio.Task[None]] = set()

    def reconfigure(self, security: Security, limits: ConnectionLimits) -> None:
        """Use these settings for new connections."""
        self.security, self.limits = security, limits

    def serve(self, client: socket.socket, address: Address) -> None:
        """Serve one accepted, non-blocking connection; never raises for what a peer does."""
        self.counts.accepted += 1
        connection = Connection(self.security.context, partial(_end_of, client, self._shared_port_id))
        ClientConnection(client, address, connection, self).begin()

    def run(self, work: Work) -> None:
        """Run the remaining work of a connection as a task."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def drain(self, timeout_s: float) -> None:
        """End pending connections, wait for running work, then cancel what is left of it."""
        self.pending_connections.close()
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)
        for task in tuple(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=DRAIN_S)


def _end_of(client: socket.socket, shared_port_id: str | None) -> Endpoint:
    """Return the local end of a connection.  Raises OSError if it is closed already."""
    ip, port = client.getsockname()[:2]
    return Endpoint(ip, port, shared_port_id)


class ClientConnection:
    """Moves the bytes of one connection and answers the events of the protocol core."""

    def __init__(self, client: socket.socket, address: Address, connection: Connection, server: Server) -> None:
        self._client = client
        self._descriptor = client.fileno()  # given a socket object, the loop formats an error that is never shown
        self._address = address
        self._connection = connection
        self._server = server
        self._security = server.security  # one configuration for the whole session
        self._loop = asyncio.get_running_loop()
        self._pending: PendingConnection | None = None
        self._lookup: asyncio.Future[Any] | None = None
        self._unsent = b""
        self._is_reading = self._is_writing = self._is_over = self._has_command = False

    def begin(self) -> None:
        """Process what has arrived already."""
        self._guarded(self._receive)

    # The edge of a connection: a peer must neither end nor block the daemon.

    def _guarded(self, step: Callable[..., None], *arguments: object) -> None:
        if self._is_over:
            return
        try:
            step(*arguments)
        except Exception as error:  # noqa: BLE001 - the edge of a connection
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._count(error)
        if isinstance(error, UnknownSession | AuthorizationDenied):  # expected after a restart; logged where decided
            log.full_debug(f"Closed connection from {self._peer}: {error}")
        elif isinstance(error, PeerError | TimeoutError | OSError | EOFError):
            log.always(f"Dropped connection from {self._peer}: {error}")
        else:
            log.error(f"Dropped connection from {self._peer}: internal error: {error!r}")
        with suppress(OSError):
            self._sent_all()  # the last reply, lost unless the kernel takes it at once
        self._close()

    def _count(self, error: Exception) -> None:
        if isinstance(error, AuthorizationDenied):
            self._server.counts.denied += 1
        elif not self._has_command and not isinstance(error, UnknownSession):
            self._server.counts.dropped += 1

    def _close(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._stop_waiting()
        self._leave_pending()
        if self._lookup is not None:
            self._lookup.cancel()  # unless it runs already
        self._client.close()

    @property
    def _peer(self) -> str:
        host, port = self._address[:2]
        return f"<[{host}]:{port}>" if ":" in host else f"<{host}:{port}>"

    # Until the command has arrived.

    def _receive(self) -> None:
        try:
            size = self._client.recv_into(_received)
        except BlockingIOError:
            self._wait_for_data()
            return
        self._connection.receive_data(bytes(_received[:size]))
        if self._pending is not None:
            self._pending.silent_until_s = time.monotonic() + self._server.limits.read_timeout_s
        self._go_on()

    def _go_on(self) -> None:
        """Answer events until there is something to wait for."""
        is_answered = True
        while is_answered:
            event = self._connection.next_event(time.time())
            match event:
                case NeedData():
                    self._wait_for_data() if self._sent_all() else self._wait_until_writable()
                    return
                case CommandReceived():
                    self._dispatch(event)
                    return
                case ConnectionClosed():
                    self._finish(None)
                    return
                case _:
                    is_answered = self._answer(event)

    def _answer(self, question: Event) -> bool:
        """Answer an event; return False if the answer comes later from a thread, which then continues."""
        match question:
            case NeedAuthorization():
                return self._authorize(question)
            case NeedFilesystemProof(path):
                return self._provide_owner(path)
            case NeedSigningKey(key_id):
                return self._provide_signing_key(key_id)
        raise TypeError(f"the protocol core returned an unknown event: {question!r}")

    def _provide_owner(self, path: str) -> bool:
        provide = self._connection.filesystem_proof
        uid = owner_of_proof(path)
        if uid is None or (name := _login_names.get(uid)):
            provide(None if uid is None else name)
            return True
        return self._look_up(
            partial(login_name, uid), lambda name: provide(_login_names.put(uid, name) if name else None)
        )

    def _provide_signing_key(self, key_id: str) -> bool:
        provide, keys = self._connection.signing_key, self._security.signing_keys
        if secret := keys.get(key_id):
            provide(secret)
            return True
        return self._look_up(
            partial(self._security.read_signing_key, key_id),
            lambda secret: provide(keys.put(key_id, secret) if secret else None),
        )

    def _authorize(self, question: NeedAuthorization) -> bool:
        identity, policy, verdicts = question.identity, self._security.authorization, self._security.verdicts
        key = (question.command.number, self._address[0], identity.user, identity.method, identity.limits)
        if verdict := verdicts.get(key):
            self._apply_verdict(question, verdict, is_new=False)
            return True
        peer = Peer(*key[1:])
        try:
            self._apply_verdict(question, verdicts.put(key, policy.authorize(question.command, peer, WITHOUT_RESOLVER)))
        except NeedsResolver:
            decide = partial(policy.authorize, question.command, peer, LOOKUPS)
            return self._look_up(
                decide, lambda verdict: self._apply_verdict(question, verdicts.put(key, verdict)), RESOLVER
            )
        return True

    def _apply_verdict(self, question: NeedAuthorization, verdict: Verdict, *, is_new: bool = True) -> None:
        """Log the verdict and give it to the core; a repeated refusal is logged at D_FULLDEBUG, since clients retry."""
        identity, command = question.identity, question.command
        if verdict.granted:
            log.security(
                f"PERMISSION GRANTED to {identity.user} from {self._peer} for command {command.number} "
                f"({command.name}), access level {command.level}: reason: {verdict.reason}; {identity.proof}"
            )
        else:
            write = log.always if is_new else log.full_debug
            write(
                f"PERMISSION DENIED to {identity.user} from {self._peer} for command {command.number} "
                f"({command.name}), access level {command.level}: reason: {verdict.reason}; {identity.proof}"
            )
        self._connection.authorization(verdict.granted)

    def _look_up(
        self, question: Callable[[], Answer], provide: Callable[[Answer], object], threads: Executor | None = None
    ) -> bool:
        """Call `question` in a thread, since it may block, and continue with its answer.  Returns False."""
        self._stop_waiting()
        self._enter_pending()

        def answered(answer: asyncio.Future[Answer]) -> None:
            provide(answer.result())
            self._go_on()

        self._lookup = self._loop.run_in_executor(threads, question)
        self._lookup.add_done_callback(partial(self._guarded, answered))
        return False

    # Waiting.

    def _wait_for_data(self) -> None:
        self._enter_pending()
        if not self._is_reading:
            self._loop.add_reader(self._descriptor, self._guarded, self._receive)
            self._is_reading = True

    def _wait_until_writable(self) -> None:
        """Wait until the kernel takes more of what the peer has not read."""
        self._stop_waiting()
        self._enter_pending()
        self._loop.add_writer(self._descriptor, self._guarded, self._send_more)
        self._is_writing = True

    def _send_more(self) -> None:
        if self._sent_all():
            self._stop_waiting()
            self._go_on()

    def _stop_waiting(self) -> None:
        if self._is_reading:
            self._loop.remove_reader(self._descriptor)
        if self._is_writing:
            self._loop.remove_writer(self._descriptor)
        self._is_reading = self._is_writing = False

    def _enter_pending(self) -> None:
        if self._pending is None:
            now_s, limits = time.monotonic(), self._server.limits
            self._pending = PendingConnection(
                counting_host(self._address[0]),
                self._evicted,
                now_s + limits.session_deadline_s,
                now_s + limits.read_timeout_s,
            )
            self._server.pending_connections.enter(self._pending, limits.max_pending)

    def _leave_pending(self) -> None:
        if self._pending is not None:
            self._server.pending_connections.leave(self._pending)

    def _evicted(self, reason: str) -> None:
        self._fail(TimeoutError(reason))

    def _sent_all(self, *, last: bool = False) -> bool:
        """Send, and return whether the kernel has taken everything.  `last` adds the end, in the same packet."""
        outgoing = self._unsent + self._connection.data_to_send()
        if not outgoing:
            return True
        try:
            sent = self._client.send(outgoing, MORE if last else 0)
        except BlockingIOError:
            sent = 0
        self._unsent = outgoing[sent:]
        if last and not self._unsent:
            self._client.shutdown(socket.SHUT_WR)  # close() with unread input would discard unsent output
        return not self._unsent

    # The command.

    def _dispatch(self, received: CommandReceived) -> None:
        self._has_command = True
        self._finish(self._server.dispatch(Call(received, self._connection, self._peer, self._send_chunk)))

    def _finish(self, work: Work | None) -> None:
        if work is None and self._sent_all(last=True):
            self._close()
            return
        self._stop_waiting()
        self._leave_pending()
        self._server.run(self._carry_out(work))

    async def _carry_out(self, work: Work | None) -> None:
        try:
            await self._flush()
            if work is not None:
                await work
                await self._flush()
        except Exception as error:  # noqa: BLE001 - the edge of a connection
            self._fail(error)
        finally:
            self._close()

    async def _send_chunk(self, chunk: bytes) -> None:
        self._connection.reply_with_part_of_file(chunk)
        await self._flush()

    async def _flush(self) -> None:
        outgoing, self._unsent = self._unsent + self._connection.data_to_send(), b""
        if outgoing:
            async with asyncio.timeout(self._server.limits.session_deadline_s):
                await self._loop.sock_sendall(self._client, outgoing)
