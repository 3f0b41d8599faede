"""The protocol core on a real socket, for real HTCondor clients: the smallest rim that works."""

import os
import pwd
import secrets
import socket
import stat
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from annexd.cedar.commands import CA_AUTH_CMD, COMMANDS
from annexd.cedar.connection import Connection, Question
from annexd.cedar.context import Endpoint, ServerContext
from annexd.cedar.errors import PeerError
from annexd.cedar.events import (
    CommandReceived,
    ConnectionClosed,
    NeedAuthorization,
    NeedData,
    NeedFilesystemProof,
    NeedSigningKey,
)
from annexd.cedar.levels import Level
from annexd.cedar.policy import SecurityPolicy, Want
from annexd.cedar.secret import Secret
from annexd.cedar.session import SessionCache

VERSION = "$CondorVersion: 25.14.1 2026-10-16 BuildID: annexd $"
TRUST_DOMAIN = "annex.test"
CLIENT_PATIENCE_S = 30.0

Handler = Callable[[Connection, CommandReceived], None]


def secure_context(**changes: Any) -> ServerContext:
    """Requires what recommended HTCondor configurations require."""
    policy = SecurityPolicy(Want.REQUIRED, Want.REQUIRED, Want.REQUIRED, Want.REQUIRED)
    facts: dict[str, Any] = {
        "version": VERSION,
        "policy": dict.fromkeys(Level, policy),
        "commands": COMMANDS,
        "sessions": SessionCache(f"test:{os.getpid()}:{int(time.time())}"),
        "random": secrets.token_bytes,
        "trust_domain": TRUST_DOMAIN,
        "uid_domain": TRUST_DOMAIN,
        "issuer_keys": ("POOL",),
    }
    return ServerContext(**{**facts, **changes})


@dataclass
class Loopback:
    """Serves one connection after the other on 127.0.0.1, in a thread, until it is left."""

    context: ServerContext
    handlers: Mapping[int, Handler] = field(default_factory=dict)
    keys: Mapping[str, Secret] = field(default_factory=dict)
    forbidden: frozenset[Level] = frozenset()
    commands: list[CommandReceived] = field(default_factory=list)
    errors: list[PeerError] = field(default_factory=list)
    methods: list[type] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(CLIENT_PATIENCE_S)
        self._listening.close()

    @property
    def address(self) -> str:
        return f"<127.0.0.1:{self._listening.getsockname()[1]}?alias=localhost>"

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return  # the listening socket was shut down
            with accepted:
                accepted.settimeout(CLIENT_PATIENCE_S)
                self._serve_one(accepted)

    def _serve_one(self, accepted: socket.socket) -> None:
        connection = Connection(self.context, Endpoint(*accepted.getsockname()[:2]))
        try:
            self._converse(connection, accepted)
        except PeerError as error:
            self.errors.append(error)
        except OSError:
            return  # the client went away
        finally:
            _flush(connection, accepted)

    def _converse(self, connection: Connection, accepted: socket.socket) -> None:
        while not isinstance(event := connection.next_event(time.time()), ConnectionClosed | CommandReceived):
            if isinstance(event, NeedData):
                _flush(connection, accepted)
                connection.receive_data(accepted.recv(256 * 1024))
            else:
                self._answer(connection, event)
        if isinstance(event, CommandReceived):
            self.commands.append(event)
            if handler := self.handlers.get(event.command.number):
                handler(connection, event)

    def _answer(self, connection: Connection, question: Question) -> None:
        match question:
            case NeedFilesystemProof(path):
                connection.filesystem_proof(owner_of(Path(path)))
            case NeedSigningKey(key_id):
                connection.signing_key(self.keys.get(key_id))
            case NeedAuthorization(command):
                connection.authorization(command.level not in self.forbidden)
                return
        self.methods.append(type(question))


def _flush(connection: Connection, accepted: socket.socket) -> None:
    try:
        accepted.sendall(connection.data_to_send())
    except OSError:
        return  # the client went away


def owner_of(path: Path) -> str | None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or stat.S_IMODE(found.st_mode) != 0o700 or found.st_nlink > 2:
        return None
    return pwd.getpwuid(found.st_uid).pw_name


def answering(reply: Mapping[str, str | int | float | bool | None]) -> dict[int, Handler]:
    """Handlers that take a request ad and answer every one with `reply`."""

    def handler(connection: Connection, _: CommandReceived) -> None:
        connection.reply(connection.message().ad(reply))

    return {CA_AUTH_CMD: handler}
