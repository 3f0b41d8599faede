"""A client of HTCondor's protocol that costs as little as possible, so that measurements show the daemon's cost.

HTCondor's own client code needs a millisecond for what a daemon does in a fifth of that.  Here everything that is the
same in each connection is built once; the messages on the wire are those of HTCondor 25.14.1, one by one.  A new
session's key is derived only for a caller that reads the daemon's encrypted verdict.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from annexd.cedar import akep2
from annexd.cedar.channel import Channel
from annexd.cedar.classad import Scalar
from annexd.cedar.commands import DC_AUTHENTICATE, DC_NOP, DC_NOP_ADMINISTRATOR
from annexd.cedar.crypto import KeyExchange, hkdf, peer_public_key
from annexd.cedar.frame import HEADER
from annexd.cedar.message import MessageReader, MessageWriter
from annexd.cedar.secret import Secret

SHARED_PORT_CONNECT = 75  # condor_commands.h
EXPORT_JOBS = 526  # condor_commands.h: a schedd command that, like CA_AUTH_CMD, reads an ad and replies with one
FS, TOKEN = 4, 2048  # condor_auth.h
VERSION = "$CondorVersion: 25.14.1 2026-09-24 BuildID: UW_Python_Wheel_Build $"
PATIENCE_S = 30.0
FULL_FRAME = 4091  # CONDOR_IO_BUF_SIZE of buffers.h, without the frame's header
PLENTY = 64 * 1024 * 1024


class RefusedError(Exception):
    """The daemon refused a request; the text has the details."""


@dataclass(frozen=True)
class CommandSocket:
    """The address of a daemon: its own port, or that of condor_shared_port with the daemon's name there."""

    host: str
    port: int
    shared_port_id: str | None = None

    def connect(self) -> socket.socket:
        connected = socket.create_connection((self.host, self.port), PATIENCE_S)
        if self.shared_port_id is not None:
            connected.sendall(_asking_for(self.shared_port_id))
        return connected


@dataclass(frozen=True)
class Proof:
    """The client's authentication: an IDTOKEN, or FS without one."""

    token: str | None = None

    @property
    def method(self) -> str:
        return "TOKEN" if self.token else "FS"


@dataclass(frozen=True)
class Session:
    sid: str
    key: Secret


class Client:
    """A client of one daemon; each operation has a connection of its own."""

    def __init__(
        self,
        command_socket: CommandSocket,
        proof: Proof | None = None,
        command: int = DC_NOP_ADMINISTRATOR,
        duration_s: int = 60,
    ) -> None:
        self._command_socket, self._command, self._proof = command_socket, command, proof or Proof()
        self._exchange = KeyExchange()
        self._greeting = _greeting(self._exchange.public, self._proof.method, command, duration_s)
        self._token = _Token.read(self._proof.token) if self._proof.token else None

    def raw(self) -> None:
        """Send DC_NOP without any session."""
        with self._command_socket.connect() as connected:
            connected.sendall(_RAW_NOP)
            if _rest(connected):
                raise RefusedError("DC_NOP was answered")

    def establish(self) -> None:
        """Establish a new session for a command without a payload."""
        with self._command_socket.connect() as connected:
            line = _Line(connected)
            self._negotiate(line)
            if not line.has_more():
                raise RefusedError("the daemon gives no verdict")

    def session(self) -> Session:
        """Return a new session with its key; raises RefusedError unless the command is authorized."""
        with self._command_socket.connect() as connected:
            line = _Line(connected)
            answer = MessageReader(self._negotiate(line), encrypted=False).ad()
            key = self._exchange.session_key(peer_public_key(answer["ECDHPublicKey"]))
            line.channel.encrypt(key, bytes(16))
            verdict = line.hear().ad()
        if verdict["ReturnCode"] != "AUTHORIZED":
            raise RefusedError(f"{verdict['User']} is not authorized for {self._command}")
        return Session(str(verdict["Sid"]), key)

    def _negotiate(self, line: _Line) -> bytes:
        """Authenticate, and return the daemon's answer in clear; its next message is encrypted."""
        line.say(self._greeting)
        answer = line.message()
        line.say(_integers(TOKEN if self._token else FS))
        line.hear()
        if self._token:
            self._token.prove(line)
        else:
            _make_directory(line)
        if line.hear().integer() != 0:
            raise RefusedError("a key where none is exchanged")
        return answer

    def resuming(self, session: Session) -> Callable[[], None]:
        """Return a function that queries a knob in an existing session, which is the least that a session can do."""
        return self._giving(session, MessageWriter(encrypted=True).string("LOCAL_DIR").body())

    def ordering(self, session: Session, ad: Mapping[str, Scalar]) -> Callable[[], None]:
        """Return a function that sends an ad as the command's payload and reads the ad in the reply."""
        return self._giving(session, MessageWriter(encrypted=True).ad(ad).body())

    def _giving(self, session: Session, payload: bytes) -> Callable[[], None]:
        resumption = _resumption(session, self._command)

        def give() -> None:
            with self._command_socket.connect() as connected:
                line = _Line(connected)
                line.say(resumption)
                line.message()
                line.channel.encrypt(session.key, secrets.token_bytes(16))
                line.say_sealed(payload)
                line.message()

        return give


