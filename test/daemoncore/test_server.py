"""The server under hostile connections: each is dropped in time, and an honest client is still served."""

import asyncio
import contextlib
import os
import pwd
import secrets
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

import annexd.daemoncore.network.server
from annexd.authorization import AuthorizationPolicy
from annexd.cedar.commands import COMMANDS, DC_NOP, DC_NOP_READ, DC_QUERY_INSTANCE
from annexd.cedar.context import ServerContext
from annexd.cedar.session import SessionCache
from annexd.daemoncore.commands.call import Call, Work
from annexd.daemoncore.network.listener import Listener
from annexd.daemoncore.network.server import Server
from annexd.daemoncore.security.fs_proof import login_name, owner_of_proof
from annexd.daemoncore.security.resolver import LOOKUPS
from annexd.daemoncore.security.security import Security
from annexd.daemoncore.settings import ConnectionLimits

LIMITS = ConnectionLimits(max_pending=20, session_deadline_s=60, read_timeout_s=60)
SHORT = replace(LIMITS, session_deadline_s=3, read_timeout_s=3)  # short enough to wait for
QUERY = struct.pack(">BIq", 1, 8, DC_QUERY_INSTANCE)
ANSWER = b"0123456789abcdef"
Address = tuple[str, int]
NO_LISTS = AuthorizationPolicy.read(lambda _name: None, "ANNEXD")


def security(authorization: AuthorizationPolicy = NO_LISTS) -> Security:
    context = ServerContext(
        version="$CondorVersion: 25.14.1 2026-10-16 BuildID: test $",
        policy={},
        commands={number: COMMANDS[number] for number in (DC_NOP, DC_QUERY_INSTANCE, DC_NOP_READ)},
        sessions=SessionCache("test:1:1"),
        random=secrets.token_bytes,
        trust_domain="test",
        uid_domain="test",
    )
    return Security(context, authorization, lambda _key_id: None)


def answer(call: Call) -> None:
    call.connection.reply(ANSWER)


async def answer_later(call: Call) -> None:
    await asyncio.sleep(0)
    answer(call)


@asynccontextmanager
async def serving(
    limits: ConnectionLimits = LIMITS,
    dispatch: Callable[[Call], Work | None] = answer,
    authorization: AuthorizationPolicy = NO_LISTS,
) -> AsyncIterator[Address]:
    server = Server(security(authorization), limits, dispatch, None)
    listener = Listener(socket.create_server(("127.0.0.1", 0), backlog=500), server.serve)
    listener.start()
    yield listener.socket.getsockname()
    listener.stop()
    await server.drain(0)


