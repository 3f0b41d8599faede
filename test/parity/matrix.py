"""Choose the clients that query each server: all, or a selection that covers every pair of requirements."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from test.parity import clients, lists, servers
from test.parity.clients import FEATURES, REQUIREMENTS, Client, negotiates
from test.parity.servers import DEFAULT, Server

LEVELS = ("ALLOW", *lists.LEVELS)
SOME_LEVELS = ("ALLOW", "READ", "WRITE", "ADMINISTRATOR", "DAEMON", "ADVERTISE_MASTER")
Requirements = Mapping[str, str]


@dataclass(frozen=True)
class Round:
    """The questions for one configuration."""

    server: Server
    clients: Sequence[Client]
    levels: Sequence[str]


def full(seed: int, chances: int) -> Iterator[Round]:
    """Yield about fifty thousand questions; `chances` is the number of random lists."""
    chance = random.Random(seed)  # noqa: S311 - a choice of tests
    every = [clients.with_requirements(**requirements) for requirements in client_requirements()]
    yield Round(DEFAULT, (*clients.PROOFS, *clients.FALL_BACKS), LEVELS)
    yield Round(DEFAULT, [one + required for one, required in product(clients.METHODS, every)], ("READ", "WRITE"))
    for server in (*servers.METHODS, *servers.LEVEL_REQUIREMENTS):
        yield Round(server, (*clients.METHODS, *clients.FALL_BACKS), SOME_LEVELS)
    for server in (*servers.PROOFS, *servers.SESSIONS):
        yield Round(server, (*clients.PROOFS, *clients.FALL_BACKS), ("WRITE",))
    for server in servers.every_requirement():
        yield Round(server, chance.sample(every, 25), ("WRITE",))
    for server in lists.COMMON:
        visitors = [user + address for user, address in product(lists.USERS, lists.ADDRESSES[:2])]
        yield Round(_open(server), visitors, lists.LEVELS)
    yield from _each_entry(chance, lists.ENTRIES, lists.ADDRESSES)
    yield from _random_lists(chance, chances, lists.ENTRIES, lists.ADDRESSES)


def full_ipv6(seed: int, chances: int) -> Iterator[Round]:
    """Yield the questions that depend on the address, about seven thousand."""
    chance = random.Random(seed)  # noqa: S311 - a choice of tests
    yield Round(DEFAULT, (*clients.PROOFS, *clients.FALL_BACKS), ("READ", "WRITE"))
    yield from _each_entry(chance, lists.IPV6_ENTRIES, lists.IPV6_ADDRESSES)
    yield from _random_lists(chance, chances // 4, lists.IPV6_ENTRIES, lists.IPV6_ADDRESSES)


def short(seed: int) -> Iterator[Round]:
    """Yield every client and every setting of the servers, but not all pairs."""
    chance = random.Random(seed)  # noqa: S311 - a choice of tests
    everybody = (*clients.PROOFS, *clients.FALL_BACKS)
    pairs = list(every_pair(dict.fromkeys(FEATURES, REQUIREMENTS), chance))
    requirements = [clients.with_requirements(**each) for each in pairs if negotiates(each)]
    yield Round(DEFAULT, everybody, ("READ", "ADMINISTRATOR"))
    some = chance.sample(requirements, 8)
    yield Round(DEFAULT, [one + required for one, required in product(clients.METHODS, some)], ("WRITE",))
    for server in (*servers.METHODS, *servers.LEVEL_REQUIREMENTS):
        yield Round(server, chance.sample((*clients.METHODS, *clients.FALL_BACKS), 3), ("WRITE", "ADVERTISE_MASTER"))
    for server in (*servers.PROOFS, *servers.SESSIONS):
        yield Round(server, chance.sample(everybody, 5), ("WRITE",))
    for each in pairs:
        yield Round(servers.with_requirements(each), chance.sample(requirements, 5), ("WRITE",))
    for server in lists.COMMON:
        visitors = [lists.random_client(chance, lists.ADDRESSES) for _ in range(2)]
        yield Round(_open(server), visitors, chance.sample(lists.LEVELS, 5))
    yield from _random_lists(chance, 10, lists.ENTRIES, lists.ADDRESSES)


def short_ipv6(seed: int) -> Iterator[Round]:
    chance = random.Random(seed)  # noqa: S311 - a choice of tests
    yield Round(DEFAULT, clients.METHODS, ("READ",))
    yield from _random_lists(chance, 8, lists.IPV6_ENTRIES, lists.IPV6_ADDRESSES)


def _each_entry(chance: random.Random, entries: Sequence[str], addresses: Sequence[Client]) -> Iterator[Round]:
    for server in lists.each_entry(entries):
        visitors = [user + chance.choice(addresses) for user in lists.USERS]
        yield Round(_open(server), visitors, ("WRITE", "DAEMON"))


def _random_lists(
    chance: random.Random, number: int, entries: Sequence[str], addresses: Sequence[Client]
) -> Iterator[Round]:
    for _ in range(number):
        visitors = [lists.random_client(chance, addresses) for _ in range(6)]
        yield Round(_open(lists.random_server(chance, entries)), visitors, lists.LEVELS)


def _open(server: Server) -> Server:
    """Admit unauthenticated clients, so that the lists decide."""
    return replace(server, settings=lists.OPEN + server.settings)


def client_requirements() -> list[Requirements]:
    """Return all combinations in which the client negotiates; in the others both sides would wait."""
    every = (dict(zip(FEATURES, each, strict=True)) for each in product(REQUIREMENTS, repeat=len(FEATURES)))
    return [requirements for requirements in every if negotiates(requirements)]


def every_pair(choices: Mapping[str, Sequence[str]], chance: random.Random) -> Iterator[dict[str, str]]:
    """Yield few combinations that cover every pair of choices, chosen greedily from random ones."""
    names = list(choices)
    left = {((a, x), (b, y)) for a, b in combinations(names, 2) for x in choices[a] for y in choices[b]}
    while left:
        tries = [{name: chance.choice(choices[name]) for name in names} for _ in range(30)]
        best = max(tries, key=lambda each: len(left & _pairs(each)))
        if left & _pairs(best):
            left -= _pairs(best)
            yield best


def _pairs(chosen: Requirements) -> set[tuple[tuple[str, str], tuple[str, str]]]:
    return set(combinations(chosen.items(), 2))
