"""Find the annexes of every pool and annexd in one region, before the enforcer is deleted or MaxLease is lowered."""

from dataclasses import dataclass
from typing import Any

from annexd.account.errors import AccountError
from annexd.annex.fleet.inventory import Fleet, take_inventory
from annexd.annex.lease.lease import utc
from annexd.workflow import Refused, Retry


@dataclass(frozen=True)
class Annex:
    """An annex that has or may launch instances; `fleets` is empty if AWS does not list its instances' fleets."""

    annex_id: str
    owner: str
    fleets: tuple[Fleet, ...]

    def end_s(self, max_lease_s: float) -> float | None:
        """Return when the function ends the last fleet; None if AWS does not list the fleets."""
        return max((fleet.end_s(max_lease_s) for fleet in self.fleets), default=None)

    def name(self) -> str:
        return f"annex {self.annex_id}" + (f" of {self.owner}" if self.owner else "")

    def description(self, max_lease_s: float) -> str:
        end_s = self.end_s(max_lease_s)
        state = "is being ended" if self.fleets and all(fleet.is_cancelled for fleet in self.fleets) else "runs"
        return f"{self.name()} {state}; its lease ends at {'unknown' if end_s is None else utc(end_s)}"


def annexes(ec2: Any) -> list[Annex]:
    """Return all annexes of the region.  Raises AccountError."""
    try:
        inventory = take_inventory(ec2)
    except (Retry, Refused) as error:
        raise AccountError(str(error)) from (error.__cause__ or error)
    fleets: dict[str, list[Fleet]] = {}
    for fleet in inventory.living().values():
        fleets.setdefault(fleet.annex_id, []).append(fleet)
    owners = {str(each.annex_id): each.owner for each in inventory.unlisted()}
    owners |= {annex_id: found[0].owner for annex_id, found in fleets.items()}
    return [Annex(annex_id, owners[annex_id], tuple(fleets.get(annex_id, ()))) for annex_id in sorted(owners)]
