"""condor_annex, from its arguments to its exit status."""

import signal
import sys
import time
from collections.abc import Sequence

from annexd.tool import config_file, show
from annexd.tool.command_ad import command_ad
from annexd.tool.errors import OK, ToolError
from annexd.tool.options import Options, parse


def main() -> int:
    """The entry point of the console script."""
    # Inside HTCondor's bindings python would hear of an interrupt only at the end.  An interrupt changes nothing:
    # annexd completes what it accepted.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return run(sys.argv[1:])
    except ToolError as error:
        show.error(error)
        return error.status


def run(arguments: Sequence[str]) -> int:
    """Raises ToolError."""
    options = parse(arguments)
    if options.help:
        show.usage()
    elif options.version:
        show.version()
    else:
        _request(options)
    return OK


def _request(options: Options) -> None:
    config, notes = config_file.read(options)
    show.notes(notes)
    from annexd.tool import bindings, locate, send  # importing them is most of the tool's time

    if options.debug:
        bindings.enable_debug()
    ad = command_ad(config, options, bindings.param, time.time())
    show.reply(send.send(locate.address(options), ad))


if __name__ == "__main__":
    sys.exit(main())
