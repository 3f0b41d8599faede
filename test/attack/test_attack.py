"""Attack the port; during each attack an honest client gets a response in time, and memory stays bounded."""

import itertools
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import htcondor2
import pytest

from annexd.cedar.classad import Scalar
from annexd.cedar.commands import (
    CA_AUTH_CMD,
    COMMANDS,
    DC_AUTHENTICATE,
    DC_CONFIG_VAL,
    DC_NOP_READ,
    DC_NOP_WRITE,
    DC_RECONFIG,
)
from annexd.cedar.crypto import KeyExchange, peer_public_key
from annexd.cedar.frame import HEADER
from test.attack.target import FS, MB, QUERY, Target, WireClient, framed, read_all, running_target
from test.cedar.client import TOKEN
from test.cedar.tokens import CLAIMS, unsigned
from test.pool import find

CPU_S = 2.0  # to serve an honest client under attack; otherwise that takes a millisecond
GROWTH_KB = 64 * MB
SERIES = os.environ.get("HTCONDOR_SERIES", "25")
KEY_EXCHANGE = KeyExchange()
TOOLS_AT_ONCE = 2


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with running_target() as served:
        yield served


@contextmanager
def attacking(attack: Callable[[], object]) -> Iterator[None]:
    """Run the block while a thread repeats `attack`; the server may close its connections."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            with suppress(OSError):
                attack()

    attacker = threading.Thread(target=repeat, daemon=True)
    attacker.start()
    try:
        yield
    finally:
        over.set()
        attacker.join(10)


def assert_still_served(target: Target, before_kb: int, growth_kb: int = GROWTH_KB) -> None:
    """Check the service to an honest client, at the attacker's address and another one, and the memory."""
    assert max(target.answers_within_cpu_s(source) for source in ("127.0.0.1", "127.0.0.9") for _ in range(5)) < CPU_S
    assert target.authenticates_within_cpu_s() < CPU_S
    assert target.memory_kb - before_kb < growth_kb, f"from {before_kb} kB to {target.memory_kb} kB"


def test_thousands_of_half_open_and_slow_connections(target: Target) -> None:
    before_kb = target.memory_kb
    beginnings = itertools.cycle([b"", b"\1", b"\1\0\0", framed(bytes(1000))[:500], b"\0\0\0\x10\0" + bytes(4096)])
    with ExitStack() as connections:
        for number, beginning in zip(range(3000), beginnings, strict=False):
            slow = connections.enter_context(target.connect(f"127.0.0.{2 + number % 3}"))
            with suppress(OSError):  # it may be evicted
                slow.sendall(beginning)
        assert_still_served(target, before_kb)
        assert target.descriptors < 700


def test_a_slow_client_is_not_evicted_while_another_address_floods_the_port(target: Target) -> None:
    """The server evicts a connection of the busiest address, not the oldest of all."""
    patient = WireClient(target.connect("127.0.0.9")).begin()
    with ExitStack() as connections:
        for _ in range(1000):
            connections.enter_context(target.connect("127.0.0.2"))
        assert patient.finish().sid
    patient.close()


def test_a_flood_of_new_connections_from_the_honest_clients_address(target: Target) -> None:
    before_kb, held = target.memory_kb, list[socket.socket]()

    def flood() -> None:
        held.append(target.connect())
        if len(held) > 600:
            held.pop(0).close()

    with attacking(flood):
        repeat_for_a_while(lambda: assert_still_served(target, before_kb))
    for each in held:
        each.close()


