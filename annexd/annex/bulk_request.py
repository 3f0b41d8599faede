"""CA_BULK_REQUEST, from the command ad to the reply ad: what the daemon calls in a worker thread.

A CommandID that is known is answered from the journal before the ad is looked at: it may be years old,
and its lease long over.  Whatever the ad, the answer is an ad.
"""

from collections.abc import Callable, Mapping
from typing import Any

from annexd.annex.defaults import Defaults
from annexd.annex.faults import InvalidRequest
from annexd.annex.order import new_order
from annexd.annex.parcel import NoSupplies, Supplies, completed
from annexd.annex.reply import INVALID_REQUEST, NOT_AUTHORIZED, UNKNOWN_ERROR, ReplyAd, reply, reply_of
from annexd.annex.request import BulkRequest, check_command, command_id_of
from annexd.workflow import FAILURE, Engine, JournalError, NotOwner, Paused


def bulk_request(
    ad: Mapping[str, Any],
    owner: str,
    engine: Engine,
    defaults: Defaults,
    now_s: float,
    *,
    supplies: Supplies | None = None,
    accepted: Callable[[str], None] = lambda _: None,
) -> ReplyAd:
    """Carry out `ad` for `owner` (user@domain), and answer when all is done or undone.  Blocks.

    `supplies` are what instances that join the pool are given.  `accepted(command_id)` is called once the request
    is in the journal, from where on it goes on by itself.
    An order that is stuck is answered too; `engine.unfinished()` has it.
    """
    command_id = command_id_of(ad)
    begun = False
    try:
        check_command(ad)
        if command_id is None or engine.find(command_id, owner) is None:
            request = BulkRequest.from_ad(ad, now_s, defaults)
            command_id = request.command_id
            engine.accept(command_id, owner, completed(new_order(request, owner), supplies or NoSupplies()))
        begun = True
        accepted(command_id)
        return reply_of(engine.run(command_id))
    except InvalidRequest as error:
        return reply(INVALID_REQUEST, str(error), command_id=command_id)
    except NotOwner as error:
        return reply(NOT_AUTHORIZED, str(error))
    except Paused as error:
        return reply(UNKNOWN_ERROR, f"{error}; ask again with this CommandID", command_id=command_id)
    except JournalError as error:
        return reply(UNKNOWN_ERROR if begun or error.unknown else FAILURE, str(error), command_id=command_id)
