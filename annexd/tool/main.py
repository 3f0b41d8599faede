"""condor_annex, from its arguments to its exit status."""

import gc
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from annexd.tool import config_file, show
from annexd.tool.command_ad import cancel_ad, change_ad, command_ad, query_ad
from annexd.tool.command_line import parse
from annexd.tool.errors import COMMUNICATION, OK, SIGNALS, Interrupted, ToolError, raise_on_signals
from annexd.tool.goal import Goal
from annexd.tool.options import ToolOptions


def main() -> NoReturn:
    """The entry point of the console script.  Does not return: see _end."""
    gc.disable()  # a process of a tenth of a second leaves nothing worth collecting
    raise_on_signals()
    try:
        status = run(sys.argv[1:])
    except Interrupted as interrupted:  # nothing was sent yet: while annexd is asked, send.py hears of it
        show.notes(["interrupted: nothing was ordered"])
        status = interrupted.status
    except ToolError as error:
        show.error(error)
        status = error.status
    except BrokenPipeError:
        status = COMMUNICATION  # `| head`: who closed the pipe knows
    except OSError as error:  # files and daemons have words of their own: what is left is our own output
        show.error(ToolError(COMMUNICATION, f"the answer cannot be written: {error.strerror}"))
        status = COMMUNICATION
    _end(status)


def _end(status: int) -> NoReturn:
    """Without taking the interpreter and thirty libraries apart, which takes longer than all of our own work."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            status = status or COMMUNICATION  # nobody reads the request ID: a script must not take it for success
    os._exit(status)


def run(arguments: Sequence[str]) -> int:
    """Raises ToolError."""
    options = parse(arguments)
    if options.help:
        show.usage()
    elif options.version:
        show.version(debug=options.debug)
    elif options.setup or options.check_setup or options.teardown:
        from annexd.tool import account

        return account.run(options)
    elif options.status:
        _status(options, arguments)
    elif options.goal is not None and not options.lease_duration_s:
        _wait(options, options.file, options.goal, arguments)
    elif options.cancel:
        _cancel(options, arguments)
    elif options.extend_s is not None or options.until_s is not None:
        _change(options, arguments)
    else:
        _request(options, arguments)
    return OK


def _cancel(options: ToolOptions, arguments: Sequence[str]) -> None:
    show.cancelled(_ask(options, cancel_ad(options), arguments), as_json=options.json)


def _change(options: ToolOptions, arguments: Sequence[str]) -> None:
    show.changed(_ask(options, change_ad(options, time.time()), arguments), time.time(), as_json=options.json)


def _status(options: ToolOptions, arguments: Sequence[str]) -> None:
    from annexd.tool import table

    table.show(_ask(options, query_ad(options), arguments), as_json=options.json, asked_for=options.file)


def _wait(options: ToolOptions, annex: str, goal: Goal, arguments: Sequence[str]) -> None:
    """Raises ToolError unless the goal is reached."""
    from annexd.tool import table, wait

    question = query_ad(options._replace(file=annex))

    def look() -> Mapping[str, Any]:
        try:
            answer = _ask(options._replace(timeout_s=None), question, arguments)
        except ToolError as error:
            if error.status in SIGNALS.values():
                raise Interrupted(error.status) from None
            raise
        finally:
            raise_on_signals()  # which are ignored once an answer is there
        return wait.only(table.annexes_in(answer), annex)

    try:
        wait.follow(look, goal, wait.display(as_json=options.json), options.timeout_s)
    except Interrupted as interrupted:
        raise wait.left_alone(interrupted, annex, goal) from None


def _ask(options: ToolOptions, ad: dict[str, Any], arguments: Sequence[str]) -> Mapping[str, Any]:
    from annexd.tool import bindings, send

    if options.debug:
        bindings.enable_debug()
    return send.SentCommand(options, ad, arguments).answer()


def _request(options: ToolOptions, arguments: Sequence[str]) -> None:
    config, notes = config_file.read(options)
    show.notes(notes)
    from annexd.tool import bindings  # importing it is most of the tool's time

    answer = _ask(options, command_ad(config, options, bindings.param, time.time()), arguments)
    show.reply(answer, as_json=options.json)
    if options.goal is not None:
        _wait(options, str(answer["AnnexID"]), options.goal, arguments)


if __name__ == "__main__":
    main()
