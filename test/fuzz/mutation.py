"""Mutate kept inputs at random, for `make test`: within seconds, and without a fuzzing engine."""

from random import Random

FRAGMENTS = (
    b"\0",
    b"\xff",
    b"\x80",
    b'"',
    b"\\",
    b'\\"',
    b"'",
    b"[",
    b"]",
    b"{",
    b"}",
    b";",
    b"=",
    b",",
    b"<",
    b">",
    b"\n",
    b"*",
    b"#[",
    b":",
    b".",
    b"e",
    b"-",
    b"1+1",
    b"true",
    b"undefined",
    b"ZKM",
    b"\xad",
    b"\x00\x01",
    b"\x7f\xff",
    b'UseSession = "YES"',
    b"Command = 60040",
    b"\xf0\x9f\x92\xa9",
    b"\xed\xa0\x80",
    b"9" * 30,
    b"[" * 30,
)


def mutated(source: bytes, other: bytes, random: Random) -> bytes:
    """Apply one to eight changes, with pieces of `other`."""
    changed = bytearray(source)
    for _ in range(random.randint(1, 8)):
        start = random.randint(0, len(changed))
        end = min(len(changed), start + random.choice((0, 1, 1, 2, 8, 64)))
        changed[start:end] = _piece(changed, other, random)
    return bytes(changed[:16384])


def _piece(changed: bytearray, other: bytes, random: Random) -> bytes:
    match random.randrange(5):
        case 0:
            return random.randbytes(random.choice((1, 1, 2, 8)))
        case 1:
            return random.choice(FRAGMENTS)
        case 2:
            return b""
        case 3:
            return _slice(other, random)
        case _:
            return _slice(changed, random)


def _slice(source: bytes | bytearray, random: Random) -> bytes:
    start = random.randint(0, len(source))
    return bytes(source[start : start + random.choice((1, 8, 64, 512))])
