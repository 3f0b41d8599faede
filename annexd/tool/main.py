"""Run condor_annex, from its arguments to its exit status."""

import gc
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from annexd.annex.request.fleet_api import EC2_FLEET, OPTIONS
from annexd.tool import config_file, confirmation, show
from annexd.tool.command_ad import cancel_ad, change_ad, command_ad, query_ad, quote_ad, resize_ad
from annexd.tool.command_line import parse
from annexd.tool.errors import COMMUNICATION, INTERRUPTED, OK, SIGNALS, Interrupted, ToolError, raise_on_signals
from annexd.tool.goal import Goal
from annexd.tool.option_rules import DEMAND_TASKS, SWITCHES
from annexd.tool.options import ToolOptions

QUESTIONS = ("metrics", "budget", "demand_config", "history", "status", *DEMAND_TASKS)  # tasks that change nothing


def main() -> NoReturn:
    """Run the console script.  Does not return: see _end."""
    gc.disable()  # the process lives for a tenth of a second: nothing is worth collecting
    raise_on_signals()
    try:
        status = run(sys.argv[1:])
    except Interrupted as interrupted:  # nothing was sent yet: after that send.py handles it
        show.notes(["interrupted: nothing was ordered"])
        status = interrupted.status
    except ToolError as error:
        show.error(error)
        status = error.status
    except BrokenPipeError:
        status = COMMUNICATION  # as with `| head`
    except OSError as error:  # files and daemons have their own errors: this is standard output
        show.error(ToolError(COMMUNICATION, f"the answer cannot be written: {error.strerror}"))
        status = COMMUNICATION
    _end(status)


