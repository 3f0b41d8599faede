"""The history in pages: each annex once, the newest first, from the journal or from its archive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annexd.annex import history
from annexd.annex.fleet.access import KeyFiles
from annexd.annex.fleet.capacity_pool import Launch
from annexd.annex.history import PAGE, query_history
from annexd.annex.index import AnnexIndex
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.order import FleetOrder
from annexd.annex.steps import StepContext, annex_steps
from annexd.annex.usage_recorder import UsageRecorder
from annexd.annex.workflows import index_of
from annexd.workflow import Engine, Journal, Kind
from test.annex.orders import fleet_order

NOW_S = 1_795_000_000
ANNEXES = 2 * PAGE + 50
ALICE, BOB = "alice@annexd.test", "bob@annexd.test"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[AnnexIndex]:
    """Yield an index of many annexes of alice's and one of bob's, with the older half in the archive."""
    times = iter(range(NOW_S, NOW_S + 10 * ANNEXES))
    journal = Journal(tmp_path / "command_state", now_s=lambda: float(next(times)))
    context = StepContext(KeyFiles(lambda *_: b""))
    engine = Engine(journal, annex_steps(context))
    index = index_of(engine, context)
    for number in range(ANNEXES):
        owner = BOB if number == 3 else ALICE
        engine.accept(f"c-{number}", owner, fleet_order(f"annex-{number}", NOW_S + 3600))
        body = {"result": "Success", "error": "", "workflow": "", "may_be_left": False}
        journal.append(f"c-{number}", "", Kind.FINISHED, body)
    UsageRecorder(index).record(target_key(index), {"annex-3": (Launch(NOW_S), Launch(NOW_S + 60))}, NOW_S + 600)
    older = {f"c-{number}" for number in range(ANNEXES // 2)}
    index.forget(engine.move_to_archive(lambda state, _: state.command_id in older))
    yield index
    journal.close()


def target_key(index: AnnexIndex) -> str:
    order = index.engine.state("c-0").order_as(FleetOrder)
    assert order is not None
    return order.target.key


def page(index: AnnexIndex, owner: str, **asked: Any) -> tuple[list[dict[str, Any]], int | None]:
    ad = {"Command": history.COMMAND, "RequestVersion": 1, **asked}
    defaults = Defaults(super_users=frozenset(["chief@annexd.test"]))
    reply = query_history(ad, owner, index, defaults, NOW_S + 600)
    assert reply["Result"] == "Success", reply
    return json.loads(str(reply["History"])), reply.get("Next")  # type: ignore[return-value]


def pages(index: AnnexIndex, owner: str, **asked: Any) -> list[list[dict[str, Any]]]:
    found, before = [], None
    while True:
        lines, before = page(index, owner, **asked, **({} if before is None else {"Before": before}))
        found.append(lines)
        if before is None:
            return found


def test_pages_are_bounded_and_have_each_annex_once_the_newest_first(index: AnnexIndex) -> None:
    found = pages(index, "chief@annexd.test")
    assert len(found) == 3
    assert max(map(len, found)) == PAGE
    assert [line["AnnexID"] for lines in found for line in lines] == [f"annex-{n}" for n in reversed(range(ANNEXES))]


def test_each_owner_sees_annexes_of_the_archive_with_what_was_seen_of_them(index: AnnexIndex) -> None:
    [lines] = pages(index, BOB)
    assert [(line["AnnexID"], line["InstanceSeconds"], line["Owner"]) for line in lines] == [("annex-3", 1140, BOB)]
    assert sum(len(each) for each in pages(index, ALICE)) == ANNEXES - 1


def test_since_ends_the_search(index: AnnexIndex) -> None:
    newest = page(index, ALICE)[0][0]["OrderTime"]
    [lines] = pages(index, ALICE, Since=newest)
    assert [line["AnnexID"] for line in lines] == [f"annex-{ANNEXES - 1}"]


def test_an_annex_has_one_record_of_its_usage_however_often_that_changes(index: AnnexIndex) -> None:
    recorder, key, annex = UsageRecorder(index), target_key(index), f"annex-{ANNEXES - 1}"
    for number in range(1, 6):
        recorder.record(key, {annex: tuple(Launch(NOW_S + each) for each in range(number))}, NOW_S + 600 * number)
    history_of = index.engine._journal.history(f"c-{ANNEXES - 1}")
    assert [record.kind for record in history_of].count(Kind.USAGE) == 1


def test_a_value_that_is_not_a_number_is_refused(index: AnnexIndex) -> None:
    ad = {"Command": history.COMMAND, "RequestVersion": 1, "Since": "yesterday", "Before": -1}
    reply = query_history(ad, ALICE, index, Defaults(), NOW_S)
    assert reply["Result"] == "InvalidRequest"
    assert "Since" in str(reply["ErrorString"])
    assert "Before" in str(reply["ErrorString"])
