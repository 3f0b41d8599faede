"""Run a server to attack in its own process: annexd's network layer and protocol core, without a pool.

    python -m test.attack.target_server '{"descriptors": 256, ...}'      prints its port, serves until its input ends

Logs to standard error.  Every user who authenticates by FS is authorized for everything.  Responds to
DC_QUERY_INSTANCE, CA_AUTH_CMD and DC_CONFIG_VAL, and logs every other command.
"""

import asyncio
import json
import resource
import secrets
import socket
import sys
from dataclasses import dataclass
from typing import Any

import htcondor2

from annexd.authorization import AuthorizationPolicy
from annexd.cedar.commands import CA_AUTH_CMD, COMMANDS, DC_CONFIG_VAL, DC_QUERY_INSTANCE
from annexd.cedar.context import ServerContext
from annexd.cedar.levels import Level
from annexd.cedar.policy import SecurityPolicy
from annexd.cedar.session import SessionCache
from annexd.daemoncore import log
from annexd.daemoncore.commands.administration import dc_config_val
from annexd.daemoncore.commands.call import Call
from annexd.daemoncore.listening_socket import BACKLOG
from annexd.daemoncore.log import open_log
from annexd.daemoncore.network.listener import Listener
from annexd.daemoncore.network.server import Server
from annexd.daemoncore.program import run_as
from annexd.daemoncore.security.revocation import Revocation
from annexd.daemoncore.security.security import Security
from annexd.daemoncore.settings import ConnectionLimits
from annexd.service.program import PROGRAM

ANSWER = b"0123456789abcdef"
ALLOW = {f"ALLOW_{level}": "*" for level in Level}


@dataclass(frozen=True)
class Options:
    """The server's options.

    `descriptors` is RLIMIT_NOFILE; `pending`, `read_timeout_s` and `deadline_s` limit connections; `sessions` is the
    capacity of the session cache; `revocation` is SEC_TOKEN_REVOCATION_EXPR.
    """

    descriptors: int = 4096
    pending: int = 500
    read_timeout_s: int = 20
    deadline_s: int = 120
    sessions: int = 10_000
    revocation: str = ""


async def answer(call: Call) -> None:
    if call.received.command.number == DC_QUERY_INSTANCE:
        call.connection.reply(ANSWER)
    elif call.received.command.number == CA_AUTH_CMD:
        payload = call.payload()
        size = len(await asyncio.to_thread(payload.ad))
        payload.end()
        call.connection.reply(call.connection.message().ad({"Attributes": size}))
    elif call.received.command.number == DC_CONFIG_VAL:
        await dc_config_val(call)
    else:
        log.always(f"carried out: {call.received.command.name}")


def security(options: Options) -> Security:
    context = ServerContext(
        version=htcondor2.version(),
        policy=dict.fromkeys(Level, SecurityPolicy(methods=("FS", "IDTOKENS"))),
        commands=COMMANDS,
        sessions=SessionCache("target:1:1", capacity=options.sessions),
        random=secrets.token_bytes,
        trust_domain="annex.test",
        uid_domain="annex.test",
        issuer_keys=("POOL",),
        is_revoked=Revocation(options.revocation).is_revoked,
    )
    return Security(context, AuthorizationPolicy.read(ALLOW.get, "ANNEXD"), lambda _key_id: None)


async def serve(options: Options) -> None:
    limits = ConnectionLimits(options.pending, options.deadline_s, options.read_timeout_s)
    server = Server(security(options), limits, answer, None)
    listener = Listener(socket.create_server(("127.0.0.1", 0), backlog=BACKLOG), server.serve)
    listener.start()
    print(listener.socket.getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    listener.stop()
    await server.drain(0)


def main(facts: dict[str, Any]) -> None:
    options = Options(**facts)
    resource.setrlimit(resource.RLIMIT_NOFILE, (options.descriptors, options.descriptors))
    run_as(PROGRAM)
    open_log(terminal=True)
    asyncio.run(serve(options))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
