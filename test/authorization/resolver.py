"""A resolver and netgroups that give the answers of a test and record the queries."""

from collections.abc import Collection, Mapping, Sequence

from annexd.authorization import Lookups, Membership

HERE = "10.0.0.1"  # the only local address


class Resolver:
    def __init__(
        self,
        names: Mapping[str, Sequence[str]],
        addresses: Mapping[str, Sequence[str]],
        members: Collection[Membership] = (),
    ) -> None:
        self.asked: list[object] = []
        self._names = names
        self._addresses = addresses
        self._members = members

    def lookups(self) -> Lookups:
        return Lookups(self._names_of, self._addresses_of, lambda address: address == HERE, self._is_member)

    def _names_of(self, address: str) -> Sequence[str]:
        self.asked.append(address)
        return self._names.get(address, ())

    def _addresses_of(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        return self._addresses.get(name, ())

    def _is_member(self, asked: Membership) -> bool:
        self.asked.append(asked)
        return asked in self._members
