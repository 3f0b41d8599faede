"""Stop repeated orders of an offer whose machines start but do not join.

Each such machine costs money until it turns itself off, while its jobs stay idle.  With a wrong image or network this
would otherwise continue endlessly, though never beyond the offer's MAX at once.
"""

from collections.abc import Iterable

from annexd.annex.offered import OfferedAnnex
from annexd.service.cool_downs import CoolDowns


class MissingMachines:
    """Follows annexes from look to look until one of their machines joins."""

    def __init__(self) -> None:
        self._awaited: dict[str, tuple[str, bool]] = {}  # by annex ID: its offer, and whether AWS has started a machine
        self._judged: set[str] = set()
        self._cool_downs = CoolDowns()  # by offer

    def forget(self) -> None:
        self._cool_downs.forget()

    def refusal(self, offer: str, now_s: float) -> tuple[str, str] | None:
        """Return until when nothing more is ordered, and why; None if no machines of the offer are missing."""
        return self._cool_downs.refusal(offer, now_s)

    def look(self, annexes: Iterable[OfferedAnnex]) -> None:
        """Take in the living annexes, with the data of a collector that responds."""
        present = {each.annex_id: each for each in annexes}
        missing: dict[str, str] = {}
        for annex_id, (offer, has_started) in list(self._awaited.items()):
            annex = present.get(annex_id)
            if annex is not None and annex.in_flight and not annex.joined:
                continue
            del self._awaited[annex_id]
            self._judged.add(annex_id)
            if annex is not None and annex.joined:
                self._cool_downs.allow(offer)
            elif has_started:
                missing[offer] = annex_id
        for offer, annex_id in missing.items():
            text = f"no machine of annex {annex_id} has joined the pool (condor_annex -status {annex_id} may say why)"
            self._cool_downs.refuse(offer, text)
        self._judged &= present.keys()
        self._await(present.values())

    def _await(self, annexes: Iterable[OfferedAnnex]) -> None:
        for each in annexes:
            if each.in_flight and not each.joined and each.annex_id not in self._judged:
                _, has_started = self._awaited.get(each.annex_id, ("", False))
                self._awaited[each.annex_id] = each.offer, has_started or each.has_started
