"""annexd's server on its own port, in a thread, for real clients; without a daemon or a pool."""

import asyncio
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from annexd.authorization import AuthorizationPolicy
from annexd.cedar.classad import Scalar
from annexd.cedar.commands import CA_AUTH_CMD, COMMANDS
from annexd.cedar.context import ServerContext
from annexd.cedar.events import CommandReceived
from annexd.cedar.levels import Level
from annexd.cedar.policy import Requirement, SecurityPolicy
from annexd.cedar.secret import Secret
from annexd.cedar.session import SessionCache
from annexd.daemoncore.commands.call import Call
from annexd.daemoncore.listening_socket import BACKLOG
from annexd.daemoncore.network.listener import Listener
from annexd.daemoncore.network.server import Server
from annexd.daemoncore.security.security import Security
from annexd.daemoncore.settings import ConnectionLimits

VERSION = "$CondorVersion: 25.14.1 2026-10-16 BuildID: annexd $"
TRUST_DOMAIN = "annex.test"
PATIENCE_S = 30
LIMITS = ConnectionLimits(max_pending=20, session_deadline_s=PATIENCE_S, read_timeout_s=PATIENCE_S)


class CountedSessions(SessionCache):
    made = 0

    def new_id(self) -> str:
        self.made += 1
        return super().new_id()


def secure_context(**changes: Any) -> ServerContext:
    """Return a context that requires what recommended HTCondor configurations require."""
    policy = SecurityPolicy(Requirement.REQUIRED, Requirement.REQUIRED, Requirement.REQUIRED, Requirement.REQUIRED)
    facts: dict[str, Any] = {
        "version": VERSION,
        "policy": dict.fromkeys(Level, policy),
        "commands": COMMANDS,
        "sessions": CountedSessions(f"test:{os.getpid()}:{int(time.time())}"),
        "random": secrets.token_bytes,
        "trust_domain": TRUST_DOMAIN,
        "uid_domain": TRUST_DOMAIN,
        "issuer_keys": ("POOL",),
    }
    return ServerContext(**{**facts, **changes})


@dataclass
class Served:
    """A server that responds to every order with `reply`; all peers have every level except `forbidden`."""

    context: ServerContext = field(default_factory=secure_context)
    reply: Mapping[str, Scalar] = field(default_factory=lambda: {"Result": "Success"})
    keys: Mapping[str, Secret] = field(default_factory=dict)
    forbidden: frozenset[Level] = frozenset()
    commands: list[CommandReceived] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._port = self._listening.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    @property
    def address(self) -> str:
        return f"<127.0.0.1:{self._port}?alias=localhost>"

    @property
    def handshakes(self) -> int:
        """Return the number of negotiated sessions."""
        sessions = self.context.sessions
        assert isinstance(sessions, CountedSessions)
        return sessions.made

    async def _serve(self) -> None:
        server = Server(Security(self.context, self._authorization(), self.keys.get), LIMITS, self._answer, None)
        listener = Listener(self._listening, server.serve)
        listener.start()
        await self._over.wait()
        listener.stop()
        await server.drain(1)

    def _authorization(self) -> AuthorizationPolicy:
        lists = {f"{'DENY' if level in self.forbidden else 'ALLOW'}_{level}": "*" for level in Level}
        return AuthorizationPolicy.read(lists.get, "ANNEXD")

    def _answer(self, call: Call) -> None:
        self.commands.append(call.received)
        if call.received.command.number == CA_AUTH_CMD:
            call.connection.reply(call.connection.message().ad(self.reply))