async def asks(address: Address, question: bytes = QUERY) -> bytes:
    """Return the response to an honest client."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(question)
    received = await reader.read()
    writer.close()
    return received


@pytest.mark.parametrize("dispatch", [answer, answer_later], ids=["at once", "later"])
@pytest.mark.parametrize("bytes_at_once", [1, 5, 100])
def test_an_honest_client_is_answered(dispatch: Callable[[Call], Work | None], bytes_at_once: int) -> None:
    async def run() -> bytes:
        async with serving(dispatch=dispatch) as address:
            reader, writer = await asyncio.open_connection(*address)
            for start in range(0, len(QUERY), bytes_at_once):
                writer.write(QUERY[start : start + bytes_at_once])
                await asyncio.sleep(0.001)  # the parts arrive one after the other
            received = await reader.read()
            writer.close()
            return received

    assert asyncio.run(run()) == struct.pack(">BI", 1, len(ANSWER)) + ANSWER


@pytest.mark.parametrize("is_read", [True, False], ids=["reads late", "never reads"])
def test_an_answer_that_the_peer_reads_slowly_is_kept_until_the_session_deadline(
    is_read: bool,
) -> None:
    size = 30_000_000  # more than the kernel buffers for one connection

    def answer_at_length(call: Call) -> None:
        call.connection.reply(bytes(size))

    async def run() -> int:
        async with serving(LIMITS if is_read else SHORT, answer_at_length) as address:
            reader, writer = await asyncio.open_connection(*address, limit=1)
            writer.write(QUERY)
            if not is_read:
                await asyncio.sleep(SHORT.session_deadline_s + 3)
            received = 0
            with contextlib.suppress(ConnectionResetError):
                while part := await reader.read(1_000_000):
                    received += len(part)
            writer.close()
            return received

    assert (asyncio.run(run()) > size) is is_read


def test_an_answer_arrives_despite_unread_input_of_the_peer() -> None:
    with socket.socket() as client:
        client.setblocking(False)

        def answer_while_more_comes(call: Call) -> None:
            client.send(b"more")
            answer(call)

        async def run() -> bytes:
            async with serving(dispatch=answer_while_more_comes) as address:
                loop = asyncio.get_running_loop()
                await loop.sock_connect(client, address)
                await loop.sock_sendall(client, QUERY)
                return await loop.sock_recv(client, 100)

        assert asyncio.run(run()) == struct.pack(">BI", 1, len(ANSWER)) + ANSWER


@pytest.mark.parametrize(
    "rubbish",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"\x0b" + bytes(12),
        b"\x01\x7f\xff\xff\xff",
        b"\x01\x00\x00\x00\x00",
        bytes(4096),
        struct.pack(">BIq", 1, 8, 4711),
        struct.pack(">BIq", 1, 8, 60010),
    ],
)
def test_garbage_is_dropped_at_once_without_an_answer(rubbish: bytes) -> None:
    async def run() -> bytes:
        async with serving() as address:
            try:
                async with asyncio.timeout(20):
                    received = await asks(address, rubbish)
            except ConnectionResetError:
                received = b""
            assert await asks(address)
            return received

    assert asyncio.run(run()) == b""


@pytest.mark.parametrize(("look_up", "friends"), [("names", "*.friends.org"), ("is_member", "+friends")])
def test_a_silent_name_server_delays_only_clients_that_depend_on_it(
    monkeypatch: pytest.MonkeyPatch, look_up: str, friends: str
) -> None:
    """An attacker may control the name server of any number of addresses; netgroups may come from LDAP."""
    begun, over = threading.Event(), threading.Event()

    def no_answer(_question: object) -> Any:
        begun.set()
        over.wait(30)
        return ()

    monkeypatch.setattr(annexd.daemoncore.network.server, "LOOKUPS", replace(LOOKUPS, **{look_up: no_answer}))
    lists = AuthorizationPolicy.read({"ALLOW_READ": friends}.get, "ANNEXD")

    async def run() -> None:
        async with serving(replace(LIMITS, max_pending=100), authorization=lists) as address:
            strangers = [await asyncio.open_connection(*address) for _ in range(80)]
            for _reader, writer in strangers:
                writer.write(struct.pack(">BIq", 1, 8, DC_NOP_READ))
            try:
                async with asyncio.timeout(20):
                    while not begun.is_set():
                        await asyncio.sleep(0)
                    assert await asks(address)
                    await asyncio.to_thread(int)  # key files are read so, too
            finally:
                over.set()
            for _reader, writer in strangers:
                writer.close()

    asyncio.run(run())


def test_a_silent_peer_is_dropped_at_the_read_timeout_and_a_slow_one_at_the_session_deadline() -> None:
    async def drip(address: Address) -> None:
        _reader, writer = await asyncio.open_connection(*address)
        for byte in struct.pack(">BI", 1, 1000) + bytes(1000):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.2)

    async def run() -> None:
        async with serving(replace(SHORT, session_deadline_s=2)) as address:
            async with asyncio.timeout(20):
                assert await asks(address, b"\x01") == b""
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                async with asyncio.timeout(20):
                    await drip(address)

    asyncio.run(run())


def test_pending_peers_are_limited_and_an_honest_client_is_answered_when_they_time_out() -> None:
    async def run() -> None:
        async with serving(SHORT) as address:
            silent = [await asyncio.open_connection(*address) for _ in range(100)]
            async with asyncio.timeout(20):
                while not (received := await refused_or_answered(address)):
                    await asyncio.sleep(0.1)
            assert received.endswith(ANSWER)
            for _reader, writer in silent:
                writer.close()

    asyncio.run(run())


async def refused_or_answered(address: Address) -> bytes:
    try:
        return await asks(address)
    except ConnectionResetError:
        return b""


def test_a_fault_of_a_handler_ends_its_connection_and_nothing_else() -> None:
    def fail(call: Call) -> None:
        if call.received.command.number == DC_NOP:
            raise RuntimeError("a bug")
        answer(call)

    async def fail_later(call: Call) -> None:
        fail(call)

    async def run(dispatch: Callable[[Call], Work | None]) -> bytes:
        async with serving(dispatch=dispatch) as address:
            assert await asks(address, struct.pack(">BIq", 1, 8, DC_NOP)) == b""
            return await asks(address)

    assert asyncio.run(run(fail)).endswith(ANSWER)
    assert asyncio.run(run(fail_later)).endswith(ANSWER)


def test_a_shutdown_waits_for_handlers_and_closes_pending_connections() -> None:
    async def run() -> tuple[bytes, bytes]:
        going_on, may_answer = asyncio.Event(), asyncio.Event()

        async def answer_in_the_end(call: Call) -> None:
            going_on.set()
            await may_answer.wait()
            answer(call)

        server = Server(security(), LIMITS, answer_in_the_end, None)
        listener = Listener(socket.create_server(("127.0.0.1", 0)), server.serve)
        address = listener.socket.getsockname()
        listener.start()
        silent, _writer = await asyncio.open_connection(*address)
        asking = asyncio.create_task(asks(address))
        await going_on.wait()
        listener.stop()
        draining = asyncio.create_task(server.drain(timeout_s=20))
        nothing = await silent.read()  # it is closed at once, while the handler still works
        assert not draining.done()
        may_answer.set()
        await draining
        return await asking, nothing

    answered, nothing = asyncio.run(run())
    assert answered.endswith(ANSWER)
    assert nothing == b""


def test_the_proof_of_fs_is_a_directory_of_its_owner_alone() -> None:
    me = os.geteuid()
    assert login_name(me) == pwd.getpwuid(me).pw_name
    assert login_name(54321) is None  # no account has this ID
    for mode, owner in ((0o700, me), (0o750, None), (0o701, None), (0o600, None)):
        path = f"/tmp/FS_test_{secrets.token_hex(8)}"
        os.mkdir(path)
        os.chmod(path, mode)
        try:
            assert owner_of_proof(path) == owner
            os.symlink(path, path + "_link")
            assert owner_of_proof(path + "_link") is None
        finally:
            os.unlink(path + "_link")
            os.rmdir(path)
    assert owner_of_proof("/tmp/FS_not_there") is None
    assert owner_of_proof("/tmp/FS_nul\0") is None


def test_connections_are_counted_by_what_became_of_them() -> None:
    async def talk() -> Server:
        server = Server(security(), LIMITS, answer, None)
        listener = Listener(socket.create_server(("127.0.0.1", 0), backlog=50), server.serve)
        listener.start()
        address = listener.socket.getsockname()
        assert await asks(address)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"\xff" * 100)
        await reader.read()
        writer.close()
        listener.stop()
        await server.drain(0)
        return server

    counts = asyncio.run(talk()).counts.counters()
    assert counts == {"DCConnectionsAccepted": 2, "DCConnectionsDenied": 0, "DCConnectionsDropped": 1}
