"""Carry out a command ad as a workflow of the journal: what all commands do that change something.

A CommandID that is known is answered from the journal before the ad is looked at: it may be years old, and its lease
long over.  Whatever the ad, the answer is an ad.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Final

from annexd.annex.reply import ANSWERED, ReplyAd, reply_of_error
from annexd.annex.request.request import check_command, command_id_of
from annexd.annex.request.same_request import check_same, known_state
from annexd.workflow import Engine, Outcome, State
from annexd.workflow.keyed_lock import KeyedLock

# By CommandID.  A request that is sent again while the first is looked at must not be judged by itself: its lease may
# be too short by now, and yet the first is carried out.
BEGINNING: Final = KeyedLock()


def carry_out(
    ad: Mapping[str, Any],
    owner: str,
    engine: Engine,
    command: str,
    workflows: tuple[str, ...],
    begin: Callable[[], State | ReplyAd],
    answer: Callable[[State, Outcome], ReplyAd],
    accepted: Callable[[State], None],
) -> ReplyAd:
    """Return the reply ad, when all is done or undone.  Blocks.

    `workflows`: those of the command.  `begin` reads a new ad and has the journal accept a workflow, or returns the
    answer if there is nothing to carry out; it may raise what ANSWERED names.
    `accepted(state)` is called once the request is in the journal, from where on it goes on by itself.
    """
    command_id, begun = command_id_of(ad), False
    try:
        check_command(ad, command)
        with BEGINNING.take(command_id) if command_id else nullcontext():
            state = known_state(ad, owner, engine, *workflows)
            if state is None:
                begun_now = begin()
                if not isinstance(begun_now, State):
                    return begun_now
                state = begun_now
                if state.command_id == command_id:
                    check_same(state, ad)  # an earlier process may have accepted another
        command_id, begun = state.command_id, True
        accepted(state)
        return answer(state, engine.run(command_id))
    except ANSWERED as error:
        return reply_of_error(error, command_id, begun=begun)