class _Line:
    """A connected socket and the channel over it."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.channel = Channel(PLENTY)

    def say(self, message: bytes) -> None:
        self.channel.send(message)
        self._socket.sendall(self.channel.data_to_send())

    def say_sealed(self, message: bytes) -> None:
        """Send an encrypted message in frames as large as HTCondor's full buffer, as HTCondor does."""
        sealer, starts = self.channel._sealer, range(0, len(message), FULL_FRAME)
        assert sealer is not None, "not encrypted yet"
        frames = [
            sealer.seal(start + FULL_FRAME >= len(message), message[start : start + FULL_FRAME]) for start in starts
        ]
        self._socket.sendall(b"".join(frames))

    def message(self) -> bytes:
        while (body := self.channel.next_message()) is None:
            received = self._socket.recv(65536)
            if not received:
                raise RefusedError("the daemon has closed the connection")
            self.channel.receive(received)
        return body

    def has_more(self) -> bool:
        """Read to the end of the connection without decoding; return whether the daemon has sent anything."""
        self.channel.receive(_rest(self._socket))
        return not self.channel.is_between_messages

    def hear(self) -> MessageReader:
        return MessageReader(self.message(), encrypted=self.channel.is_encrypted)


@dataclass(frozen=True)
class _Token:
    """The secrets and the first message of a token's holder (AKEP2)."""

    name: str
    opening: bytes
    key: Secret

    @classmethod
    def read(cls, text: str) -> _Token:
        shown, _, signature = text.strip().rpartition(".")
        name = _subject(shown)
        key = hkdf(_decoded(signature), b"master ka", salt=akep2.SEED_KA + shown.encode())
        opening = MessageWriter(encrypted=False).integer(0).integer(len(name)).string(name).string(shown)
        nonce = secrets.token_bytes(akep2.NONCE_BYTES)
        return cls(name, opening.integer(len(nonce)).raw(nonce).body(), Secret(key))

    def prove(self, line: _Line) -> None:
        line.say(self.opening)
        answer = line.hear()
        if answer.integer() != 0:
            raise RefusedError("the daemon refused the token")
        for _name in range(2):
            answer.integer()
            answer.string()
        answer.raw(answer.integer())
        nonce = answer.raw(answer.integer())
        proof = akep2.client_proof(self.key, self.name, nonce)
        message = MessageWriter(encrypted=False).integer(0).integer(len(self.name)).string(self.name)
        line.say(message.integer(len(nonce)).raw(nonce).integer(len(proof)).raw(proof).body())


def _make_directory(line: _Line) -> None:
    directory = line.hear().string()
    os.mkdir(directory, 0o700)
    try:
        line.say(_integers(0))
        if line.hear().integer() != 0:
            raise RefusedError("the daemon did not believe FS")
    finally:
        os.rmdir(directory)


def _rest(connected: socket.socket) -> bytes:
    received = b""
    while part := connected.recv(65536):
        received += part
    return received


def _integers(*values: int) -> bytes:
    message = MessageWriter(encrypted=False)
    for value in values:
        message.integer(value)
    return message.body()


def _asking_for(shared_port_id: str) -> bytes:
    message = MessageWriter(encrypted=False).integer(SHARED_PORT_CONNECT).string(shared_port_id).string("bench")
    body = message.integer(-1).integer(0).body()
    return HEADER.pack(1, len(body)) + body


def _greeting(public: str, method: str, command: int, duration_s: int) -> bytes:
    return (
        MessageWriter(encrypted=False)
        .integer(DC_AUTHENTICATE)
        .ad(
            {
                "Enact": "NO",
                "Command": command,
                "Integrity": "REQUIRED",
                "ServerPid": os.getpid(),
                "Subsystem": "TOOL",
                "Encryption": "REQUIRED",
                "IssuerKeys": "POOL",
                "NewSession": "YES",
                "AuthMethods": method,
                "TrustDomain": "annexd.test",
                "SessionLease": 3600,
                "ConnectSinful": "<127.0.0.1:9618?alias=localhost>",
                "CryptoMethods": "AES,BLOWFISH,3DES",
                "ECDHPublicKey": public,
                "RemoteVersion": VERSION,
                "Authentication": "REQUIRED",
                "SessionDuration": str(duration_s),
                "AuthenticationNew": "REQUIRED",
                "NegotiatedSession": True,
                "OutgoingNegotiation": "REQUIRED",
            }
        )
        .body()
    )


def _resumption(session: Session, command: int) -> bytes:
    nonce = base64.b64encode(secrets.token_bytes(33)).decode()
    return (
        MessageWriter(encrypted=False)
        .integer(DC_AUTHENTICATE)
        .ad(
            {
                "UseSession": "YES",
                "Sid": session.sid,
                "Command": command,
                "CryptoMethods": "AES",
                "Nonce": nonce,
                "ResumeResponse": True,
                "RemoteVersion": VERSION,
                "ConnectSinful": "<127.0.0.1:9618?alias=localhost>",
            }
        )
        .body()
    )


def _subject(shown: str) -> str:
    return str(json.loads(_decoded(shown.partition(".")[2]))["sub"])


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


_RAW_NOP = HEADER.pack(1, 8) + _integers(DC_NOP)
