"""Load recorded conversations of HTCondor's clients and daemons: see vectors/README.md."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annexd.cedar.channel import Channel
from annexd.cedar.crypto import AES
from annexd.cedar.errors import MalformedMessage, PeerError
from annexd.cedar.frame import HEADER
from annexd.cedar.legacy import Protection
from annexd.cedar.secret import Secret

VECTORS = Path(__file__).parent / "vectors"
CLIENT, SERVER = "C", "S"
PLENTY = 64 * 1024 * 1024


@dataclass(frozen=True)
class Frame:
    sender: str
    raw: bytes

    @property
    def body(self) -> bytes:
        return self.raw[HEADER.size :]


@dataclass(frozen=True)
class Recording:
    name: str
    facts: dict[str, Any]

    @property
    def frames(self) -> list[Frame]:
        if self.cipher != AES:  # each entry is one frame, some with a longer header
            return [Frame(sender, bytes.fromhex(text)) for sender, text in self.facts["frames"]]
        return [Frame(sender, raw) for sender, text in self.facts["frames"] for raw in _split(text)]

    @property
    def session_key(self) -> Secret:
        return Secret(bytes.fromhex(self.facts["session_key"]))

    @property
    def cipher(self) -> str:
        return str(self.facts.get("crypto", AES))

    @property
    def is_encrypted(self) -> bool:
        """Return whether messages are encrypted from the verdict on."""
        return self.cipher == AES or self.protection.encryption

    @property
    def protection(self) -> Protection:
        """Return the protection by a legacy cipher."""
        encryption, integrity = (self.facts.get(feature, "YES") == "YES" for feature in ("encryption", "integrity"))
        return Protection(self.cipher, self.session_key, encryption, integrity)

    def use_key(self, channel: Channel, iv: bytes) -> None:
        if self.cipher == AES:
            channel.encrypt(self.session_key, iv)
        else:
            channel.protect(self.protection)

    def sent_by(self, sender: str) -> bytes:
        return b"".join(frame.raw for frame in self.frames if frame.sender == sender)

    def messages(self) -> list[tuple[Frame, bytes]]:
        """Return each frame with its decrypted text; in the recordings every message is one frame."""
        for clear in range(len(self.frames) + 1):
            try:
                return list(self._read(clear))
            except PeerError:
                continue  # encryption starts at another frame
        raise AssertionError(f"{self.name} does not verify with any start of encryption")

    def random(self) -> "Recorded":
        """Return the random bytes of the recorded server."""
        recorded = Recorded()
        facts = self.facts
        if scalar := facts.get("server_ecdh_priv"):
            recorded.add(int(scalar, 16).to_bytes(32, "big"))
        if iv := facts.get("server_iv"):
            recorded.add(bytes.fromhex(iv))
        if proof := facts["ctx"].get("fs"):
            recorded.add(bytes("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".index(character) for character in proof[0][-10:-1]))
        if akep2 := facts["ctx"].get("akep2"):
            recorded.add(bytes.fromhex(akep2["rb"]))
        return recorded

    def _read(self, clear: int) -> Iterator[tuple[Frame, bytes]]:
        server, client = Channel(PLENTY), Channel(PLENTY)
        for number, frame in enumerate(self.frames):
            if number == clear:
                self.use_key(server, bytes(16))
                self.use_key(client, bytes(16))
            reader, writer = (server, client) if frame.sender == CLIENT else (client, server)
            reader.receive(frame.raw)
            text = reader.next_message()
            if text is None:
                raise MalformedMessage("no whole message", "a frame of a recording is one")
            if number < clear:
                writer.send(text)
            yield frame, text


class Recorded:
    """A source of the recorded random bytes, by length, in order."""

    def __init__(self) -> None:
        self._by_length: dict[int, list[bytes]] = defaultdict(list)

    def add(self, value: bytes) -> None:
        self._by_length[len(value)].append(value)

    def and_then(self, other: Callable[[int], bytes]) -> Callable[[int], bytes]:
        """Return a source that continues with `other` after the recorded bytes."""
        return lambda length: self(length) if self._by_length[length] else other(length)

    def __call__(self, length: int) -> bytes:
        return self._by_length[length].pop(0)


def load(name: str) -> Recording:
    return Recording(name, json.loads((VECTORS / f"{name}.json").read_text()))


def kdf() -> dict[str, Any]:
    """Load the recorded key schedule of a token."""
    found: dict[str, Any] = json.loads((VECTORS / "kdf.json").read_text())
    return found


def names(pattern: str) -> list[str]:
    return sorted(path.stem for path in VECTORS.glob(f"{pattern}.json"))


def _split(text: str) -> Iterator[bytes]:
    raw = bytes.fromhex(text)
    while raw:
        end = HEADER.size + HEADER.unpack_from(raw)[1]
        yield raw[:end]
        raw = raw[end:]
