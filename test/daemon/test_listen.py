"""Connections that condor_shared_port hands over arrive whole, and nothing else that connects does harm."""

import asyncio
import os
import socket
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from annexd.daemon.listen import PASS_SOCK_MESSAGE, Listener, receive_descriptor


def handed_over(send: Callable[[socket.socket], object]) -> bytes:
    """What arrives on the connection that `send` passes into our side of the Unix socket."""

    async def receive() -> bytes:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        with theirs:
            send(theirs)
        with await receive_descriptor(ours) as client:
            return await asyncio.get_running_loop().sock_recv(client, 100)

    return asyncio.run(receive())


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = socket.create_connection(listening.getsockname())
        return listening.accept()[0], far


def pass_descriptors(count: int, message: bytes = PASS_SOCK_MESSAGE) -> Callable[[socket.socket], None]:
    def send(theirs: socket.socket) -> None:
        pairs = [tcp_pair() for _ in range(count)]
        for _ours, far in pairs:
            far.sendall(b"hello")
        theirs.sendall(message)
        socket.send_fds(theirs, [b"\0"], [ours.fileno() for ours, _far in pairs])
        for pair in pairs:
            for end in pair:
                end.close()

    return send


def test_the_clients_connection_is_received_with_its_bytes() -> None:
    assert handed_over(pass_descriptors(1)) == b"hello"


def test_the_frame_is_the_one_that_condor_shared_port_sends() -> None:
    assert PASS_SOCK_MESSAGE.hex() == "0100000008000000000000004c"


def test_a_handover_without_a_descriptor_or_with_another_message_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one descriptor, got 0"):
        handed_over(lambda theirs: theirs.sendall(PASS_SOCK_MESSAGE + b"\0"))
    with pytest.raises(ValueError, match="expected SHARED_PORT_PASS_SOCK"):
        handed_over(pass_descriptors(1, message=b"x" * len(PASS_SOCK_MESSAGE)))
    with pytest.raises(ValueError, match="closed after 3 bytes"):
        handed_over(lambda theirs: theirs.sendall(b"abc"))


@pytest.mark.parametrize("kind", ["two", "unix", "udp", "listening", "file"])
def test_whatever_else_is_handed_over_is_refused_and_closed(kind: str) -> None:
    with (tempfile.TemporaryFile() as file, socket.create_server(("127.0.0.1", 0)) as listening,
          socket.socketpair()[0] as unix, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp):
        kinds: dict[str, list[Any]] = {"two": [unix, udp], "unix": [unix], "udp": [udp], "listening": [listening],
                                       "file": [file]}

        def send(theirs: socket.socket) -> None:
            theirs.sendall(PASS_SOCK_MESSAGE)
            socket.send_fds(theirs, [b"\0"], [each.fileno() for each in kinds[kind]])

        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises((ValueError, OSError)):
            handed_over(send)
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_listener_serves_many_at_once_and_ends_what_does_not_end_itself() -> None:
    served: list[socket.socket] = []

    async def serve(client: socket.socket) -> None:
        served.append(client)
        await asyncio.get_running_loop().sock_recv(client, 1)

    async def run() -> None:
        listener = Listener(socket.create_server(("127.0.0.1", 0)), serve)
        address = listener.socket.getsockname()
        listener.start()
        clients = [await asyncio.to_thread(socket.create_connection, address) for _ in range(20)]
        async with asyncio.timeout(5):
            while len(served) < len(clients):
                await asyncio.sleep(0)
        listener.stop()
        await listener.drain(timeout_s=0.1)
        for client in clients:
            assert client.recv(1) == b"", "the connection is closed"
            client.close()

    asyncio.run(run())
