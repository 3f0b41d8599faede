"""The end of one lease is changed many times: later queries do not read each of these changes again."""

from pathlib import Path

from annexd.annex.change import add_changing
from annexd.annex.expiry import is_over
from annexd.annex.fleet.access import KeyFiles
from annexd.annex.index import AnnexIndex
from annexd.annex.request.defaults import Defaults
from annexd.annex.request.order import new_order
from annexd.annex.request.request import BulkRequest
from annexd.annex.steps import StepContext, annex_steps
from annexd.annex.steps.change_checks import LeaseRead, MoveIntent
from annexd.annex.steps.move_end import EndMoved, MoveEnd
from annexd.annex.steps.tag_fleets import AnnexFleets
from annexd.workflow import Journal, to_json
from annexd.workflow.record import Kind
from test.annex.ads import OWNER, bulk_request_ad
from test.annex.counting import Counting
from test.annex.orders import change_order

NOW_S = 1_795_000_000
CHANGES = 40
INTENT = MoveIntent(AnnexFleets("annex", ("fleet-1",), 0.0), LeaseRead(0, 1, 2, 0.0))


def changed(path: Path) -> tuple[Counting, AnnexIndex]:
    """Return the engine and index of an annex whose end was moved by an hour before many other changes failed."""
    journal = Journal(path / "command_state", now_s=lambda: float(NOW_S))
    context = StepContext(KeyFiles(lambda _, __: b""))
    engine = Counting(journal, annex_steps(context), now_s=lambda: NOW_S)
    index = AnnexIndex(engine)
    add_changing(engine, context, index)
    order = new_order(BulkRequest.from_ad(bulk_request_ad(NOW_S), NOW_S, Defaults()), OWNER)
    engine.accept("order", OWNER, order)
    journal.append("order", "", Kind.FINISHED, {"result": "Success", "error": ""})
    for number in range(CHANGES):
        command_id, end_s = f"change-{number}", order.end_of_lease_s + 3600
        engine.accept(command_id, OWNER, change_order(order, end_s, command_id))
        if number == 0:
            journal.append(command_id, MoveEnd.name, Kind.INTENT, to_json(INTENT))
            journal.append(command_id, MoveEnd.name, Kind.DONE, to_json(EndMoved(end_s)))
        result = "Failure" if number else "Success"
        journal.append(command_id, "", Kind.FINISHED, {"result": result, "error": ""})
    return engine, index


def test_the_end_that_stands_and_the_latest_are_known_without_reading_each_change_again(tmp_path: Path) -> None:
    engine, index = changed(tmp_path)
    [known] = index.all()
    moved_s = known.end_of_lease_s + 3600
    assert (index.end_s(known), index.moved_at_s(known), index.latest_end_s(known.annex_id)) == (
        moved_s,
        NOW_S,
        moved_s,
    )
    assert engine.reads <= CHANGES
    engine.reads = 0
    assert (index.end_s(known), index.moved_at_s(known), index.latest_end_s(known.annex_id)) == (
        moved_s,
        NOW_S,
        moved_s,
    )
    assert engine.reads == 0


def test_the_look_for_what_belongs_into_the_archive_reads_no_change_for_each_other(tmp_path: Path) -> None:
    engine, index = changed(tmp_path)
    engine.move_to_archive(lambda state, at_s: is_over(state, at_s, NOW_S, index.latest_end_s))
    assert engine.reads <= CHANGES
    engine.reads = 0
    engine.move_to_archive(lambda state, at_s: is_over(state, at_s, NOW_S, index.latest_end_s))
    assert engine.reads == 0
    gone = engine.move_to_archive(lambda state, at_s: is_over(state, at_s, NOW_S + 40 * 86400, index.latest_end_s))
    assert len(gone) == CHANGES + 1
    index.forget(gone)
    assert index.latest_end_s(str(engine.find("order", OWNER))) == 0
