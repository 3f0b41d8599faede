"""Store the kept inputs: one file per target, sorted lines of base64, so that a diff shows the new ones.

python -m test.fuzz.corpus      adds seeds from the recordings and examples, and keeps existing inputs
"""

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path

from annexd.cedar.classad import line_of
from annexd.cedar.message import MessageWriter
from test.annex.ads import bulk_request_ad
from test.cedar.recording import CLIENT, load
from test.cedar.tokens import unsigned
from test.condor.child import CALLS
from test.fuzz.conversations import IS_3DES, LENGTH, RECORDINGS, legacy_client

HERE = Path(__file__).parent / "corpus"
EXAMPLE = Path(__file__).parents[2] / "templates" / "config.json"
MAX_KEPT_BYTES = 4096  # of a kept input; a longer one becomes a test

INHERITED = (
    b"4242 <127.0.0.1:9618?alias=a.b&noUDP&sock=master_1_2> 0 SharedPort:<cookie>/annexd_4242_1*5*2*0*0*0*0* 0",
    b"4242 <127.0.0.1:40000> 0 1 4*2*0*0*0*0* 2 5*1*0*0*0*0* 0",
)
SESSIONS = b"""SessionKey:a:1:2:3#[Encryption="YES";CryptoMethods="AES";SessionExpires=1;]0123
FamilySessionKey:family:1#[Integrity="YES";]abcdef"""


def kept(target: str) -> list[bytes]:
    """Return the inputs of one target; none if it has no file."""
    file = HERE / target
    return [base64.b64decode(line) for line in file.read_text().splitlines()] if file.exists() else []


def keep(target: str, inputs: Iterable[bytes]) -> None:
    """Add inputs to those of one target."""
    lines = sorted({base64.b64encode(each).decode() for each in (*kept(target), *inputs)})
    HERE.mkdir(exist_ok=True)
    (HERE / target).write_text("".join(f"{line}\n" for line in lines))


def _seeds() -> Iterator[tuple[str, bytes]]:
    for number, name in enumerate(RECORDINGS):
        frames = [frame for frame in load(name).frames if frame.sender == CLIENT]
        options = bytes([0, number])
        yield "raw_bytes", options + b"".join(frame.raw for frame in frames)
        yield "framed_messages", options + b"".join(LENGTH.pack(len(frame.body)) + frame.body for frame in frames)
        ad = frames[0].body[16:].replace(b"\0\0", b"").rstrip(b"\0")
        yield "handshake_ad", ad
    order = _order()
    for number, message in enumerate(
        (order, MessageWriter(encrypted=True).string("?names:A.*"), MessageWriter(encrypted=True).integer(15))
    ):
        body = message.body()
        yield "encrypted_messages", bytes([0, 1 + 2 * (1 + number)]) + LENGTH.pack(len(body)) + body
    yield "encrypted_messages", bytes([0, 0]) + LENGTH.pack(8) + (60011).to_bytes(8, "big")
    yield from _legacy_seeds()
    yield from (("bindings", seed) for seed in _bindings_seeds())
    lines = "\0".join(_lines()).encode()
    yield "command_ad", lines
    yield "bulk_request", lines
    yield "cancel_request", b'Command = "CA_CANCEL_ANNEX"\0RequestVersion = 1\0CommandID = "a-1"\0Annex = "physics"'
    yield "cancel_request", b'Annex = "sfr-1"\0PublicKeyFile = "/home/a/public"\0SecretKeyFile = "/home/a/secret"'
    yield "token", unsigned().encode()
    yield "token", unsigned(claims={"sub": "a@b", "iss": "b", "jti": "c", "exp": 2e9, "scope": "condor:/READ"}).encode()
    yield from (("inherit", text) for text in INHERITED)
    yield "private_inherit", SESSIONS
    yield "sinful", b"<127.0.0.1:9618?addrs=127.0.0.1-9618+[--1]-9618&alias=a.b&noUDP&sock=annexd_1_2>"
    yield "sinful", b"<[::1]:9618>"
    yield "shared_port_ad", b'MyType = "SharedPort"\nMyAddress = "<127.0.0.1:9618?sock=collector>"\n'
    yield "map_file", b"\0SSL /^\\/CN=(.*)$/i \\1@b\nFS a b\n@include c\n"
    yield "map_file", b'\xffSSL "^/DC=org/CN=([^/]+)$" \\1@b\nSCITOKENS \\"x (?i)a{2,3}\\d b\n'
    yield "request_file", EXAMPLE.read_bytes()
    yield "request_file", b'{"SpotFleetRequestConfig": {"LaunchSpecifications": [{"UserData": ""}], "a": 1e5}}'


def _legacy_seeds() -> Iterator[tuple[str, bytes]]:
    """Yield an order with a secret for each protection, as a message and as bytes on the wire."""
    for options in range(0, 256, IS_3DES):
        channel = legacy_client(bytes([options, 3])).channel
        writer = MessageWriter(encrypted=channel.is_encrypted, secrets=channel.secret_writer())
        body = writer.ad({"ClaimId": "a#b", "Command": "CA_BULK_REQUEST"}).body()
        channel.send(body)
        yield "legacy_messages", bytes([options, 3]) + LENGTH.pack(len(body)) + body
        yield "legacy_bytes", bytes([options, 3]) + channel.data_to_send()


def _bindings_seeds() -> Iterator[bytes]:
    """Yield encoded calls: position in CALLS, number, text."""
    for call, number, text in (
        ("ad", 3, b"AnnexFunctionWarning\n\xff"),
        ("order", 25, b"\xed\xa0\x80"),
        ("order", 99_000, b"a"),
        ("claims", 0, b'{"sub": "a", "x": "\\ud800", "\\u0000": [1]}'),
        ("expression", 900, b"1+" * 400),
        ("expression", 1, b'regexp("a", Name) && ifThenElse(N > 1, {1}, [a = 1])'),
        ("parse_ad", 0, b"[ a = { 1 } ]"),
        ("quote", 0, b'"\\\0'),
        ("knob", 1, b"X=$(X)"),
        ("param", 0, b"ANNEXD.X\xff"),
        ("log", 0, b"%n%s\xff\n"),
        ("alive", 1, b"<127.0.0.1:-1>"),
        ("alive", 1, b"<127.0.0.1:1?addrs=127.0.0.1-1&noUDP&sock=a>"),
        ("exchange", 2, b"<[::1]:1>"),
        ("advertise", 0, b"127.0.0.1:1"),
        ("ping", 0, b"<127.0.0.1:1?alias=a>"),
        ("locate", 0, b'a"\xff'),
        ("query", 0, b"MyType"),
    ):
        yield bytes([tuple(CALLS).index(call)]) + number.to_bytes(4, "big") + text


def _order() -> MessageWriter:
    writer = MessageWriter(encrypted=True).integer(len(_lines()))
    for line in _lines():
        writer.string(line)
    return writer.string("").string("")


def _lines() -> list[str]:
    ad = {name: value for name, value in bulk_request_ad().items() if name != "LaunchSpecifications"}
    nested = 'LaunchSpecifications = { [ ImageId = "ami-1"; InstanceType = "m5.large"; WeightedCapacity = 1.5 ] }'
    return [*(line_of(name, value) for name, value in ad.items()), nested]


if __name__ == "__main__":
    seeds = list(_seeds())
    for name in {name for name, _ in seeds}:
        keep(name, (content for target, content in seeds if target == name))
