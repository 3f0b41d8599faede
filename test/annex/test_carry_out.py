"""A command that is sent again while the first one is still being checked."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

from annexd.annex.bulk_request import ORDER, order_in
from annexd.annex.carry_out import BEGINNING, carry_out
from annexd.annex.reply import ReplyAd, reply_of
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.request import COMMAND
from annexd.annex.request.same_request import digest_of
from annexd.workflow import Engine, Outcome, State
from test.annex.ads import OWNER
from test.annex.site import Site, wait_for

LONG_S = 30.0


def test_a_request_that_comes_again_while_the_first_is_looked_at_has_the_same_answer(site: Site) -> None:
    ad, looked_at, go_on = site.ad(CommandID=str(uuid.uuid4())), Event(), Event()

    def first(engine: Engine) -> State:
        looked_at.set()
        assert go_on.wait(LONG_S)
        command_id, order, _ = order_in(ad, OWNER, site.defaults, site.now_s(), site.step_context().access)
        return engine.accept(command_id, OWNER, order, digest_of(ad))

    def second() -> State:
        raise InvalidRequest(["its lease is too short by now"])

    def sent(engine: Engine, begin: Any) -> ReplyAd:
        return carry_out(
            ad, OWNER, engine, COMMAND, (ORDER,), begin, lambda _, outcome: reply_of(outcome), lambda _: None
        )

    with site.life() as life, ThreadPoolExecutor(2) as pool:
        engine = life.index.engine
        one = pool.submit(sent, engine, lambda: first(engine))
        assert looked_at.wait(LONG_S)
        other = pool.submit(sent, engine, second)
        waiting = BEGINNING._locks
        wait_for(lambda: waiting[str(ad["CommandID"])][1] == 2, "the second to wait for the first")
        go_on.set()
        replies = [each.result(LONG_S) for each in (one, other)]
    assert replies[0]["Result"] == "Success", replies
    assert replies[0] == replies[1]


def _reply(_: State, outcome: Outcome) -> ReplyAd:
    return reply_of(outcome)
