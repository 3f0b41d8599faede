"""-status of many annexes reads the journal of each finished order once, not at each query."""

import time
from pathlib import Path

from annexd.annex.fleet.access import KeyFiles
from annexd.annex.index import AnnexIndex
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.order import FleetOrder, new_order
from annexd.annex.request.request import BulkRequest
from annexd.annex.status import PoolSnapshot, known_annexes
from annexd.annex.steps import StepContext, annex_steps
from annexd.annex.steps.request_fleet import FleetRequested, RequestFleet
from annexd.workflow import Journal, to_json
from annexd.workflow.record import Kind
from test.annex.ads import OWNER, bulk_request_ad
from test.annex.counting import Counting

ANNEXES = 30
NOW_S = time.time()


def ordered(engine: Counting, journal: Journal, number: int, *, is_finished: bool) -> None:
    order: FleetOrder = new_order(
        BulkRequest.from_ad(bulk_request_ad(NOW_S, AnnexName=f"annex-{number}"), NOW_S, Defaults()), OWNER
    )
    command_id = f"order-{number}"
    engine.accept(command_id, OWNER, order)
    if is_finished:
        finish(journal, command_id)


def finish(journal: Journal, command_id: str) -> None:
    journal.append(command_id, RequestFleet.name, Kind.DONE, to_json(FleetRequested(f"sfr-{command_id}")))
    journal.append(command_id, "", Kind.FINISHED, {"result": "Success", "error": ""})


def test_an_order_that_is_finished_is_read_once_and_one_under_way_at_each_question(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "command_state")
    engine = Counting(journal, annex_steps(StepContext(KeyFiles(lambda _, __: b""))))
    index = AnnexIndex(engine)
    for number in range(ANNEXES):
        ordered(engine, journal, number, is_finished=number > 0)
    first = known_annexes(index, NOW_S, {}, PoolSnapshot())
    assert sorted(annex["State"] for annex in first) == ["leased"] * (ANNEXES - 1) + ["ordering"]
    engine.reads = 0
    assert known_annexes(index, NOW_S, {}, PoolSnapshot()) == first
    assert engine.reads == 1
    finish(journal, "order-0")
    [annex] = [each for each in known_annexes(index, NOW_S, {}, PoolSnapshot()) if each["AnnexName"] == "annex-0"]
    assert (annex["State"], annex["BulkRequestID"]) == ("leased", "sfr-order-0")
