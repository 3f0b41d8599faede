"""Parse what condor_master passes to a daemon in the environment.

condor_master passes no flags: the listening socket and the parent's address are in CONDOR_INHERIT, the session keys of
the family in CONDOR_PRIVATE_INHERIT (protocol: DaemonCore's Inherit(), daemon_core.cpp).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

TCP_SOCKET = "1"
SHARED_PORT_PREFIX = "SharedPort:"
END_OF_LIST = "0"


class MalformedInheritance(ValueError):
    """CONDOR_INHERIT is not in condor_master's format."""


@dataclass(frozen=True)
class SharedPortSocket:
    """The bound and listening Unix socket on which condor_shared_port hands over connections."""

    descriptor: int
    shared_port_id: str


@dataclass(frozen=True)
class Inheritance:
    """The parent and the listening sockets that it passed."""

    parent_pid: int
    parent_address: str
    shared_port: SharedPortSocket | None = None
    tcp_descriptors: tuple[int, ...] = ()  # IPv4, IPv6, or both
    unused_descriptors: tuple[int, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Inheritance | None":
        """Parse CONDOR_INHERIT; None if no condor_master (or other DaemonCore parent) started this process.

        Raises MalformedInheritance.
        """
        text = environment.get("CONDOR_INHERIT", "").strip()
        if not text:
            return None
        try:
            return _parse(text)
        except (ValueError, StopIteration, RuntimeError) as error:  # RuntimeError: a generator ran out of words
            raise MalformedInheritance(f"CONDOR_INHERIT is malformed: {text[:200]!r}") from error


def _parse(text: str) -> Inheritance:
    words = iter(text.split())
    parent_pid, parent_address = int(next(words)), next(words)
    unused = [_descriptor(sock) for _kind, sock in _sockets(words)]
    shared_port, tcp = None, []
    for kind, sock in _sockets(words):
        if kind.startswith(SHARED_PORT_PREFIX):
            name = kind.removeprefix(SHARED_PORT_PREFIX).partition("*")[0]
            shared_port = SharedPortSocket(_descriptor(sock), name.rpartition("/")[2])
        elif kind == TCP_SOCKET:
            tcp.append(_descriptor(sock))
        else:
            unused.append(_descriptor(sock))
    return Inheritance(parent_pid, parent_address, shared_port, tuple(tcp), tuple(unused))


def _sockets(words: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield (kind, serialized socket) up to the end of one list; a SharedPort entry is a single word."""
    for word in words:
        if word == END_OF_LIST:
            return
        if word.startswith(SHARED_PORT_PREFIX):
            yield word, word.removeprefix(SHARED_PORT_PREFIX).partition("*")[2]
        else:
            yield word, next(words)


def _descriptor(serialized: str) -> int:
    descriptor = int(serialized.partition("*")[0])
    if descriptor < 0:
        raise ValueError(f"negative file descriptor in {serialized!r}")
    return descriptor
