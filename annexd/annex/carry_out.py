"""Carry out a command ad as a workflow of the journal: the common part of all commands that change something.

A known CommandID gets its reply from the journal before the ad is examined: the ad may be years old, and its lease long
over.  Every ad gets a reply ad.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Final

from annexd.annex.reply import ANSWERED, ReplyAd, reply_of_error
from annexd.annex.request.request import check_command, command_id_of
from annexd.annex.request.same_request import check_same, known_state
from annexd.workflow import Engine, Outcome, State
from annexd.workflow.keyed_lock import KeyedLock

# By CommandID.  A request that is repeated while the first one is being checked must not be checked on its own: its
# lease may be too short by now, although the first one is carried out.
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
    """Return the reply ad when everything is done or undone.  Blocks.

    `workflows`: those of the command.  `begin` reads a new ad and has the journal accept a workflow, or returns the
    reply if there is nothing to carry out; it may raise the errors in ANSWERED.  `accepted(state)` is called once the
    request is in the journal; from then on it continues by itself.
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
