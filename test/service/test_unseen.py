"""If keys stop working, -status shows the age of its information; when they work again, they are used again."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.index import AnnexIndex
from annexd.annex.status import query_annexes
from annexd.annex.steps import StepContext
from annexd.service.reconciler import Reconciler
from test.annex.ads import OWNER
from test.annex.site import Site
from test.replies import accepted

PATIENCE_S = 60.0
FAULT = "PublicKeyFile cannot be used: /home/alice/public cannot be opened: Permission denied"


def statuses(site: Site, *steps: tuple[Callable[[], object], Callable[[dict[str, Any]], bool]]) -> list[dict[str, Any]]:
    """Return the status of the annex after each step, once its condition holds; annexd polls every second."""
    journal = site.journal()

    async def lives() -> list[dict[str, Any]]:
        access = KeyFiles(site.read_as, site.cache, defaults=site.trusting())
        index = AnnexIndex(site.engine(journal))
        reconciler = Reconciler(StepContext(access, site.now_s), access, index, site.defaults, 1, lambda: None)
        task, found = asyncio.create_task(reconciler.run()), list[dict[str, Any]]()

        def status() -> dict[str, Any]:
            ad = {"Command": "CA_QUERY_ANNEXES", "RequestVersion": 1}
            reply = query_annexes(ad, OWNER, index, site.defaults, site.now_s(), reconciler.looks())
            [annex] = json.loads(str(reply["Annexes"]))
            return dict(annex)

        for do, holds in steps:
            do()
            async with asyncio.timeout(PATIENCE_S):
                while not holds(status()):
                    await asyncio.sleep(0.02)
            found.append(status())
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return found

    try:
        return asyncio.run(lives())
    finally:
        journal.close()


def test_the_last_look_stays_with_its_time_and_the_fault_since(site: Site) -> None:
    accepted(site.order())
    keys = dict(site.keys)
    seen, unseen, again = statuses(
        site,
        (lambda: None, lambda annex: annex["Instances"] is not None),
        (site.keys.clear, lambda annex: annex["SeenFault"] is not None),
        (lambda: site.keys.update(keys), lambda annex: annex["SeenFault"] is None),
    )
    assert seen["SeenFault"] is None
    assert (unseen["SeenFault"], unseen["Instances"]) == (FAULT, seen["Instances"])
    assert seen["SeenTime"] <= unseen["SeenTime"] <= again["SeenTime"]


def test_an_annex_that_was_never_seen_says_why(site: Site) -> None:
    accepted(site.order())
    site.keys.clear()
    [annex] = statuses(site, (lambda: None, lambda annex: annex["SeenFault"] is not None))
    assert (annex["SeenFault"], annex["Instances"], annex["SeenTime"]) == (FAULT, None, None)
