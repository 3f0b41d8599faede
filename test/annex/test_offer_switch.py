"""A super user pauses and resumes an offer, which survives restarts; the decisions about idle jobs can be queried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annexd.annex.demand_query import query_demand
from annexd.annex.expiry import is_over
from annexd.annex.index import AnnexIndex
from annexd.annex.offer_switch import add_switching, switch_offer
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.order import FleetOrder
from annexd.workflow import Engine, Journal, Workflow

ADMIN = "admin@pool"
DEFAULTS = Defaults(super_users=frozenset([ADMIN]))
OFFERS = ("gpu", "small")


class Daemon:
    """annexd's journal, over several lives of the daemon."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.begin()

    def begin(self) -> None:
        self.journal = Journal(self._folder / "journal")
        self.index = AnnexIndex(Engine(self.journal, Workflow(FleetOrder, ())))
        add_switching(self.index.engine)

    def switch(self, owner: str = ADMIN, **changes: Any) -> dict[str, Any]:
        ad = {"Command": "CA_SWITCH_OFFER", "RequestVersion": 1, "Offer": "gpu", **changes}
        return switch_offer(ad, owner, self.index, DEFAULTS, OFFERS)


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path)


def test_a_paused_offer_stays_paused_over_a_restart_until_it_is_resumed(daemon: Daemon) -> None:
    assert daemon.switch() == {
        "MyType": "Reply", "TargetType": "Command", "RequestVersion": 1, "Result": "Success",
        "CommandID": daemon.index.engine.accepted()[1][0].command_id, "Offer": "gpu", "Paused": True,
    }  # fmt: skip
    daemon.switch(Offer="small")
    daemon.journal.close()
    daemon.begin()
    assert daemon.index.paused_offers() == {"gpu": ADMIN, "small": ADMIN}
    daemon.switch(Paused=False)
    assert daemon.index.paused_offers() == {"small": ADMIN}


def test_the_journal_keeps_a_pause_for_as_long_as_it_lasts(daemon: Daemon) -> None:
    daemon.switch()
    assert not daemon.index.engine.move_to_archive(lambda state, at_s: is_over(state, at_s, 1e12, lambda _: 0))


def test_only_a_super_user_pauses_an_offer(daemon: Daemon) -> None:
    reply = daemon.switch("alice@pool")
    assert (reply["Result"], daemon.index.paused_offers()) == ("NotAuthorized", {})
    assert "QUEUE_SUPER_USER" in reply["ErrorString"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"Offer": "nosuch"}, "the offers are gpu, small"),
        ({"Offer": None}, "condor_annex -offers"),
        ({"Offer": 7}, "Offer must be a string"),
        ({"Paused": "yes"}, "Paused must be true or false"),
        ({"Other": 1}, "Other is not an attribute"),
    ],
)
def test_a_request_with_a_fault_changes_nothing(daemon: Daemon, changes: dict[str, Any], word: str) -> None:
    reply = daemon.switch(**changes)
    assert reply["Result"] == "InvalidRequest"
    assert word in reply["ErrorString"]
    assert not daemon.index.paused_offers()


def test_a_repeated_request_has_the_same_answer(daemon: Daemon) -> None:
    first = daemon.switch(CommandID="once")
    daemon.switch(Paused=False)
    assert daemon.switch(CommandID="once") == first
    assert not daemon.index.paused_offers()


GROUPS = [
    {"Schedd": "ap1", "AutoclusterID": 1, "User": "alice@pool"},
    {"Schedd": "ap1", "AutoclusterID": 1, "User": "bob@pool"},
    {"Schedd": "ap2", "AutoclusterID": 1, "User": "alice@pool"},
]


def asked(**filters: Any) -> Any:
    ad = {"Command": "CA_QUERY_DEMAND", "RequestVersion": 1, **filters}
    return query_demand(ad, {"Mode": "observe", "Groups": GROUPS})


def test_a_question_about_one_job_is_answered_with_its_group() -> None:
    reply = asked(Schedd="AP1", AutoclusterID=1, User="bob@pool")
    assert json.loads(reply["Demand"]) == {"Mode": "observe", "Groups": [GROUPS[1]]}
    assert json.loads(asked()["Demand"])["Groups"] == GROUPS


def test_a_question_with_a_fault_is_refused() -> None:
    reply = asked(Schedd=True, User=["x"], Other=1)
    assert reply["Result"] == "InvalidRequest"
    assert "User must be a text" in reply["ErrorString"]
    assert "Other is not an attribute" in reply["ErrorString"]
