"""The attacked server, and the client of honest and hostile connections to it."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from annexd.cedar.channel import Channel
from annexd.cedar.classad import Scalar
from annexd.cedar.commands import DC_AUTHENTICATE, DC_NOP_READ, DC_QUERY_INSTANCE
from annexd.cedar.crypto import Encryptor, KeyExchange, peer_public_key
from annexd.cedar.frame import HEADER
from annexd.cedar.message import MessageReader, MessageWriter
from annexd.cedar.secret import Secret
from test.attack.target_server import ANSWER

FS = 4
PLENTY = 64 * 1024 * 1024
PATIENCE_S = 30.0
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
MB = 1024  # in kB
FULL_FRAME = 4091  # CONDOR_IO_BUF_SIZE of buffers.h, without the frame's header


def framed(message: bytes) -> bytes:
    return HEADER.pack(1, len(message)) + message


QUERY = framed(DC_QUERY_INSTANCE.to_bytes(8, "big"))


@dataclass
class Target:
    """A running server on the loopback; 127.* gives its clients many addresses."""

    pid: int
    port: int
    log_file: Path | None = None

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file else ""

    def wait_for_log(self, text: str) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while text not in self.log:
            assert time.monotonic() < end_s, f"the log has no {text!r}: {self.log[-2000:]}"
            time.sleep(0.01)

    @property
    def memory_kb(self) -> int:
        """Return the resident set size."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    @property
    def cpu_s(self) -> float:
        """Return the server's processor time, which unlike the clock does not depend on the machine's other load."""
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()[11:13]
        return (int(user) + int(system)) / TICKS_A_SECOND

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_S, (source, 0))

    def answers_within_cpu_s(self, source: str = "127.0.0.1") -> float:
        """Return the processor time until the server responds to one raw command, within PATIENCE_S at the latest."""
        begun_s = self.cpu_s
        with self.connect(source) as client:
            client.sendall(QUERY)
            received = read_all(client)
        assert received == framed(ANSWER), f"an honest client got {received!r}"
        return self.cpu_s - begun_s

    def authenticates_within_cpu_s(self, source: str = "127.0.0.1") -> float:
        begun_s = self.cpu_s
        WireClient(self.connect(source)).session().close()
        return self.cpu_s - begun_s


@contextmanager
def running_target(**options: Any) -> Iterator[Target]:
    environment = {**os.environ, "CONDOR_CONFIG": "ONLY_ENV"}
    with (
        NamedTemporaryFile(prefix="annexd-target-") as log,
        subprocess.Popen(
            [sys.executable, "-m", "test.attack.target_server", json.dumps(options)],
            text=True,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        ) as process,
    ):
        assert process.stdout is not None
        port = process.stdout.readline()
        assert port, f"the server did not start: {Path(log.name).read_text()}"
        served = Target(process.pid, int(port), Path(log.name))
        served.answers_within_cpu_s()
        served.authenticates_within_cpu_s()
        try:
            yield served
        finally:
            assert process.poll() is None, f"the server has ended with {process.returncode}: {served.log[-2000:]}"
            assert "internal error" not in served.log, served.log[-2000:]
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()  # otherwise the attack continues and the failure is not reported
                raise


class WireClient:
    """One connection that can authenticate by FS and resume sessions; session() sets sid and key."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.channel = Channel(PLENTY)
        self.sid, self.key = "", Secret(b"")
        self.sent: list[bytes] = []  # each message, as on the wire

    def session(self, command: int = DC_NOP_READ) -> "WireClient":
        return self.begin(command).finish()

    def begin(self, command: int = DC_NOP_READ) -> "WireClient":
        self.exchange = KeyExchange()
        self.send_message(self.greeting(self.exchange.public, command))
        return self

    def finish(self) -> "WireClient":
        answer = self.receive_message().ad()
        self.send_message(self.message().integer(FS))
        assert self.receive_message().integer() == FS
        directory = self.receive_message().string()
        os.mkdir(directory, 0o700)
        try:
            self.send_message(self.message().integer(0))
            assert self.receive_message().integer() == 0
        finally:
            os.rmdir(directory)
        assert self.receive_message().integer() == 0
        self.key = self.exchange.session_key(peer_public_key(answer["ECDHPublicKey"]))
        self.channel.encrypt(self.key, bytes(16))
        self.sid = str(self.receive_message().ad()["Sid"])
        return self

    def resume(self, sid: str, key: Secret, command: int) -> "WireClient":
        self.send_message(self.resumption(sid, command))
        assert self.receive_message().ad()["ReturnCode"] == "AUTHORIZED"
        self.channel.encrypt(key, secrets.token_bytes(16))
        return self

    def greeting(self, public: str, command: int, methods: str = "FS") -> MessageWriter:
        return (
            self.message()
            .integer(DC_AUTHENTICATE)
            .ad(
                {
                    "Command": command,
                    "NewSession": "YES",
                    "Enact": "NO",
                    "Authentication": "REQUIRED",
                    "Encryption": "REQUIRED",
                    "Integrity": "REQUIRED",
                    "AuthMethods": methods,
                    "CryptoMethods": "AES",
                    "ECDHPublicKey": public,
                    "SessionDuration": "3600",
                    "SessionLease": 3600,
                    "RemoteVersion": "$CondorVersion: 23.0.0 2026-01-01 BuildID: test $",
                }
            )
        )

    def resumption(self, sid: str, command: int) -> MessageWriter:
        ad: dict[str, Scalar] = {
            "Command": command,
            "UseSession": "YES",
            "Sid": sid,
            "CryptoMethods": "AES",
            "ResumeResponse": True,
        }
        return self.message().integer(DC_AUTHENTICATE).ad(ad)

    def message(self) -> MessageWriter:
        return MessageWriter(encrypted=self.channel.is_encrypted)

    def send_message(self, message: MessageWriter) -> None:
        self.channel.send(message.body())
        self.send(self.channel.data_to_send())

    def send_in_frames(self, message: MessageWriter) -> None:
        """Send an encrypted message in frames of a full buffer, as HTCondor's clients do."""
        body, encryptor = message.body(), self.channel._sealer
        assert isinstance(encryptor, Encryptor)
        for start in range(0, len(body), FULL_FRAME):
            piece = body[start : start + FULL_FRAME]
            header = HEADER.pack(start + FULL_FRAME >= len(body), len(piece) + encryptor.overhead)
            self.send(header + encryptor.encrypt(header, piece))

    def send(self, wire: bytes) -> None:
        self.sent.append(wire)
        self.socket.sendall(wire)

    def receive_message(self) -> MessageReader:
        while (body := self.channel.next_message()) is None:
            received = self.socket.recv(65536)
            assert received, "the server has closed the connection"
            self.channel.receive(received)
        return MessageReader(body, encrypted=self.channel.is_encrypted)

    def is_dropped(self) -> bool:
        """Return whether the server closes the connection without sending more."""
        return read_all(self.socket) == b""

    def close(self) -> None:
        self.socket.close()


def read_all(client: socket.socket) -> bytes:
    received = b""
    try:
        while part := client.recv(65536):
            received += part
    except (ConnectionResetError, BrokenPipeError):
        return received
    return received
