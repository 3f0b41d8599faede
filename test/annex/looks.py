"""The annexes that annexd shows, and its looks at the account."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from annexd.annex.index import AnnexIndex
from annexd.annex.status import Snapshot, query_annexes
from test.annex.ads import OWNER
from test.annex.fleets import look, target
from test.annex.site import Site


def ask(site: Site, owner: str = OWNER, looks: Mapping[str, Snapshot] | None = None, **changes: Any) -> dict[str, Any]:
    """Query the annexes and return the reply; fail if annexd called AWS for it."""
    journal = site.journal()
    before = len(site.operations())
    try:
        ad = {"Command": "CA_QUERY_ANNEXES", "RequestVersion": 1, **changes}
        reply = query_annexes(ad, owner, AnnexIndex(site.engine(journal)), site.defaults, site.now_s(), looks or {})
    finally:
        journal.close()
    assert len(site.operations()) == before
    return dict(reply)


def listed(site: Site, owner: str = OWNER, looks: Mapping[str, Snapshot] | None = None, **changes: Any) -> list[Any]:
    return list(json.loads(ask(site, owner, looks, **changes)["Annexes"]))


def looked(site: Site, ago_s: float = 0.0) -> dict[str, Snapshot]:
    """Reconcile, and return the snapshot as if it were `ago_s` seconds old."""
    report = look(site)
    seen = {annex.annex_id: annex for annex in report.annexes}
    return {target(site).key: Snapshot(time.time() - ago_s, seen, troubles=report.troubles)}
