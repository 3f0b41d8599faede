"""Attacks on the port, one each; beside every one a good client is answered in time, and memory stays bounded."""

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
from test.attack.arena import FS, MB, QUERY, GoodClient, Victim, all_of, framed, victim
from test.cedar.client import TOKEN
from test.cedar.tokens import CLAIMS, unsigned
from test.pool import find

ANSWERED_S = 2.0  # under attack, on a machine that others use too; without one it takes a millisecond
GROWTH_KB = 64 * MB
OWN = KeyExchange()
TOOLS_AT_ONCE = 2


@pytest.fixture(scope="module")
def target() -> Iterator[Victim]:
    with victim() as served:
        yield served


@contextmanager
def attacking(attack: Callable[[], object]) -> Iterator[None]:
    """`attack` again and again, in a thread, until left; that it is cut short is what the server is for."""
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            with suppress(OSError):
                attack()

    attacker = threading.Thread(target=go_on, daemon=True)
    attacker.start()
    try:
        yield
    finally:
        over.set()
        attacker.join(10)


def check(target: Victim, before_kb: int, growth_kb: int = GROWTH_KB) -> None:
    """A good client, from the attacker's own address and from another one, and the memory."""
    assert max(target.answers_within_s(source) for source in ("127.0.0.1", "127.0.0.9") for _ in range(5)) < ANSWERED_S
    assert target.authenticates_within_s() < ANSWERED_S
    assert target.memory_kb - before_kb < growth_kb, f"from {before_kb} kB to {target.memory_kb} kB"


def test_thousands_of_half_open_and_slow_connections(target: Victim) -> None:
    before_kb = target.memory_kb
    beginnings = itertools.cycle([b"", b"\1", b"\1\0\0", framed(bytes(1000))[:500], b"\0\0\0\x10\0" + bytes(4096)])
    with ExitStack() as open_ones:
        for number, beginning in zip(range(3000), beginnings, strict=False):
            slow = open_ones.enter_context(target.connect(f"127.0.0.{2 + number % 3}"))
            with suppress(OSError):  # it may be the one that has to leave
                slow.sendall(beginning)
        check(target, before_kb)
        assert target.descriptors < 700


def test_a_patient_client_keeps_its_place_while_another_address_floods_the_port(target: Victim) -> None:
    """Who has to leave is of the address that has most places, not whoever was there first."""
    patient = GoodClient(target.connect("127.0.0.9")).begin()
    with ExitStack() as open_ones:
        for _ in range(1000):
            open_ones.enter_context(target.connect("127.0.0.2"))
        assert patient.finish().sid
    patient.close()


def test_a_flood_of_new_connections_from_the_good_clients_own_address(target: Victim) -> None:
    before_kb, held = target.memory_kb, list[socket.socket]()

    def flood() -> None:
        held.append(target.connect())
        if len(held) > 600:
            held.pop(0).close()

    with attacking(flood):
        time_for_some(lambda: check(target, before_kb))
    for each in held:
        each.close()