@pytest.mark.parametrize("body", [1, 100, 5000], ids=["of a byte", "of a hundred", "of five thousand"])
def test_endless_chains_of_frames(target: Target, body: int) -> None:
    before_kb, chain = target.memory_kb, (HEADER.pack(0, body) + bytes(body)) * (200_000 // body)

    def attack() -> None:
        with target.connect("127.0.0.2") as client:
            while True:
                client.sendall(chain)

    with attacking(attack), attacking(attack):
        repeat_for_a_while(lambda: assert_still_served(target, before_kb))


@pytest.mark.parametrize("body", [1, 8], ids=["of a byte", "of eight"])
def test_many_chains_of_small_frames_at_once(target: Target, body: int) -> None:
    """Each frame costs time regardless of its length, and the server reads all before the honest client's."""
    before_kb, chain = target.memory_kb, (HEADER.pack(0, body) + bytes(body)) * (60_000 // body)
    with paused(target), ExitStack() as connections:
        for _ in range(200):
            client = connections.enter_context(target.connect("127.0.0.2"))
            client.setblocking(False)
            client.send(chain)
        good = connections.enter_context(target.connect())
        good.sendall(QUERY)
        begun_s = target.cpu_s
        os.kill(target.pid, signal.SIGCONT)
        assert good.recv(1024)
        assert target.cpu_s - begun_s < CPU_S
        assert_still_served(target, before_kb)


@contextmanager
def paused(target: Target) -> Iterator[None]:
    """Run the block while the server is stopped, so that everything sent waits for it."""
    os.kill(target.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(target.pid, signal.SIGCONT)


def test_endless_handshakes(target: Target) -> None:
    """Each handshake costs the server a key and is abandoned halfway."""
    before_kb = target.memory_kb

    def attack() -> None:
        with target.connect("127.0.0.2") as client:
            peer = WireClient(client).begin()
            peer.receive_message()
            peer.send_message(peer.message().integer(FS))
            peer.receive_message()

    with attacking(attack), attacking(attack):
        repeat_for_a_while(lambda: assert_still_served(target, before_kb))


def test_a_handshake_that_fails_repeatedly_ends(target: Target) -> None:
    with target.connect("127.0.0.2") as client:
        peer = WireClient(client).begin()
        peer.receive_message()
        picked = list(itertools.takewhile(bool, (_fail_at_fs(peer) for _ in range(100))))
        assert len(picked) <= 1, "a method is tried once"
        assert peer.is_dropped()


def _fail_at_fs(peer: WireClient) -> int:
    """Offer every method and fail; return the server's pick, or 0 if none is left."""
    peer.send_message(peer.message().integer(-1))
    if picked := peer.receive_message().integer():
        peer.receive_message()
        peer.send_message(peer.message().integer(-1))
        peer.receive_message()
    return picked


def repeat_for_a_while(measure: Callable[[], None], seconds: float = 1.0) -> None:
    """Repeat a measurement long enough for an attack to have an effect."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        measure()


def test_a_session_id_alone_runs_no_command() -> None:
    """An eavesdropper sends every command of the table."""
    with running_target() as target:
        owner = WireClient(target.connect()).session(DC_RECONFIG)
        owner.close()
        target.wait_for_log("carried out: DC_RECONFIG")
        for number in COMMANDS:
            with target.connect("127.0.0.2") as client:
                thief = WireClient(client)
                thief.send_message(thief.resumption(owner.sid, number))
                client.shutdown(socket.SHUT_WR)
                assert owner.sid.encode() not in read_all(client)
        with target.connect() as client:
            WireClient(client).session(DC_NOP_WRITE)
        target.wait_for_log("carried out: DC_NOP_WRITE")
        assert re.findall(r"carried out: (\w+)", target.log)[-2:] == ["DC_RECONFIG", "DC_NOP_WRITE"]


def test_sessions_that_are_replayed_truncated_or_resumed_without_their_key(target: Target) -> None:
    """An eavesdropper knows the ID of a session, which is sent in clear, but not its key."""
    before_kb = target.memory_kb
    owner = WireClient(target.connect()).session()
    owner.close()
    with target.connect() as honest:
        client = WireClient(honest).resume(owner.sid, owner.key, CA_AUTH_CMD)
        client.send_message(client.message().ad({"Payload": "x" * 100}))
        assert client.receive_message().ad() == {"Attributes": 1}
    greeting, order = client.sent
    for replayed in (order, order[:-1], order[:40], flipped(order, -1), flipped(order, 0), flipped(order, 40)):
        with target.connect("127.0.0.2") as thief:
            replay = WireClient(thief)
            replay.send(greeting)
            assert replay.receive_message().ad()["ReturnCode"] == "AUTHORIZED"
            replay.send(replayed)
            thief.shutdown(socket.SHUT_WR)
            assert replay.is_dropped()
    with ExitStack() as thieves:
        for _ in range(300):
            thief = thieves.enter_context(target.connect("127.0.0.2"))
            with suppress(OSError):
                WireClient(thief).send(greeting + HEADER.pack(1, 1024 * 1024) + bytes(900_000))
        assert_still_served(target, before_kb)


def flipped(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def test_bombs_of_nesting_expressions_and_values_in_an_order(target: Target) -> None:
    before_kb = target.memory_kb
    owner = WireClient(target.connect()).session()
    owner.close()
    bombs = [
        "A = " + "1+" * 300_000 + "1",
        "A = " + "{" * 500_000,
        "A = " + "[a=" * 300_000,
        "A = " + "(" * 500_000,
        "A = {" + "{}," * 400_000 + "{}}",
        "A = " + "9" * 900_000,
        'A = "' + '\\"' * 400_000 + '" "',
    ]
    for bomb in bombs:
        client = WireClient(target.connect("127.0.0.2")).resume(owner.sid, owner.key, CA_AUTH_CMD)
        with suppress(ConnectionResetError, BrokenPipeError):
            client.send_in_frames(client.message().integer(1).string(bomb).string("").string(""))
        assert target.answers_within_cpu_s() < CPU_S, bomb[:20]
        assert client.is_dropped(), bomb[:20]
        client.close()
    client = WireClient(target.connect()).resume(owner.sid, owner.key, CA_AUTH_CMD)
    client.send_in_frames(client.message().ad({"UserData": "x" * 5_000_000}))
    assert client.receive_message().ad() == {"Attributes": 1}
    assert_still_served(target, before_kb)


def test_more_sessions_than_fit_evict_the_oldest_and_leak_no_memory() -> None:
    """Unauthenticated sessions share a small partition of the cache."""
    with running_target(sessions=1000) as small:
        owner = WireClient(small.connect()).session()
        owner.close()
        first = _anonymous_session(small)
        for _ in range(1100):
            _anonymous_session(small)
        before_kb = small.memory_kb
        for _ in range(1100):
            last = _anonymous_session(small)
        assert_still_served(small, before_kb, growth_kb=4 * MB)
        assert [_is_known(small, sid) for sid in (owner.sid, first, last)] == [True, False, True]


def _is_known(target: Target, sid: str) -> bool:
    with target.connect("127.0.0.2") as client:
        visitor = WireClient(client)
        visitor.send_message(visitor.resumption(sid, CA_AUTH_CMD))
        return visitor.receive_message().ad()["ReturnCode"] == "AUTHORIZED"


def _anonymous_session(target: Target) -> str:
    """Negotiate an unauthenticated session and return its ID."""
    with target.connect("127.0.0.2") as client:
        peer = WireClient(client)
        ad: dict[str, Scalar] = {
            "Command": DC_NOP_READ,
            "NewSession": "YES",
            "Enact": "NO",
            "Authentication": "NEVER",
            "Encryption": "OPTIONAL",
            "Integrity": "OPTIONAL",
            "CryptoMethods": "AES",
            "ECDHPublicKey": KEY_EXCHANGE.public,
            "SessionDuration": "3600",
        }
        peer.send_message(peer.message().integer(DC_AUTHENTICATE).ad(ad))
        answer = peer.receive_message().ad()
        peer.channel.encrypt(KEY_EXCHANGE.session_key(peer_public_key(answer["ECDHPublicKey"])), bytes(16))
        return str(peer.receive_message().ad()["Sid"])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^(([\w.])+)+[-?]", ""),
        ("(.?){400}(a*){99}b", "!error:regex:"),
        ("(.?){99}(.?){99}b", "A"),
        (r"(.?){99}\BZ\b", ""),
        ("(", "!error:regex:"),
    ],
)
def test_patterns_of_names_that_take_long_in_other_engines(target: Target, pattern: str, expected: str) -> None:
    before_kb = target.memory_kb
    owner = WireClient(target.connect()).session()
    owner.close()
    begun_s = target.cpu_s
    waiting = [ask(target, owner, f"?names:{pattern}") for _ in range(8)]
    assert_still_served(target, before_kb)
    for client in waiting:
        assert client.receive_message().string().startswith(expected)
        client.close()
    assert target.cpu_s - begun_s < 8 * CPU_S


def ask(target: Target, owner: WireClient, question: str) -> WireClient:
    """Return a client that has sent a configuration query and waits for the response."""
    client = WireClient(target.connect("127.0.0.2")).resume(owner.sid, owner.key, DC_CONFIG_VAL)
    client.send_message(client.message().string(question))
    return client


def test_queries_for_where_a_knob_is_set_start_two_tools_at_most_and_all_get_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("_CONDOR_BIN", str(find(SERIES).bin))
    with running_target() as target:
        before_kb = target.memory_kb
        owner = WireClient(target.connect()).session()
        owner.close()
        most = 0

        def count_tools() -> None:
            nonlocal most
            most = max(most, len(children(target.pid)))

        with attacking(count_tools):
            waiting = [ask(target, owner, "MAX_DEFAULT_LOG") for _ in range(100)]
            assert_still_served(target, before_kb)
            replies = [[reply.string() for _ in range(3)] for reply in (client.receive_message() for client in waiting)]
        assert {value for value, *_ in replies} == {htcondor2.param["MAX_DEFAULT_LOG"]}
        assert 0 < most <= TOOLS_AT_ONCE
        assert len({place for _, _, place in replies}) == 2, "some see where it is set, the others that this is unknown"


def children(pid: int) -> list[str]:
    return [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def test_running_out_of_file_descriptors() -> None:
    with running_target(descriptors=64, pending=500) as small, ExitStack() as connections:
        before_kb = small.memory_kb
        for _ in range(400):
            connections.enter_context(small.connect("127.0.0.2")).sendall(b"\1")
        assert_still_served(small, before_kb)
        assert small.descriptors < 64


def test_silent_and_dripping_connections_time_out() -> None:
    limits = {"read_timeout_s": 6, "deadline_s": 12}
    with running_target(**limits) as strict, ExitStack() as connections:
        begun_s = time.monotonic()
        silent, drip = (connections.enter_context(strict.connect()) for _ in range(2))
        before = strict.descriptors
        drip.sendall(HEADER.pack(1, 60_000))
        with attacking(lambda: _drip(drip)):
            assert WireClient(silent).is_dropped()
            assert WireClient(drip).is_dropped()
            assert time.monotonic() - begun_s > 11.5
        assert strict.descriptors <= before
        assert "the peer was silent for SEC_DEFAULT_AUTHENTICATION_TIMEOUT" in strict.log
        assert "no complete command before SEC_TCP_SESSION_DEADLINE" in strict.log


def _drip(client: socket.socket) -> None:
    """Send the next byte of a valid frame that is never complete."""
    client.sendall(b"\0")
    threading.Event().wait(0.1)


@pytest.mark.parametrize("claim", [{"x": "\ud800"}, {"x": "a\0b"}, {"\ud800": 1}, {"n" * 1000: "x"}], ids=ascii)
def test_no_claim_of_an_unverified_token_crashes_the_daemon(claim: dict[str, object]) -> None:
    """SEC_TOKEN_REVOCATION_EXPR is evaluated before the token is verified."""
    with running_target(revocation='jti == "revoked"') as target:
        before_kb, name = target.memory_kb, str(CLAIMS["sub"])
        client = WireClient(target.connect("127.0.0.2"))
        client.send_message(client.greeting(KeyExchange().public, DC_NOP_READ, methods="TOKEN"))
        client.receive_message().ad()
        client.send_message(client.message().integer(TOKEN))
        assert client.receive_message().integer() == TOKEN
        opening = client.message().integer(0).integer(len(name)).string(name)
        client.send_message(opening.string(unsigned(claims={**CLAIMS, **claim})).integer(256).raw(bytes(256)))
        assert client.receive_message().integer() == -1
        client.send_message(client.message().integer(-1).integer(0).string("").integer(0).integer(0))
        client.send_message(client.message().integer(0))
        target.wait_for_log("is revoked by SEC_TOKEN_REVOCATION_EXPR")
        client.close()
        assert_still_served(target, before_kb)
