"""A resolver that knows what a test tells it, and remembers what it was asked."""

from collections.abc import Mapping, Sequence

from annexd.authorization import Lookups

HERE = "10.0.0.1"  # the one local address


class Resolver:
    def __init__(self, names: Mapping[str, Sequence[str]], addresses: Mapping[str, Sequence[str]]) -> None:
        self.asked: list[str] = []
        self._names = names
        self._addresses = addresses

    def lookups(self) -> Lookups:
        return Lookups(self._names_of, self._addresses_of, lambda address: address == HERE)

    def _names_of(self, address: str) -> Sequence[str]:
        self.asked.append(address)
        return self._names.get(address, ())

    def _addresses_of(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        return self._addresses.get(name, ())
