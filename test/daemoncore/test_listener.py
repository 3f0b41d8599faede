"""Connections from condor_shared_port arrive intact, and other connections do no harm."""

import asyncio
import gc
import os
import select
import socket
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from annexd.daemoncore.network.listener import Listener
from annexd.daemoncore.network.shared_port import PASS_SOCK_MESSAGE, SharedPort


def handed_over(*send: Callable[[socket.socket], object]) -> bytes | None:
    """Return the bytes from the connection that is passed over the Unix socket; None if it is refused."""
    received: list[socket.socket] = []

    async def receive() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        with theirs:
            for part in send:
                part(theirs)
                if ours.fileno() >= 0 and part is send[0]:
                    SharedPort(ours, lambda client, _address: received.append(client), lambda: None).begin()
                while ours.fileno() >= 0 and select.select([ours], [], [], 0)[0]:
                    await asyncio.sleep(0)  # the parts arrive one after the other
        async with asyncio.timeout(60):
            while ours.fileno() >= 0:
                await asyncio.sleep(0)

    asyncio.run(receive())
    if not received:
        return None
    with received[0] as client:
        return client.recv(100)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = socket.create_connection(listening.getsockname())
        return listening.accept()[0], far


def pass_descriptors(count: int, message: bytes = PASS_SOCK_MESSAGE) -> Callable[[socket.socket], None]:
    def send(theirs: socket.socket) -> None:
        pairs = [tcp_pair() for _ in range(count)]
        for _ours, far in pairs:
            far.sendall(b"hello")
        if message:
            theirs.sendall(message)
        socket.send_fds(theirs, [b"\0"], [ours.fileno() for ours, _far in pairs])
        for pair in pairs:
            for end in pair:
                end.close()

    return send


def test_the_clients_connection_is_received_with_its_bytes_whether_its_parts_come_together_or_not() -> None:
    assert handed_over(pass_descriptors(1)) == b"hello"
    assert handed_over(lambda theirs: theirs.sendall(PASS_SOCK_MESSAGE), pass_descriptors(1, message=b"")) == b"hello"
    assert (
        handed_over(
            lambda theirs: theirs.sendall(PASS_SOCK_MESSAGE[:3]), pass_descriptors(1, message=PASS_SOCK_MESSAGE[3:])
        )
        == b"hello"
    )


def test_the_frame_is_the_one_that_condor_shared_port_sends() -> None:
    assert PASS_SOCK_MESSAGE.hex() == "0100000008000000000000004c"


def test_a_handover_without_a_descriptor_or_with_another_message_is_refused() -> None:
    assert handed_over(lambda theirs: theirs.sendall(PASS_SOCK_MESSAGE + b"\0")) is None
    assert handed_over(pass_descriptors(1, message=b"x" * len(PASS_SOCK_MESSAGE))) is None
    assert handed_over(lambda theirs: theirs.sendall(b"abc")) is None
    assert handed_over(lambda theirs: theirs.sendall(PASS_SOCK_MESSAGE[:3])) is None


@pytest.mark.parametrize("kind", ["two", "unix", "udp", "listening", "file"])
def test_any_other_descriptor_is_refused_and_closed(kind: str) -> None:
    with (
        tempfile.TemporaryFile() as file,
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socketpair()[0] as unix,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        kinds: dict[str, list[Any]] = {
            "two": [unix, udp],
            "unix": [unix],
            "udp": [udp],
            "listening": [listening],
            "file": [file],
        }

        def send(theirs: socket.socket) -> None:
            theirs.sendall(PASS_SOCK_MESSAGE)
            socket.send_fds(theirs, [b"\0"], [each.fileno() for each in kinds[kind]])

        gc.collect()  # sockets of other tests
        before = len(os.listdir("/proc/self/fd"))
        assert handed_over(send) is None
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_listener_accepts_many_waiting_connections_and_can_switch_to_another_socket() -> None:
    async def run() -> None:
        served: list[socket.socket] = []
        listener = Listener(
            socket.create_server(("127.0.0.1", 0), backlog=100), lambda client, _address: served.append(client)
        )
        listener.start()
        for expected in (40, 80):
            address = listener.socket.getsockname()
            clients = [await asyncio.to_thread(socket.create_connection, address) for _ in range(40)]
            async with asyncio.timeout(60):
                while len(served) < expected:
                    await asyncio.sleep(0)
            listener.replace(socket.create_server(("127.0.0.1", 0), backlog=100))
            for each in clients:
                each.close()
        listener.stop()
        for each in served:
            each.close()

    asyncio.run(run())