def _end(status: int) -> NoReturn:
    """Exit without finalizing the interpreter and thirty libraries, which takes longer than all our own work."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            status = status or COMMUNICATION  # nobody reads the request ID: do not report success
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
    elif any(getattr(options, field) for field in QUESTIONS):
        _look(options, arguments)
    elif options.goal is not None and not options.lease_duration_s:
        _wait(options, options.file, options.goal, arguments)
    elif options.cancel or options.resize_to is not None or any(getattr(options, field) for field in SWITCHES):
        _act(options, arguments)
    elif options.extend_s is not None or options.until_s is not None:
        _change(options, arguments)
    else:
        _request(options, arguments)
    return OK


def _look(options: ToolOptions, arguments: Sequence[str]) -> None:
    """Run a task that changes nothing, such as -status."""
    if options.metrics:
        _metrics(options)
    elif options.budget:
        _budget(options, arguments)
    elif any(getattr(options, field) for field in DEMAND_TASKS):
        _demand(options, arguments)
    elif options.demand_config:
        from annexd.tool import demand_config

        demand_config.write(options.file, _param)
    elif options.history:
        _history(options, arguments)
    else:
        _status(options, arguments)


def _demand(options: ToolOptions, arguments: Sequence[str]) -> None:
    from annexd.tool import demand
    from annexd.tool.command_ad import demand_ad

    if options.why:
        demand.why(options, lambda group: _ask(options, demand_ad(group), arguments))
        return
    answer = _ask(options, demand_ad(), arguments)
    (demand.show_offers if options.offers else demand.show_demand)(answer, as_json=options.json)


def _act(options: ToolOptions, arguments: Sequence[str]) -> None:
    """Cancel or resize an annex, or pause or resume an offer."""
    if options.pause or options.resume:
        from annexd.tool import demand
        from annexd.tool.command_ad import switch_ad

        demand.switched(_ask(options, switch_ad(options), arguments), as_json=options.json)
        return
    if options.resize_to is not None:
        show.resized(_ask(options, resize_ad(options), arguments), as_json=options.json)
        return
    show.cancelled(_ask(options, cancel_ad(options), arguments), as_json=options.json)


def _change(options: ToolOptions, arguments: Sequence[str]) -> None:
    show.changed(_ask(options, change_ad(options, time.time()), arguments), time.time(), as_json=options.json)


def _status(options: ToolOptions, arguments: Sequence[str]) -> None:
    from annexd.tool import table

    if options.watch:
        _watch(options, arguments)
        return
    answer = _ask(options, query_ad(options), arguments)
    table.show(answer, as_json=options.json, asked_for=options.file, wide=options.wide)


def _watch(options: ToolOptions, arguments: Sequence[str]) -> None:
    """Show the table again and again until Ctrl-C."""
    from annexd.tool import table

    try:
        table.watch(
            lambda: _asked_again(options, query_ad(options), arguments), asked_for=options.file, wide=options.wide
        )
    except Interrupted as interrupted:
        if interrupted.status != INTERRUPTED:
            raise


def _history(options: ToolOptions, arguments: Sequence[str]) -> None:
    from annexd.tool import history
    from annexd.tool.command_ad import history_ad

    def page(before: int | None) -> Mapping[str, Any]:
        raise_on_signals()  # the page before it holds them at its end
        return _ask(options, history_ad(options, before), arguments)

    history.show(options, page)


def _budget(options: ToolOptions, arguments: Sequence[str]) -> None:
    from annexd.tool import budget
    from annexd.tool.command_ad import budget_ad

    budget.show(_ask(options, budget_ad(options), arguments), as_json=options.json, asked_for=options.file)


def _metrics(options: ToolOptions) -> None:
    from annexd.tool import bindings, metrics

    if options.debug:
        bindings.enable_debug()
    metrics.show(options)


def _wait(options: ToolOptions, annex: str, goal: Goal, arguments: Sequence[str]) -> None:
    """Wait until the goal is reached.  Raises ToolError if it is not."""
    from annexd.tool import table, wait

    question = query_ad(options._replace(file=annex))

    def look() -> Mapping[str, Any]:
        answer = _asked_again(options._replace(timeout_s=None), question, arguments)
        return wait.only(table.annexes_in(answer), annex)

    try:
        wait.follow(look, goal, wait.display(as_json=options.json), options.timeout_s)
    except Interrupted as interrupted:
        raise wait.left_alone(interrupted, annex, goal) from None


def _asked_again(options: ToolOptions, ad: dict[str, Any], arguments: Sequence[str]) -> Mapping[str, Any]:
    """Return annexd's reply to a query that may be repeated: signals take effect again after it.

    Raises Interrupted, ToolError.
    """
    try:
        return _ask(options, ad, arguments)
    except ToolError as error:
        if error.status in SIGNALS.values():
            raise Interrupted(error.status) from None
        raise
    finally:
        raise_on_signals()


def _ask(options: ToolOptions, ad: dict[str, Any], arguments: Sequence[str]) -> Mapping[str, Any]:
    from annexd.tool import bindings, send

    if options.debug:
        bindings.enable_debug()
    return send.SentCommand(options, ad, arguments).answer()


def _request(options: ToolOptions, arguments: Sequence[str]) -> None:
    if options.on_demand and options.fleet_api is None:  # RequestSpotFleet has On-Demand with launch templates only
        options, arguments = options._replace(fleet_api=EC2_FLEET), ["-fleet-api", OPTIONS[EC2_FLEET], *arguments]
    config, notes = config_file.read(options) if options.file else _without_file(options)
    show.notes(notes)
    if options.save:
        from annexd.tool import save

        save.save(config, options, arguments)
        return

    def ad() -> dict[str, Any]:
        return command_ad(config, options, _param, time.time())

    if options.quote:
        from annexd.tool import quote

        quote.show(
            _ask(options, quote_ad(ad()), arguments), as_json=options.json, option_names=show.option_names_of(options)
        )
        return
    answer = _ask(options, ad() | _confirmed(options, ad, arguments), arguments)
    show.reply(answer, as_json=options.json, option_names=show.option_names_of(options))
    if options.goal is not None:
        _wait(options, str(answer["AnnexID"]), options.goal, arguments)


def _confirmed(options: ToolOptions, ad: Callable[[], dict[str, Any]], arguments: Sequence[str]) -> dict[str, Any]:
    """Return additional attributes of an order, after a quote and a confirmation if these are required."""
    if not confirmation.is_interactive(options) or (above := confirmation.limit(_param)) is None:
        return {}
    try:
        answer = _ask(options, quote_ad(ad()), arguments)
    finally:
        raise_on_signals()  # which are held once a reply has arrived
    return confirmation.bounds_confirmed(answer, above, show.option_names_of(options))


def _without_file(options: ToolOptions) -> tuple[config_file.Config, list[str]]:
    from annexd.tool import launch_options

    config, notes = launch_options.config_of(options, _param)
    return config_file.changed(config, options), notes


def _param(name: str) -> str | None:
    from annexd.tool import bindings  # this import takes most of the tool's time

    return bindings.param(name)


if __name__ == "__main__":
    main()
