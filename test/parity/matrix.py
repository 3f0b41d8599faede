"""Which clients ask which servers: all of them, or a choice in which every pair of wishes meets."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from test.parity import clients, lists, servers
from test.parity.clients import FEATURES, WANTS, Client, negotiates
from test.parity.servers import AS_IT_COMES, Server

LEVELS = ("ALLOW", *lists.LEVELS)
SOME_LEVELS = ("ALLOW", "READ", "WRITE", "ADMINISTRATOR", "DAEMON", "ADVERTISE_MASTER")
Wishes = Mapping[str, str]


@dataclass(frozen=True)
class Round:
    """All that is asked between one reconfiguration and the next."""

    server: Server
    clients: Sequence[Client]
    levels: Sequence[str]


def whole(seed: int, chances: int) -> Iterator[Round]:
    """About fifty thousand questions; `chances`: how many lists are made by chance."""
    chance = random.Random(seed)  # noqa: S311 - a choice of tests
    every = [clients.wanting(**wishes) for wishes in wishes_of_clients()]
    yield Round(AS_IT_COMES, (*clients.PROOFS, *clients.FALL_BACKS), LEVELS)
    yield Round(AS_IT_COMES, [one + wish for one, wish in product(clients.METHODS, every)], ("READ", "WRITE"))
    for server in (*servers.METHODS, *servers.WANTS_OF_LEVELS):
        yield Round(server, (*clients.METHODS, *clients.FALL_BACKS), SOME_LEVELS)
    for server in (*servers.PROOFS, *servers.SESSIONS):
        yield Round(server, (*clients.PROOFS, *clients.FALL_BACKS), ("WRITE",))
    for server in servers.every_want():
        yield Round(server, chance.sample(every, 25), ("WRITE",))
    for server in lists.COMMON:
        visitors = [user + address for user, address in product(lists.USERS, lists.ADDRESSES[:2])]
        yield Round(_open(server), visitors, lists.LEVELS)
    yield from _one_by_one(chance, lists.ENTRIES, lists.ADDRESSES)
    yield from _by_chance(chance, chances, lists.ENTRIES, lists.ADDRESSES)


def whole_ipv6(seed: int, chances: int) -> Iterator[Round]:
    """What depends on the address; about seven thousand questions."""
    chance = random.Random(seed)  # noqa: S311 - a choice of tests
    yield Round(AS_IT_COMES, (*clients.PROOFS, *clients.FALL_BACKS), ("READ", "WRITE"))
    yield from _one_by_one(chance, lists.IPV6_ENTRIES, lists.IPV6_ADDRESSES)
    yield from _by_chance(chance, chances // 4, lists.IPV6_ENTRIES, lists.IPV6_ADDRESSES)


def short(seed: int) -> Iterator[Round]:
    """Every client and every setting of the servers, though not every pair of them."""
    chance = random.Random(seed)  # noqa: S311 - a choice of tests
    everybody = (*clients.PROOFS, *clients.FALL_BACKS)
    pairs = list(every_pair(dict.fromkeys(FEATURES, WANTS), chance))
    wishes = [clients.wanting(**each) for each in pairs if negotiates(each)]
    yield Round(AS_IT_COMES, everybody, ("READ", "ADMINISTRATOR"))
    some = chance.sample(wishes, 8)
    yield Round(AS_IT_COMES, [one + wish for one, wish in product(clients.METHODS, some)], ("WRITE",))
    for server in (*servers.METHODS, *servers.WANTS_OF_LEVELS):
        yield Round(server, chance.sample((*clients.METHODS, *clients.FALL_BACKS), 3), ("WRITE", "ADVERTISE_MASTER"))
    for server in (*servers.PROOFS, *servers.SESSIONS):
        yield Round(server, chance.sample(everybody, 5), ("WRITE",))
    for each in pairs:
        yield Round(servers.wanting(each), chance.sample(wishes, 5), ("WRITE",))
    for server in lists.COMMON:
        visitors = [lists.who(chance, lists.ADDRESSES) for _ in range(2)]
        yield Round(_open(server), visitors, chance.sample(lists.LEVELS, 5))
    yield from _by_chance(chance, 10, lists.ENTRIES, lists.ADDRESSES)


def short_ipv6(seed: int) -> Iterator[Round]:
    chance = random.Random(seed)  # noqa: S311 - a choice of tests
    yield Round(AS_IT_COMES, clients.METHODS, ("READ",))
    yield from _by_chance(chance, 8, lists.IPV6_ENTRIES, lists.IPV6_ADDRESSES)


def _one_by_one(chance: random.Random, entries: Sequence[str], addresses: Sequence[Client]) -> Iterator[Round]:
    for server in lists.one_by_one(entries):
        visitors = [user + chance.choice(addresses) for user in lists.USERS]
        yield Round(_open(server), visitors, ("WRITE", "DAEMON"))


def _by_chance(
    chance: random.Random, number: int, entries: Sequence[str], addresses: Sequence[Client]
) -> Iterator[Round]:
    for _ in range(number):
        visitors = [lists.who(chance, addresses) for _ in range(6)]
        yield Round(_open(lists.by_chance(chance, entries)), visitors, lists.LEVELS)


def _open(server: Server) -> Server:
    """Whoever does not authenticate is heard, so that the lists decide."""
    return replace(server, settings=lists.OPEN + server.settings)


def wishes_of_clients() -> list[Wishes]:
    """Every combination, but for clients that would send nothing: both sides would wait."""
    every = (dict(zip(FEATURES, each, strict=True)) for each in product(WANTS, repeat=len(FEATURES)))
    return [wishes for wishes in every if negotiates(wishes)]


def every_pair(choices: Mapping[str, Sequence[str]], chance: random.Random) -> Iterator[dict[str, str]]:
    """Few combinations in which any two choices meet: greedily, the best of some made by chance."""
    names = list(choices)
    left = {((a, x), (b, y)) for a, b in combinations(names, 2) for x in choices[a] for y in choices[b]}
    while left:
        tries = [{name: chance.choice(choices[name]) for name in names} for _ in range(30)]
        best = max(tries, key=lambda each: len(left & _pairs(each)))
        if left & _pairs(best):
            left -= _pairs(best)
            yield best


def _pairs(chosen: Wishes) -> set[tuple[tuple[str, str], tuple[str, str]]]:
    return set(combinations(chosen.items(), 2))
