"""Extensions by demand: a refused one waits, and stops neither other annexes nor itself forever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from annexd.annex.offered import OfferedAnnex
from annexd.annex.reply import ReplyAd
from annexd.demand.extension import Extension
from annexd.demand.offer import Offer
from annexd.service.demand_extensions import DemandExtensions, ExtendContext
from annexd.service.demand_look import Found
from annexd.service.demand_settings import DemandSettings
from annexd.workflow import SUCCESS

SMALL = Offer("small", {}, "true", 3600, 10, max_lease_s=7200)
KEYS = {"PublicKeyFile": "/keys/public", "SecretKeyFile": "/keys/secret"}
SETTINGS = DemandSettings(owner="new@example.org", keys=KEYS, offers=(SMALL,))
DUE_AFTER_S = 2880


def annex(name: str, **changes: Any) -> OfferedAnnex:
    began_s = int(time.time()) - DUE_AFTER_S  # the cool-downs' clock is the host's
    end_s = began_s + 3600
    made = OfferedAnnex(
        name, "small", 1, 0, 1, began_s, end_s, f"command-{name}", "condor@example.org", 1, began_s, 3600, 420.0, 0, ""
    )
    return replace(made, **changes)


class Site:
    """Annexes of an offer, some of which annexd or AWS refuses to extend."""

    def __init__(self, *annexes: OfferedAnnex, refuses: frozenset[str] = frozenset(), longest_s: int = 86400) -> None:
        self.annexes, self.refuses = list(annexes), refuses
        self.asked: list[tuple[Mapping[str, Any], str]] = []
        self.longest_s = longest_s
        self.extensions = DemandExtensions(ExtendContext(self.extend, lambda: self.longest_s), lambda: None)

    async def extend(self, ad: Mapping[str, Any], owner: str) -> ReplyAd:
        self.asked.append((ad, owner))
        if ad["Annex"] == "broken":
            raise RuntimeError("a fault of this test")
        if ad["Annex"] in self.refuses:
            return {"Result": "InvalidState", "ErrorString": "budget physics: $0.10 are left"}
        return {"Result": SUCCESS}

    def found(self, **changes: Any) -> Found:
        state: dict[str, Any] = {"annexes": self.annexes, "knows_jobs": True, **changes}
        return Found(SETTINGS, time.time(), {}, **state)

    def decided(self, **changes: Any) -> dict[str, Extension]:
        return {each.annex_id: each for each in self.extensions.decide(self.found(**changes))}

    async def extended(self) -> list[str]:
        """Decide and extend until all requests have a reply; return the annexes of the requests."""
        before, found = len(self.asked), self.found()
        self.extensions.extend(found, self.extensions.decide(found))
        self.extensions.extend(found, self.extensions.decide(found))
        async with asyncio.timeout(60):
            while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(tasks)
        return [ad["Annex"] for ad, _ in self.asked[before:]]


def test_an_annex_is_extended_as_its_owner_could_with_the_keys_of_today() -> None:
    async def run() -> None:
        site = Site(annex("one", moves=2))
        assert await site.extended() == ["one"], "once, however often it is decided meanwhile"
        [(ad, owner)] = site.asked
        assert owner == "condor@example.org", "it ordered the annex, even if another orders the next one"
        assert ad == {
            **KEYS,
            "Command": "CA_CHANGE_LEASE",
            "RequestVersion": 1,
            "CommandID": "command-one-extension-3",
            "Annex": "one",
            "LeaseExtension": 3600,
        }

    asyncio.run(run())


def test_a_refused_extension_waits_and_stops_no_other_annex() -> None:
    async def run() -> None:
        site = Site(annex("one"), annex("broken"), annex("two"), refuses=frozenset(["one"]))
        assert await site.extended() == ["one", "broken", "two"]
        decided = site.decided()
        assert decided["two"].length_s == 3600
        assert "no further try before" in decided["one"].why
        assert "budget physics: $0.10 are left" in decided["one"].why
        assert "a fault of this test" in decided["broken"].why
        assert await site.extended() == ["two"]
        site.extensions.reconfigure()
        assert await site.extended() == ["one", "broken", "two"]

    asyncio.run(run())


def test_missing_data_and_a_paused_offer_extend_nothing() -> None:
    site = Site(annex("one"))
    assert site.decided()["one"].length_s == 3600
    assert "does not say" in site.decided(knows_jobs=False)["one"].why
    assert site.decided(paused={"small": "alice"})["one"].why == "paused by alice (condor_annex -resume small)"


def test_annex_max_lease_bounds_it_as_well() -> None:
    assert Site(annex("one"), longest_s=5400).decided()["one"].length_s == 1800
    assert "ANNEX_MAX_LEASE" in Site(annex("one"), longest_s=3600).decided()["one"].why


def test_an_offer_whose_longest_lease_is_its_lease_extends_nothing() -> None:
    site = Site(annex("one", offer="other"))
    other = replace(SMALL, name="other", max_lease_s=3600)
    found = replace(site.found(), settings=replace(SETTINGS, offers=(other,)))
    assert site.extensions.decide(found) == []