@pytest.mark.parametrize("body", [1, 100, 5000], ids=["of a byte", "of a hundred", "of five thousand"])
def test_endless_chains_of_frames(target: Victim, body: int) -> None:
    before_kb, chain = target.memory_kb, (HEADER.pack(0, body) + bytes(body)) * (200_000 // body)

    def attack() -> None:
        with target.connect("127.0.0.2") as client:
            while True:
                client.sendall(chain)

    with attacking(attack), attacking(attack):
        time_for_some(lambda: check(target, before_kb))


@pytest.mark.parametrize("body", [1, 8], ids=["of a byte", "of eight"])
def test_many_chains_of_small_frames_at_once(target: Victim, body: int) -> None:
    """A frame costs time whatever its length: all of them stand before the good client."""
    before_kb, chain = target.memory_kb, (HEADER.pack(0, body) + bytes(body)) * (60_000 // body)
    with stopped(target), ExitStack() as open_ones:
        for _ in range(200):
            client = open_ones.enter_context(target.connect("127.0.0.2"))
            client.setblocking(False)
            client.send(chain)
        good = open_ones.enter_context(target.connect())
        good.sendall(QUERY)
        begun_s = time.monotonic()
        os.kill(target.pid, signal.SIGCONT)
        assert good.recv(1024)
        assert time.monotonic() - begun_s < ANSWERED_S
        check(target, before_kb)


@contextmanager
def stopped(target: Victim) -> Iterator[None]:
    """So that what is sent waits for the server, all of it."""
    os.kill(target.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(target.pid, signal.SIGCONT)


def test_endless_handshakes(target: Victim) -> None:
    """Each costs the server a key, and is left in the middle."""
    before_kb = target.memory_kb

    def attack() -> None:
        with target.connect("127.0.0.2") as client:
            stranger = GoodClient(client).begin()
            stranger.hear()
            stranger.say(stranger.message().integer(FS))
            stranger.hear()

    with attacking(attack), attacking(attack):
        time_for_some(lambda: check(target, before_kb))


def test_a_handshake_that_fails_again_and_again_comes_to_its_end(target: Victim) -> None:
    with target.connect("127.0.0.2") as client:
        stranger = GoodClient(client).begin()
        stranger.hear()
        picked = list(itertools.takewhile(bool, (_fail_at_fs(stranger) for _ in range(100))))
        assert len(picked) <= 1, "a method is tried once"
        assert stranger.is_dropped()


def _fail_at_fs(stranger: GoodClient) -> int:
    """What the server picks when it is offered everything; 0 when nothing is left."""
    stranger.say(stranger.message().integer(-1))
    if picked := stranger.hear().integer():
        stranger.hear()
        stranger.say(stranger.message().integer(-1))
        stranger.hear()
    return picked


def time_for_some(measure: Callable[[], None], seconds: float = 1.0) -> None:
    """Measure for as long as an attack needs to be one."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        measure()


def test_a_sessions_id_carries_out_no_command() -> None:
    """Every one of the table, by somebody who has only listened."""
    with victim() as target:
        owner = GoodClient(target.connect()).session(DC_RECONFIG)
        owner.close()
        target.wait_for_log("carried out: DC_RECONFIG")
        for number in COMMANDS:
            with target.connect("127.0.0.2") as client:
                thief = GoodClient(client)
                thief.say(thief.resumption(owner.sid, number))
                client.shutdown(socket.SHUT_WR)
                assert owner.sid.encode() not in all_of(client)
        with target.connect() as client:
            GoodClient(client).session(DC_NOP_WRITE)
        target.wait_for_log("carried out: DC_NOP_WRITE")
        assert re.findall(r"carried out: (\w+)", target.log)[-2:] == ["DC_RECONFIG", "DC_NOP_WRITE"]


def test_sessions_that_are_replayed_cut_or_taken_up_without_their_key(target: Victim) -> None:
    """A session's id is sent in clear, so whoever listens has it; without the key it is worth nothing."""
    before_kb = target.memory_kb
    owner = GoodClient(target.connect()).session()
    owner.close()
    with target.connect() as honest:
        client = GoodClient(honest).resume(owner.sid, owner.key, CA_AUTH_CMD)
        client.say(client.message().ad({"Payload": "x" * 100}))
        assert client.hear().ad() == {"Attributes": 1}
    greeting, order = client.said
    for replayed in (order, order[:-1], order[:40], flipped(order, -1), flipped(order, 0), flipped(order, 40)):
        with target.connect("127.0.0.2") as thief:
            replay = GoodClient(thief)
            replay.send(greeting)
            assert replay.hear().ad()["ReturnCode"] == "AUTHORIZED"
            replay.send(replayed)
            thief.shutdown(socket.SHUT_WR)
            assert replay.is_dropped()
    with ExitStack() as thieves:
        for _ in range(300):
            thief = thieves.enter_context(target.connect("127.0.0.2"))
            with suppress(OSError):
                GoodClient(thief).send(greeting + HEADER.pack(1, 1024 * 1024) + bytes(900_000))
        check(target, before_kb)


def flipped(said: bytes, position: int) -> bytes:
    changed = bytearray(said)
    changed[position] ^= 1
    return bytes(changed)


def test_bombs_of_nesting_expressions_and_values_in_an_order(target: Victim) -> None:
    before_kb = target.memory_kb
    owner = GoodClient(target.connect()).session()
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
        client = GoodClient(target.connect("127.0.0.2")).resume(owner.sid, owner.key, CA_AUTH_CMD)
        with suppress(ConnectionResetError, BrokenPipeError):
            client.say_in_frames(client.message().integer(1).string(bomb).string("").string(""))
        assert target.answers_within_s() < ANSWERED_S, bomb[:20]
        assert client.is_dropped(), bomb[:20]
        client.close()
    client = GoodClient(target.connect()).resume(owner.sid, owner.key, CA_AUTH_CMD)
    client.say_in_frames(client.message().ad({"UserData": "x" * 5_000_000}))
    assert client.hear().ad() == {"Attributes": 1}
    check(target, before_kb)


def test_more_sessions_than_fit_push_out_the_oldest_and_no_memory_is_lost() -> None:
    """Strangers' sessions, which anybody may have, share a small part of the cache."""
    with victim(sessions=1000) as small:
        owner = GoodClient(small.connect()).session()
        owner.close()
        first = _stranger(small)
        for _ in range(1100):
            _stranger(small)
        before_kb = small.memory_kb
        for _ in range(1100):
            last = _stranger(small)
        check(small, before_kb, growth_kb=MB)
        assert [_is_known(small, sid) for sid in (owner.sid, first, last)] == [True, False, True]


def _is_known(target: Victim, sid: str) -> bool:
    with target.connect("127.0.0.2") as client:
        visitor = GoodClient(client)
        visitor.say(visitor.resumption(sid, CA_AUTH_CMD))
        return visitor.hear().ad()["ReturnCode"] == "AUTHORIZED"


def _stranger(target: Victim) -> str:
    """The id of the session that nobody in particular has got."""
    with target.connect("127.0.0.2") as client:
        stranger = GoodClient(client)
        ad: dict[str, Scalar] = {
            "Command": DC_NOP_READ,
            "NewSession": "YES",
            "Enact": "NO",
            "Authentication": "NEVER",
            "Encryption": "OPTIONAL",
            "Integrity": "OPTIONAL",
            "CryptoMethods": "AES",
            "ECDHPublicKey": OWN.public,
            "SessionDuration": "3600",
        }
        stranger.say(stranger.message().integer(DC_AUTHENTICATE).ad(ad))
        answer = stranger.hear().ad()
        stranger.channel.encrypt(OWN.session_key(peer_public_key(answer["ECDHPublicKey"])), bytes(16))
        return str(stranger.hear().ad()["Sid"])


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"^(([\w.])+)+[-?]", ""),
        ("(.?){400}(a*){99}b", "!error:regex:"),
        ("(.?){99}(.?){99}b", "A"),
        (r"(.?){99}\BZ\b", ""),
        ("(", "!error:regex:"),
    ],
)
def test_patterns_of_names_that_take_long_in_other_engines(target: Victim, pattern: str, said: str) -> None:
    before_kb = target.memory_kb
    owner = GoodClient(target.connect()).session()
    owner.close()
    begun_s = time.monotonic()
    translate_aws_errors = [asked(target, owner, f"?names:{pattern}") for _ in range(8)]
    check(target, before_kb)
    for client in translate_aws_errors:
        assert client.hear().string().startswith(said)
        client.close()
    assert time.monotonic() - begun_s < 8 * ANSWERED_S


