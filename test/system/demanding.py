"""The first configuration of docs/demand.md, adapted to a site of the tests."""

from __future__ import annotations

from test.system.annexes import JoiningSite
from test.system.site import TOP
from test.texts import block

PAGE = TOP / "docs" / "demand.md"
KNOBS = """
ANNEX_DEMAND_CONFIRM = none
ANNEX_DEMAND_INTERVAL = 2
ANNEX_DEMAND_OWNER = {user}
ANNEX_DEFAULT_ACCESS_KEY_FILE = {public}
ANNEX_DEFAULT_SECRET_KEY_FILE = {secret}
ANNEX_OFFER_small_LEASE = 30m
ANNEX_OFFER_small_MAX = 2
ANNEX_OFFER_small_IDLE_AGE = 3
QUEUE_SUPER_USERS = root, condor, {user}
"""
WANTS = ("+WantAnnex = true",)


def configure(site: JoiningSite, *more: str) -> None:
    user = site.pool.run("id", "-un").stdout.strip()
    keys = {"public": site.public_key_file, "secret": site.secret_key_file}
    offers = block(PAGE, "ANNEX_DEMAND = observe")
    site.pool.configure("\n".join((offers, KNOBS.format(user=user, **keys), *more, "")))