def asked(target: Victim, owner: GoodClient, question: str) -> GoodClient:
    """Whoever has asked about the configuration, and has not heard yet."""
    client = GoodClient(target.connect("127.0.0.2")).resume(owner.sid, owner.key, DC_CONFIG_VAL)
    client.say(client.message().string(question))
    return client


def test_questions_where_a_knob_is_set_start_two_tools_at_once_and_all_hear_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("_CONDOR_BIN", str(find().bin))
    with victim() as target:
        before_kb = target.memory_kb
        owner = GoodClient(target.connect()).session()
        owner.close()
        translate_aws_errors = [asked(target, owner, "MAX_DEFAULT_LOG") for _ in range(100)]
        most = 0

        def look() -> None:
            nonlocal most
            most = max(most, len(children(target.pid)))

        with attacking(look):
            check(target, before_kb)
            heard = [[words.string() for _ in range(3)] for words in (client.hear() for client in translate_aws_errors)]
        assert {value for value, *_ in heard} == {htcondor2.param["MAX_DEFAULT_LOG"]}
        assert 0 < most <= TOOLS_AT_ONCE
        assert len({place for _, _, place in heard}) == 2, "some heard where it is set, the others that this is unknown"


def children(pid: int) -> list[str]:
    return [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def test_running_out_of_file_descriptors() -> None:
    with victim(descriptors=64, pending=500) as small, ExitStack() as open_ones:
        before_kb = small.memory_kb
        for _ in range(400):
            open_ones.enter_context(small.connect("127.0.0.2")).sendall(b"\1")
        check(small, before_kb)
        assert small.descriptors < 64


def test_silence_and_a_drip_end_when_their_time_is_over() -> None:
    with victim(read_timeout_s=1, deadline_s=3) as strict, strict.connect() as silent, strict.connect() as drip:
        before, begun_s = strict.descriptors, time.monotonic()
        drip.sendall(HEADER.pack(1, 60_000))
        with attacking(lambda: _drip(drip)):
            assert GoodClient(silent).is_dropped()
            assert GoodClient(drip).is_dropped()
            assert time.monotonic() - begun_s > 2.5
        assert strict.descriptors <= before
        assert "the peer was silent for too long" in strict.log
        assert "its session took too long" in strict.log


def _drip(client: socket.socket) -> None:
    """The next byte of a frame that is right, and never whole."""
    client.sendall(b"\0")
    threading.Event().wait(0.1)


@pytest.mark.parametrize("claim", [{"x": "\ud800"}, {"x": "a\0b"}, {"\ud800": 1}, {"n" * 1000: "x"}], ids=ascii)
def test_no_claim_of_a_token_that_nobody_has_signed_ends_the_daemon(claim: dict[str, object]) -> None:
    """SEC_TOKEN_REVOCATION_EXPR looks at it before there is any proof."""
    with victim(revocation='jti == "revoked"') as target:
        before_kb, name = target.memory_kb, str(CLAIMS["sub"])
        client = GoodClient(target.connect("127.0.0.2"))
        client.say(client.greeting(KeyExchange().public, DC_NOP_READ, methods="TOKEN"))
        client.hear().ad()
        client.say(client.message().integer(TOKEN))
        assert client.hear().integer() == TOKEN
        opening = client.message().integer(0).integer(len(name)).string(name)
        client.say(opening.string(unsigned(claims={**CLAIMS, **claim})).integer(256).raw(bytes(256)))
        assert client.hear().integer() == -1
        client.say(client.message().integer(-1).integer(0).string("").integer(0).integer(0))
        client.say(client.message().integer(0))
        target.wait_for_log("is revoked by SEC_TOKEN_REVOCATION_EXPR")
        client.close()
        check(target, before_kb)
